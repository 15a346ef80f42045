#pragma once
#include "events.h"
#include "exits.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __be32);
	__type(value, __u32);
	__uint(max_entries, 256);
} backends SEC(".maps");

// An envelope from a back end: the packet inside answers a SYN of ours.
static __always_inline int read_reply(struct __sk_buff *skb)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} __attribute__((packed)) inner;
	_Static_assert(sizeof(inner) == 40, "two headers without options");
	__u32 start = IP_OFFSET + sizeof(struct iphdr);
	if (bpf_skb_load_bytes(skb, start, &inner, sizeof(inner)) || inner.ip.ihl != 5 || inner.ip.protocol != IPPROTO_TCP)
		return leave(PROXY_BACK_MALFORMED, TC_ACT_SHOT);
	__u32 options = inner.tcp.doff * 4 - sizeof(inner.tcp);
	if (options > MAX_OPTIONS)
		return leave(PROXY_BACK_MALFORMED, TC_ACT_SHOT);
	struct reply_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return leave(PROXY_BACK_RING_FULL, TC_ACT_SHOT);
	__builtin_memset(event, 0, sizeof(*event));
	if (options && bpf_skb_load_bytes(skb, start + sizeof(inner), event->option_bytes, options)) {
		bpf_ringbuf_discard(event, 0);
		return leave(PROXY_BACK_MALFORMED, TC_ACT_SHOT);
	}
	event->type = EVENT_REPLY;
	event->options = options;
	event->time_ns = bpf_ktime_get_ns();
	event->backend = inner.ip.saddr;
	event->client = inner.ip.daddr;
	event->backend_port = inner.tcp.source;
	event->client_port = inner.tcp.dest;
	event->sequence = bpf_ntohl(inner.tcp.seq);
	event->acknowledgement = bpf_ntohl(inner.tcp.ack_seq);
	event->window = bpf_ntohs(inner.tcp.window);
	event->flags = ((__u8 *)&inner.tcp)[13];
	bpf_ringbuf_submit(event, 0);
	return leave(PROXY_BACK_REPLY, TC_ACT_SHOT);
}
