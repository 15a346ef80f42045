#pragma once
#include "cookie.h"
#include "packet.h"

// What the kernel half tells user space, over one ring.
enum event_type {
	EVENT_SEGMENT, // from a client that is not spliced here
	EVENT_CLOSE, // a spliced client's FIN or RST has passed
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
	__u32 pad;
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
