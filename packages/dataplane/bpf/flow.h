#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Which live proxy carries a connection (P4.1): a hash of the 4-tuple picks a slot, the slot names a next hop. Balancer and
// logger share it, so both directions of a connection meet the same proxy and one death interrupts as few of them as can be.
#define STEERING_SLOTS 1024 // a power of two
#define MAX_NEXT_HOPS 64
#define NO_NEXT_HOP 0xffff

// One element, mapped by user space, which fills the half that is not active and then flips `active` with a single store.
struct steering {
	__u32 active; // 0 or 1
	__u32 seed;
	__u32 version;
	__u32 spray; // 1: any packet to any live proxy. For tests of the replication: every proxy must be able to go on with it
	__u16 slots[2][STEERING_SLOTS];
};

struct next_hop {
	__be32 address;
	__u32 ifindex;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct steering);
	__uint(max_entries, 1);
} steering SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct next_hop);
	__uint(max_entries, MAX_NEXT_HOPS);
} next_hops SEC(".maps");

// murmur3's finaliser: enough to spread, cheap, and easy to repeat in TypeScript (packages/dataplane/src/flow.ts).
static __always_inline __u32 mix32(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

static __always_inline __u32 flow_hash(__be32 client, __be16 client_port, __be32 vip, __be16 vip_port, __u32 seed)
{
	__u32 h = mix32(seed ^ bpf_ntohl(client));
	h = mix32(h ^ ((__u32)bpf_ntohs(client_port) << 16 | bpf_ntohs(vip_port)));
	return mix32(h ^ bpf_ntohl(vip));
}

// The next hop of a connection, or null where no proxy has been entered yet.
static __always_inline struct next_hop *choose_next_hop(__be32 client, __be16 client_port, __be32 vip, __be16 vip_port)
{
	__u32 zero = 0;
	struct steering *table = bpf_map_lookup_elem(&steering, &zero);
	if (!table)
		return 0;
	__u32 hash = table->spray ? bpf_get_prandom_u32() : flow_hash(client, client_port, vip, vip_port, table->seed);
	__u32 slot = hash & (STEERING_SLOTS - 1);
	__u32 hop = table->slots[table->active & 1][slot];
	return bpf_map_lookup_elem(&next_hops, &hop);
}

// Sends the packet to the next hop's link-layer address without touching its IP header.
static __always_inline int send_to(const struct next_hop *hop)
{
	struct bpf_redir_neigh neighbour = { .nh_family = 2 /* AF_INET */, .ipv4_nh = hop->address };
	return bpf_redirect_neigh(hop->ifindex, &neighbour, sizeof(neighbour), 0);
}
