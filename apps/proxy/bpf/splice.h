#pragma once
#include "cookie.h"
#include "events.h"
#include "exits.h"
#include "handshake.h" // CLIENT_WINDOW_SCALE
#include "packet.h"
#include "rewrite.h"
#include "sack.h"

enum splice_flag {
	SPLICE_CHALLENGED = 1, // the client sent a new SYN; `challenge_isn` is its ISN
	SPLICE_CLOSED = 2, // the client has closed its half, or all is over
	SPLICE_SERVER_CLOSED = 4, // the server's FIN or RST has passed
	SPLICE_ANCHORED = 8, // packets of the server have passed: `acked` and `window_end` are known
	SPLICE_FIN_SEEN = 16, // a FIN has passed that is the client's if the server acknowledges `fin_end`
	SPLICE_RST_SEEN = 32, // an RST has passed that is the client's if the server says no more
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
	__u32 acked, window_end; // the client's sequence numbers that the server waits for, as its last packet said
	__u32 fin_end;
	__u32 spare;
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

static __always_inline int is_near(__u32 sequence, __u32 other)
{
	return sequence - other + PLAUSIBLE <= 2 * PLAUSIBLE;
}

static __always_inline enum belonging belongs(const struct splice *splice, const struct packet *packet)
{
	if (!splice->seen_ns)
		return PERHAPS_ANOTHER;
	__s32 ahead = packet->sequence - splice->client_next;
	if (!is_near(packet->sequence, splice->client_next) &&
	    !((splice->flags & SPLICE_ANCHORED) && is_near(packet->sequence, splice->acked)))
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

// Anybody who knows a connection's addresses and ports can send packets in its client's name, so that nothing which only the
// client's side says may end or uncount it. The server's kernel judges every packet by the numbers that it waits for; what it
// made of a packet, its own packets tell (RFC 9293 §3.10.7.4, RFC 5961). Before the first of them, the client is believed.

static __always_inline int is_awaited(const struct splice *splice, __u32 sequence)
{
	return sequence - splice->acked <= splice->window_end - splice->acked;
}

static __always_inline void close(struct splice *splice, const struct connection *connection)
{
	if (splice->flags & SPLICE_CLOSED)
		return;
	splice->flags |= SPLICE_CLOSED;
	emit_close(connection);
}

static __always_inline void note_fin(struct splice *splice, const struct packet *packet, const struct connection *connection)
{
	__u32 next = packet->sequence + packet->payload + 1;
	if (!(splice->flags & SPLICE_ANCHORED) || splice->acked - packet->sequence <= packet->payload) {
		close(splice, connection); // nothing is missing before it
	} else if (is_near(next, splice->acked) && (__s32)(next - splice->acked) > 0) {
		splice->fin_end = next;
		splice->flags |= SPLICE_FIN_SEEN;
	}
}

// Only the exact number resets a connection; elsewhere in the window it is asked whether that was meant (RFC 5961 §3.2). The
// client may be ahead of what the server's last packet said, hence the wait for that question.
static __always_inline void note_rst(struct splice *splice, const struct packet *packet, const struct connection *connection)
{
	int anchored = splice->flags & SPLICE_ANCHORED;
	if (packet->sequence == (anchored ? splice->acked : splice->client_next))
		close(splice, connection);
	else if (anchored && is_awaited(splice, packet->sequence))
		splice->flags |= SPLICE_RST_SEEN;
}

// A packet of this connection's client: the entry learns how far it is, and whether it has closed.
static __always_inline int pass_on(struct __sk_buff *skb, const struct packet *packet, struct splice *splice,
				   const struct connection *connection)
{
	__u32 next = packet->sequence + packet->payload + !!(packet->flags & FLAG_FIN);
	int anchored = splice->flags & SPLICE_ANCHORED;
	if (packet->flags & FLAG_RST)
		note_rst(splice, packet, connection);
	else if (packet->flags & FLAG_FIN)
		note_fin(splice, packet, connection);
	if (!splice->seen_ns)
		splice->client_next = anchored ? splice->acked : next;
	if (!(packet->flags & FLAG_RST) && (!anchored || is_awaited(splice, next)) &&
	    (__s32)(next - splice->client_next) > 0)
		splice->client_next = next;
	splice->seen_ns = bpf_ktime_get_coarse_ns();
	return to_backend(skb, packet, splice);
}

// A packet of this connection's server, on its way to the client. Its window is scaled for clients that offered scaling; for
// the others it is taken for larger than it is, which only delays what is learnt.
static __always_inline void learn_from_server(const struct packet *packet, struct splice *splice,
					      const struct connection *connection)
{
	__u32 acknowledged = packet->acknowledgement;
	if (packet->flags & FLAG_ACK) {
		__s32 progress = acknowledged - splice->acked;
		// A little less: a packet that was overtaken. Far less: this proxy has seen nothing for long.
		if (!(splice->flags & SPLICE_ANCHORED) || progress >= 0 || progress < -PLAUSIBLE) {
			splice->acked = acknowledged;
			splice->window_end = acknowledged + ((__u32)packet->window << CLIENT_WINDOW_SCALE);
		}
		if ((splice->flags & (SPLICE_ANCHORED | SPLICE_RST_SEEN)) != SPLICE_ANCHORED)
			splice->flags = (splice->flags & ~SPLICE_RST_SEEN) | SPLICE_ANCHORED;
		if ((splice->flags & SPLICE_FIN_SEEN) && acknowledged == splice->fin_end)
			close(splice, connection);
	}
	if ((packet->flags & (FLAG_FIN | FLAG_RST)) && !(splice->flags & SPLICE_SERVER_CLOSED))
		splice->flags |= SPLICE_SERVER_CLOSED;
	if (packet->flags & FLAG_RST)
		close(splice, connection);
}
