#pragma once
#include "packet.h"
#include "flow.h"

// A sender on the middle network. What proxies relay bears clients' addresses: only the link layer tells who sent it.
struct station {
	__u8 mac[ETH_ALEN];
	__u16 pad;
};

struct fence {
	__be32 address; // the proxy's own
	__u32 epoch; // of the process that is fenced
	__u32 generation;
	__u32 proxy; // its id
	__u64 since_ns; // CLOCK_MONOTONIC
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct station);
	__type(value, struct fence);
	__uint(max_entries, MAX_NEXT_HOPS);
} fences SEC(".maps");

// Balancers find a proxy dead a little later than its peers. What its kernel half relays until then by splices that everybody knows
// does no harm, and losing it would cost a retransmission. What its user space makes might do harm at once.
#define FENCE_GRACE_NS 100000000

static __always_inline int is_kept_out(struct __sk_buff *skb)
{
	struct station station = {};
	struct iphdr ip = {};
	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), station.mac, ETH_ALEN) ||
	    bpf_skb_load_bytes(skb, IP_OFFSET, &ip, sizeof(ip)))
		return 0;
	struct fence *fence = bpf_map_lookup_elem(&fences, &station);
	// In its own name it asks how it stands, and who is alive.
	if (!fence || ip.saddr == fence->address)
		return 0;
	return (ip.tos & 0xfc) == SELF_MADE_TOS || bpf_ktime_get_ns() - fence->since_ns >= FENCE_GRACE_NS;
}
