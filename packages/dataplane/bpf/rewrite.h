#pragma once
#include "packet.h"

// Header rewriting with incremental checksums (RFC 1624). A packet from a local veth carries only the pseudo header's sum in
// its checksum field, to be completed by hardware that is never met; the kernel's helpers know that, hand-made sums do not.

// Replaces 32 bits of the TCP header at `offset` (from the start of the frame); values in network order.
static __always_inline void replace_tcp32(struct __sk_buff *skb, __u32 offset, __be32 old, __be32 new)
{
	bpf_l4_csum_replace(skb, TCP_CHECK, old, new, 4);
	bpf_skb_store_bytes(skb, offset, &new, 4, 0);
}

// Replaces 16 bits of the TCP header at `offset`; values in network order.
static __always_inline void replace_tcp16(struct __sk_buff *skb, __u32 offset, __be16 old, __be16 new)
{
	bpf_l4_csum_replace(skb, TCP_CHECK, old, new, 2);
	bpf_skb_store_bytes(skb, offset, &new, 2, 0);
}

// Replaces an IPv4 address, which is part of both the IP header and the TCP pseudo header.
static __always_inline void replace_address(struct __sk_buff *skb, __u32 offset, __be32 old, __be32 new)
{
	bpf_l4_csum_replace(skb, TCP_CHECK, old, new, BPF_F_PSEUDO_HDR | 4);
	bpf_l3_csum_replace(skb, IP_CHECK, old, new, 4);
	bpf_skb_store_bytes(skb, offset, &new, 4, 0);
}

// A one's complement sum of at most 33 bits, in 16.
static __always_inline __u16 fold_sum(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

// The checksum of a whole IPv4 header without options (RFC 1071), for headers made from nothing.
static __always_inline __u16 ip_checksum(struct iphdr *ip)
{
	return ~fold_sum((__u32)bpf_csum_diff(0, 0, (__be32 *)ip, sizeof(*ip), 0));
}
