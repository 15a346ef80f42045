#pragma once
#include "rewrite.h"

#define REPLY_OPTIONS 12

// Turns a segment without payload into the answer to it, in place, and sends it back where it came from. `options` holds
// REPLY_OPTIONS bytes, or is null for none. The new checksum is the old one plus the difference between the two headers: right
// whatever state of completion the old one was in (see rewrite.h).
static __always_inline int send_reply(struct __sk_buff *skb, const struct packet *packet, __u32 sequence,
				      __u32 acknowledgement, __u16 flags, __u16 window, const __u8 *options)
{
	struct {
		struct tcphdr tcp;
		__u8 options[MAX_OPTIONS];
	} old = {}, new = {};
	struct ethhdr ethernet;
	__u32 old_length = sizeof(old.tcp) + packet->options;
	__u32 new_length = sizeof(new.tcp) + (options ? REPLY_OPTIONS : 0);
	if (packet->payload || old_length > sizeof(old) || old_length < sizeof(old.tcp))
		return -1;
	if (bpf_skb_load_bytes(skb, TCP_OFFSET, &old, old_length) || bpf_skb_load_bytes(skb, 0, &ethernet, sizeof(ethernet)))
		return -1;
	__be16 check = old.tcp.check;
	old.tcp.check = 0;
	new.tcp.source = packet->destination_port;
	new.tcp.dest = packet->source_port;
	new.tcp.seq = bpf_htonl(sequence);
	new.tcp.ack_seq = bpf_htonl(acknowledgement);
	((__u8 *)&new.tcp)[12] = new_length << 2; // data offset
	((__u8 *)&new.tcp)[13] = flags;
	new.tcp.window = bpf_htons(window);
	if (options)
		__builtin_memcpy(new.options, options, REPLY_OPTIONS);
	__s64 difference = bpf_csum_diff((__be32 *)&old, sizeof(old), (__be32 *)&new, sizeof(new), 0);
	new.tcp.check = check;

	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(ip) + new_length),
		.frag_off = bpf_htons(0x4000),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = packet->destination,
		.daddr = packet->source,
	};
	ip.check = ip_checksum(&ip);
	__u8 station[ETH_ALEN];
	__builtin_memcpy(station, ethernet.h_dest, ETH_ALEN);
	__builtin_memcpy(ethernet.h_dest, ethernet.h_source, ETH_ALEN);
	__builtin_memcpy(ethernet.h_source, station, ETH_ALEN);

	if (bpf_skb_change_tail(skb, TCP_OFFSET + new_length, 0) ||
	    bpf_skb_store_bytes(skb, 0, &ethernet, sizeof(ethernet), 0) ||
	    bpf_skb_store_bytes(skb, IP_OFFSET, &ip, sizeof(ip), 0) ||
	    bpf_skb_store_bytes(skb, TCP_OFFSET, &new.tcp, sizeof(new.tcp), BPF_F_INVALIDATE_HASH) ||
	    (options && bpf_skb_store_bytes(skb, OPTIONS_OFFSET, new.options, REPLY_OPTIONS, 0)) ||
	    bpf_l4_csum_replace(skb, TCP_CHECK, 0, difference, 0) ||
	    // The pseudo header holds the segment's length.
	    bpf_l4_csum_replace(skb, TCP_CHECK, bpf_htons(old_length), bpf_htons(new_length), BPF_F_PSEUDO_HDR | 2))
		return -1;
	return bpf_redirect(skb->ifindex, 0);
}
