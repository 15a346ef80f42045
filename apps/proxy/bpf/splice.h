#pragma once
#include "cookie.h"
#include "events.h"
#include "exits.h"
#include "packet.h"
#include "rewrite.h"
#include "sack.h"

enum splice_flag {
	SPLICE_CHALLENGED = 1, // the client sent a new SYN; `challenge_isn` is its ISN
	SPLICE_CLOSED = 2, // the client's FIN or RST has passed
	SPLICE_SERVER_CLOSED = 4, // the server's has
};

// One connection (key: struct connection). Sequence numbers are the client's; only acknowledgements need the delta.
struct splice {
	__be32 backend;
	__be16 backend_port;
	__u16 backend_id;
	__u32 delta; // p0 - s0
	__u32 isn; // the client's
	__u32 p0;
	__u32 client_next; // end of what the client has sent through this proxy; meaningless while seen_ns is 0
	__u32 challenge_isn;
	__u16 owner; // the proxy that made it
	__u8 flags;
	__u8 pad;
	__u64 created_ms; // wall clock
	__u64 seen_ns; // CLOCK_MONOTONIC (coarse) of the last packet through this proxy; 0: none
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct connection);
	__type(value, struct splice);
	__uint(max_entries, 262144);
} splices SEC(".maps");

// Keeps the type in the BTF, from which the TypeScript layouts are generated.
const enum splice_flag splice_flags __attribute__((used)) = SPLICE_CLOSED;

#define PLAUSIBLE (4 << 20) // bytes from where the client was last seen: more than a window and what may overtake
#define FIRST_FLIGHT (64 << 10) // bytes that a client sends before anybody has acknowledged one

// Clients use their ports again, at once if the server closed first, and the SYN may have passed another proxy. So an entry
// alone does not prove that a packet is its connection's.
enum belonging {
	THIS_CONNECTION,
	PERHAPS_ANOTHER, // another's if it bears a cookie
	ANOTHER_CONNECTION, // or one that has gone far ahead while its packets passed another proxy: user space knows
};

static __always_inline enum belonging belongs(const struct splice *splice, const struct packet *packet)
{
	if (!splice->seen_ns)
		return PERHAPS_ANOTHER;
	__s32 ahead = packet->sequence - splice->client_next;
	if (ahead > PLAUSIBLE || ahead < -PLAUSIBLE)
		return ANOTHER_CONNECTION;
	if (splice->flags & SPLICE_CLOSED) {
		// Nothing new comes behind a FIN.
		if (packet->payload && ahead >= 0)
			return ANOTHER_CONNECTION;
		if ((splice->flags & SPLICE_CHALLENGED) &&
		    packet->sequence - splice->challenge_isn - 1 < FIRST_FLIGHT)
			return packet->payload ? ANOTHER_CONNECTION : PERHAPS_ANOTHER;
	}
	if ((splice->flags & SPLICE_CHALLENGED) && packet->sequence == splice->challenge_isn + 1)
		return PERHAPS_ANOTHER;
	return THIS_CONNECTION;
}

// From here on the packet belongs to the back end: destination, acknowledgement and SACK blocks change, nothing else.
static __always_inline int to_backend(struct __sk_buff *skb, const struct packet *packet, const struct splice *splice)
{
	__u32 delta = splice->delta;
	__be32 backend = splice->backend;
	__be16 port = splice->backend_port;
	if (packet->flags & FLAG_ACK) {
		if (packet->options && translate_sack(skb, packet, delta))
			return leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT);
		replace_tcp32(skb, TCP_OFFSET + offsetof(struct tcphdr, ack_seq), bpf_htonl(packet->acknowledgement),
			      bpf_htonl(packet->acknowledgement - delta));
	}
	replace_tcp16(skb, TCP_OFFSET + offsetof(struct tcphdr, dest), packet->destination_port, port);
	replace_address(skb, IP_OFFSET + offsetof(struct iphdr, daddr), packet->destination, backend);
	return leave(PROXY_FRONT_SPLICED, TC_ACT_OK);
}

// A SYN on a connection that is spliced: the client may have forgotten it and use its port again; or somebody forges. Only the
// ACK of the cookie tells, so the entry stays.
static __always_inline void challenge(struct splice *splice, const struct packet *packet)
{
	if (packet->sequence == splice->isn)
		return;
	splice->challenge_isn = packet->sequence;
	splice->flags |= SPLICE_CHALLENGED;
}

// A packet of this connection: the entry learns how far the client is, and whether it has closed.
static __always_inline int pass_on(struct __sk_buff *skb, const struct packet *packet, struct splice *splice,
				   struct segment_event *event)
{
	__u8 flags = packet->flags;
	__u32 next = packet->sequence + packet->payload + !!(flags & FLAG_FIN);
	// An RST counts only at the exact sequence (RFC 5961 §3.2); the server's kernel judges it again.
	if ((flags & FLAG_FIN) || ((flags & FLAG_RST) && packet->sequence == splice->client_next)) {
		splice->flags |= SPLICE_CLOSED;
		event->type = EVENT_CLOSE;
		event->time_ns = bpf_ktime_get_ns();
		emit(skb, event, 0); // lost when the ring is full: the sweep finds the flag
	}
	if (!(flags & FLAG_RST) && (!splice->seen_ns || (__s32)(next - splice->client_next) > 0))
		splice->client_next = next;
	splice->seen_ns = bpf_ktime_get_coarse_ns();
	return to_backend(skb, packet, splice);
}
