#pragma once
#include "counters.h"

// The counted ways out of the logger's programs.
enum logger_exit {
	// logger_middle, from the proxies
	LOGGER_MIDDLE_PLAIN, // control, and what belongs to no connection that is logged
	LOGGER_MIDDLE_FENCED, // from a fenced proxy, in a client's name
	LOGGER_MIDDLE_OPENED, // a SYN that begins a connection, or repeats one
	LOGGER_MIDDLE_FORGED, // a SYN whose identity option has a wrong MAC
	LOGGER_MIDDLE_IMPLAUSIBLE, // dropped: it acknowledges what the client was never sent, or has acknowledged long ago
	LOGGER_MIDDLE_NO_ROOM, // a SYN for which there is no slot: its connection passes unlogged
	LOGGER_MIDDLE_LOGGED, // bytes, copied and passed on
	LOGGER_MIDDLE_REPEATED, // bytes that are in the log, or none
	LOGGER_MIDDLE_HELD, // copied and kept from the back ends
	LOGGER_MIDDLE_RING_FULL, // dropped unlogged: the client sends it again
	LOGGER_MIDDLE_UNATTENDED, // passed on unlogged: nobody has read the ring for too long
	LOGGER_MIDDLE_UNJUDGED, // dropped: of a connection that cannot be known, where a listener has rules for each request
	// logger_back, from the back ends
	LOGGER_BACK_PLAIN, // control, envelopes to proxies
	LOGGER_BACK_MALFORMED, // in the VIP's name but not a whole TCP packet
	LOGGER_BACK_NO_PROXY, // none has been seen alive since start
	LOGGER_BACK_STEERED, // to a proxy
	LOGGER_BACK_UNLOGGED, // to a proxy, of a connection that is not logged
	LOGGER_BACK_FORMER, // dropped: from a back end that the connection has left
	LOGGER_BACK_ENDED, // an RST, kept from the client until it is known what it means
	LOGGER_BACK_DIVERTED, // copied and kept from the client: recovery compares it first
	LOGGER_BACK_REPLY, // an envelope: the answer to a SYN of the logger's own
	LOGGER_BACK_RING_FULL, // dropped unlogged: the back end sends it again
	LOGGER_BACK_UNATTENDED, // to a proxy, unlogged, or an end that nobody judges: nobody has read the ring for too long
	LOGGER_BACK_FENCED_NOW, // dropped: recovery began while it passed
	// logger_out, what the logger itself says
	LOGGER_OUT_PLAIN,
	LOGGER_OUT_STEERED, // to a client, by a proxy
	LOGGER_OUT_NO_PROXY,
	LOGGER_NEVER_FAILED, // a kernel helper refused
	LOGGER_EXITS,
};
COUNTERS(logger_exit, LOGGER_EXITS)
