#pragma once
#include "packet.h"
#include "rewrite.h"

// Path MTU discovery (RFC 1191). A router on a client's way that cannot pass a packet on whole says so to the packet's source,
// which is the VIP. Who sent it stands in the quotation: the packet's IP header and at least 8 bytes behind it (RFC 792).
#define ICMP_OFFSET TCP_OFFSET
#define ICMP_CHECK (ICMP_OFFSET + offsetof(struct path_mtu, check))
#define QUOTE_OFFSET (ICMP_OFFSET + offsetof(struct path_mtu, quote))
#define QUOTED_TCP_CHECK (QUOTE_OFFSET + sizeof(struct iphdr) + offsetof(struct tcphdr, check))
#define ICMP_UNREACHABLE 3
#define ICMP_FRAGMENTATION_NEEDED 4

// The beginning of a packet from the VIP to a client, in network order.
struct quote {
	struct iphdr ip;
	__be16 source_port, destination_port;
	__be32 sequence;
};
_Static_assert(sizeof(struct quote) == 28, "what RFC 792 has every router quote");

struct path_mtu {
	__u8 type, code;
	__be16 check;
	__be16 unused, mtu; // the MTU is for the sender's kernel to judge
	struct quote quote;
};
_Static_assert(sizeof(struct path_mtu) == 36, "the message's layout is a wire format");

enum icmp_kind {
	ICMP_PATH_MTU, // for a connection of the VIP that it was sent to
	ICMP_OTHER, // another message, or no ICMP at all
	ICMP_MALFORMED, // too short, or it quotes what this VIP never sends
};

// Reads what read_packet calls PACKET_OTHER_PROTOCOL. `length` becomes the bytes of the whole IP packet.
static __always_inline enum icmp_kind read_path_mtu(struct __sk_buff *skb, const struct packet *packet,
						    struct path_mtu *message, __u32 *length)
{
	__be16 total;
	if (packet->protocol != IPPROTO_ICMP || bpf_skb_load_bytes(skb, ICMP_OFFSET, message, 2) ||
	    message->type != ICMP_UNREACHABLE || message->code != ICMP_FRAGMENTATION_NEEDED)
		return ICMP_OTHER;
	if (bpf_skb_load_bytes(skb, IP_OFFSET + offsetof(struct iphdr, tot_len), &total, sizeof(total)) ||
	    bpf_skb_load_bytes(skb, ICMP_OFFSET, message, sizeof(*message)))
		return ICMP_MALFORMED;
	*length = bpf_ntohs(total);
	if (*length < sizeof(struct iphdr) + sizeof(*message) || IP_OFFSET + *length > skb->len)
		return ICMP_MALFORMED;
	const struct iphdr *ip = &message->quote.ip;
	// The quoted length is that of the packet that was too long, not of what is left of it here.
	if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_TCP || (ip->frag_off & bpf_htons(0x3fff)) ||
	    bpf_ntohs(ip->tot_len) < sizeof(*ip) + sizeof(struct tcphdr) || ip->saddr != packet->destination)
		return ICMP_MALFORMED;
	return ICMP_PATH_MTU;
}

// Readdresses the message to the back end, and undoes in the quotation what was done to the packet on its way out. The back
// end's kernel compares the quoted sequence number with what is in flight (RFC 5927 §4.1), so forgers must guess it there.
// Checksums change by differences: one that was wrong stays wrong. Negative when a kernel helper refused.
static __always_inline int translate_path_mtu(struct __sk_buff *skb, const struct path_mtu *message, __u32 length,
					      __be32 vip, __be32 backend, __be16 port, __u32 delta)
{
	struct quote old = message->quote, new = message->quote;
	new.ip.saddr = backend;
	new.source_port = port;
	new.sequence = bpf_htonl(bpf_ntohl(old.sequence) - delta);
	new.ip.check = 0;
	new.ip.check = ip_checksum(&new.ip);
	__s64 difference = bpf_csum_diff((__be32 *)&old, sizeof(old), (__be32 *)&new, sizeof(new), 0);
	if (bpf_l4_csum_replace(skb, ICMP_CHECK, 0, difference, 0) ||
	    bpf_skb_store_bytes(skb, QUOTE_OFFSET, &new, sizeof(new), 0))
		return -1;
	// Some routers quote much more than they must, the TCP checksum included. It covers from the source address on.
	if (IP_OFFSET + length >= QUOTED_TCP_CHECK + sizeof(__u16)) {
		__u16 from, to;
		__u32 covered = sizeof(old) - offsetof(struct quote, ip.saddr);
		difference = bpf_csum_diff(&old.ip.saddr, covered, &new.ip.saddr, covered, 0);
		if (bpf_skb_load_bytes(skb, QUOTED_TCP_CHECK, &from, sizeof(from)))
			return -1;
		to = ~fold_sum((__u64)(__u16)~from + (__u32)difference);
		if (bpf_l4_csum_replace(skb, ICMP_CHECK, from, to, sizeof(to)) ||
		    bpf_skb_store_bytes(skb, QUOTED_TCP_CHECK, &to, sizeof(to), 0))
			return -1;
	}
	if (bpf_l3_csum_replace(skb, IP_CHECK, vip, backend, sizeof(backend)))
		return -1;
	return bpf_skb_store_bytes(skb, IP_OFFSET + offsetof(struct iphdr, daddr), &backend, sizeof(backend), 0);
}
