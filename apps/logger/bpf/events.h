#pragma once
#include "tracks.h"

// What the kernel half tells user space, over one ring.
enum log_type {
	LOG_OPENED, // a connection's SYN; its TCP options follow
	LOG_ENDED, // its slot's connection has made room for another one with the same addresses
	LOG_CLIENT, // from the client: bytes, FIN or RST
	LOG_SERVER, // from the back end: bytes, FIN or RST; a bare ACK only while the connection moves
	LOG_STRAY, // from the client of a connection that nobody knows and nobody judges, in its back end's numbers
	LOG_REPLY, // from a back end, to a SYN of the logger's own, in that back end's numbers; its TCP options follow
};

// Followed by `captured` bytes.
struct log_event {
	__u32 type;
	__u32 captured;
	__u64 time_ns; // CLOCK_MONOTONIC
	__u32 slot, generation;
	__u32 sequence, acknowledgement; // client space
	__u32 payload; // bytes in the packet
	__be32 backend; // that it came from or was addressed to
	__be16 backend_port;
	__u16 window;
	__u8 flags;
	__u8 held; // not forwarded: user space is to deliver it
	__u8 mac[ETH_ALEN]; // LOG_REPLY: the sender's
	__be32 client; // LOG_REPLY, LOG_STRAY
	__be16 client_port;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} events SEC(".maps");

// Keep these types in the BTF, from which the TypeScript layouts are generated.
const enum log_type log_types __attribute__((used)) = LOG_OPENED;
const enum client_mode client_modes __attribute__((used)) = CLIENT_PASSES;
const enum track_trait track_traits __attribute__((used)) = TRAIT_SACK;
const enum server_mode server_modes __attribute__((used)) = SERVER_PASSES;
struct log_event log_layout __attribute__((used));

// Fixed sizes, since the ring reserves nothing else.
#define CAPTURE(SIZE)                                                                                          \
	do {                                                                                                   \
		struct {                                                                                       \
			struct log_event event;                                                                \
			__u8 bytes[SIZE];                                                                      \
		} *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);                                  \
		if (!record)                                                                                   \
			return -1;                                                                             \
		record->event = *event;                                                                        \
		if (bpf_skb_load_bytes(skb, offset, record->bytes, length)) {                                  \
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);                                         \
			return -1;                                                                             \
		}                                                                                              \
		bpf_ringbuf_submit(record, wake);                                                              \
	} while (0)

// Copies `captured` bytes of the packet from `offset` on behind the event. Negative: the ring is full. A wake-up for each event
// would cost more than everything else here: user space looks by itself, unless it says that it sleeps.
static __attribute__((noinline)) int emit(struct __sk_buff *skb, struct log_event *event, __u32 offset)
{
	if (!event)
		return -1;
	struct logger_config *config = own_config();
	__u64 wake = BPF_RB_NO_WAKEUP;
	if (config && config->sleeping) {
		config->sleeping = 0;
		wake = BPF_RB_FORCE_WAKEUP;
	}
	__u32 length = event->captured;
	if (length == 0) {
		struct log_event *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
		if (!record)
			return -1;
		*record = *event;
		bpf_ringbuf_submit(record, wake);
	} else if (length <= 128) {
		CAPTURE(128);
	} else if (length <= 512) {
		CAPTURE(512);
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
