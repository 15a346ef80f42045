#pragma once
#include "counters.h"

enum proxy_exit {
	PROXY_FRONT_NOT_FOR_VIP,
	PROXY_FRONT_SPLICED,
	PROXY_FRONT_PATH_MTU, // a router's "fragmentation needed", translated
	PROXY_FRONT_PATH_MTU_STRAY, // about a connection that is not known here: the router says it again
	PROXY_FRONT_SYN_ANSWERED,
	PROXY_FRONT_HANDSHAKE_DONE, // the handshake's last ACK: no state until there is a request
	PROXY_FRONT_CLOSED_UNUSED, // opened and closed without a byte
	PROXY_FRONT_TO_USER, // a request's first packets, or a connection that another proxy knows
	PROXY_FRONT_STRAY_LIMITED, // neither splice nor cookie, and more of them than peers are asked for
	PROXY_FRONT_STRAY_RST, // nothing it could reset
	PROXY_FRONT_CLOSED_PORT, // the balancer refuses such; this one had no listener yet, or no longer
	PROXY_FRONT_BOGUS_SOURCE, // a source that nobody answers to
	PROXY_FRONT_OTHER_PROTOCOL,
	PROXY_FRONT_MALFORMED,
	PROXY_FRONT_SYN_WITH_DATA, // Fast Open without a cookie of ours (RFC 7413): the client sends the data again
	PROXY_FRONT_RING_FULL, // user space is behind; the client sends it again
	PROXY_FRONT_NEVER_UNCONFIGURED,
	PROXY_FRONT_NEVER_FAILED, // a kernel helper refused
	PROXY_BACK_PASSED, // translated answers on their way to the clients, and control
	PROXY_BACK_REPLY, // what answered one of our SYNs
	PROXY_BACK_UNTRANSLATED, // from a back end, but not translated: no client could make sense of it
	PROXY_BACK_TO_VIP, // nothing to the VIP is ever routed on
	PROXY_BACK_RING_FULL,
	PROXY_BACK_MALFORMED,
	PROXY_EXITS,
};
COUNTERS(proxy_exit, PROXY_EXITS)
