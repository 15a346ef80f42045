#pragma once
#include "cookie.h"
#include "packet.h"
#include "rewrite.h"

// What the kernel half tells user space, over one ring.
enum event_type {
	EVENT_SEGMENT, // from a client that is not spliced here
	EVENT_CLOSE, // a spliced client's FIN or RST has arrived; only `connection` is filled in
	EVENT_REPLY, // from a back end, to a SYN of ours
};

// Followed by `captured` bytes of payload.
struct segment_event {
	__u32 type;
	__u32 captured;
	__u64 time_ns; // CLOCK_MONOTONIC: a proxy that thaws discards old ones
	struct connection connection;
	__u32 sequence, acknowledgement;
	__u32 payload; // bytes in the packet
	__u16 window;
	__u16 mss; // from here on: from the cookie
	__u8 window_scale;
	__u8 sack_permitted;
	__u8 flags;
	__u8 cookie; // enum cookie_kind: what acknowledgement - 1 is for sequence - 1
	__u16 sum; // of pseudo header and TCP header, checksum included: with the payload's it comes to 0xffff
	__u8 checked; // 0: the checksum is not complete yet, since the packet has met no wire that needs one
	__u8 pad;
};

struct reply_event {
	__u32 type;
	__u32 options; // bytes used in option_bytes
	__u64 time_ns;
	__be32 backend, client;
	__be16 backend_port, client_port;
	__u32 sequence, acknowledgement;
	__u16 window;
	__u16 flags;
	__u8 option_bytes[MAX_OPTIONS];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps");

// Keep these types in the BTF, from which the TypeScript layouts are generated.
const enum event_type event_types __attribute__((used)) = EVENT_SEGMENT;
const enum cookie_kind cookie_kinds __attribute__((used)) = COOKIE_NONE;
struct segment_event segment_layout __attribute__((used));
struct reply_event reply_layout __attribute__((used));

// Fixed sizes, since the ring reserves nothing else; a head fits the second, a GSO packet the last.
#define CAPTURE(SIZE)                                                                                          \
	do {                                                                                                   \
		struct {                                                                                       \
			struct segment_event event;                                                            \
			__u8 bytes[SIZE];                                                                      \
		} *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);                                  \
		if (!record)                                                                                   \
			return -1;                                                                             \
		record->event = *event;                                                                        \
		if (bpf_skb_load_bytes(skb, OPTIONS_OFFSET + options, record->bytes, length)) {                \
			bpf_ringbuf_discard(record, 0);                                                        \
			return -1;                                                                             \
		}                                                                                              \
		bpf_ringbuf_submit(record, 0);                                                                 \
	} while (0)

// What user space sends on it gives a checksum of its own, so it must know whether the packet's was right. Every kernel helper
// that rewrites a packet keeps a wrong one wrong; this is for the packets that are copied.
static __always_inline int sum_header(struct __sk_buff *skb, const struct packet *packet, struct segment_event *event)
{
	struct {
		__be32 source, destination;
		__u8 zero, protocol;
		__be16 length;
		struct tcphdr tcp;
		__u8 options[MAX_OPTIONS];
	} sum = { .source = packet->source, .destination = packet->destination, .protocol = IPPROTO_TCP };
	__u32 length = sizeof(struct tcphdr) + packet->options;
	if (length > sizeof(struct tcphdr) + MAX_OPTIONS || length < sizeof(struct tcphdr))
		return -1;
	sum.length = bpf_htons(length + packet->payload);
	__u16 pseudo = fold_sum((__u32)bpf_csum_diff(0, 0, &sum.source, 12, 0));
	if (bpf_skb_load_bytes(skb, TCP_OFFSET, &sum.tcp, length))
		return -1;
	event->checked = sum.tcp.check != pseudo;
	event->sum = bpf_ntohs(fold_sum((__u32)bpf_csum_diff(0, 0, &sum.source, sizeof(sum), 0)));
	return 0;
}

static __attribute__((noinline)) int emit(struct __sk_buff *skb, struct segment_event *event, __u32 options)
{
	if (!event || options > MAX_OPTIONS)
		return -1;
	__u32 length = event->captured;
	if (length == 0) {
		struct segment_event *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
		if (!record)
			return -1;
		*record = *event;
		bpf_ringbuf_submit(record, 0);
	} else if (length <= 2048) {
		CAPTURE(2048);
	} else if (length <= 16384) {
		CAPTURE(16384);
	} else if (length <= 65536) {
		CAPTURE(65536);
	} else {
		return -1;
	}
	return 0;
}

// Says that a spliced connection's client has closed, or that nothing is left of it. Lost when the ring is full: the sweep finds
// the entry's mark.
static __always_inline void emit_close(const struct connection *connection)
{
	struct segment_event *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record)
		return;
	__builtin_memset(record, 0, sizeof(*record));
	record->type = EVENT_CLOSE;
	record->time_ns = bpf_ktime_get_ns();
	record->connection = *connection;
	bpf_ringbuf_submit(record, 0);
}
