#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_OFFSET ETH_HLEN
#define TCP_OFFSET (IP_OFFSET + sizeof(struct iphdr)) // packets with IP options are refused, so this is a constant
#define OPTIONS_OFFSET (TCP_OFFSET + sizeof(struct tcphdr))
#define IP_CHECK (IP_OFFSET + offsetof(struct iphdr, check))
#define TCP_CHECK (TCP_OFFSET + offsetof(struct tcphdr, check))
#define MAX_OPTIONS 40
#define SELF_MADE_TOS 0x0c // of what a proxy makes itself towards back ends: a DSCP for local use (RFC 2474, pool 2). Twin: packet.ts

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04
#define FLAG_PSH 0x08
#define FLAG_ACK 0x10

#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

// Stops the compiler from splitting an index into parts: the verifier must see the bounds check on the value that is used.
#define keep_in_register(value) asm volatile("" : "+r"(value))

enum packet_kind {
	PACKET_TCP,
	PACKET_NOT_OURS, // ARP and the like; frames for another station, which a bridge floods when it does not know where that is
	PACKET_OTHER_PROTOCOL, // IPv4, addresses are filled in, but no TCP header to read
	PACKET_MALFORMED, // lengths that contradict each other, IP options, fragments
};

// A TCP/IPv4 packet's header. Addresses and ports in network order, the rest in host order.
struct packet {
	__be32 source, destination;
	__be16 source_port, destination_port;
	__u32 sequence, acknowledgement;
	__u16 window;
	__u8 flags;
	__u8 protocol;
	__u32 options; // bytes of TCP options, 0..40
	__u32 payload; // bytes of TCP payload; up to 64 KiB in a GSO packet
};

static __always_inline enum packet_kind read_packet(struct __sk_buff *skb, struct packet *packet)
{
	// A flooded frame must not be acted upon: an answer to it would bear its addressee's link-layer address, and teach the bridge
	// that this station is the other one.
	if (skb->protocol != bpf_htons(ETH_P_IP) || skb->pkt_type == PACKET_OTHERHOST)
		return PACKET_NOT_OURS;
	if ((void *)(long)skb->data + OPTIONS_OFFSET > (void *)(long)skb->data_end)
		bpf_skb_pull_data(skb, OPTIONS_OFFSET); // paged packets: the header is not in the linear part yet
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + IP_OFFSET;
	if ((void *)(ip + 1) > end)
		return PACKET_MALFORMED;
	packet->source = ip->saddr;
	packet->destination = ip->daddr;
	packet->protocol = ip->protocol;
	if (ip->version != 4 || ip->ihl != 5 || (ip->frag_off & bpf_htons(0x3fff)))
		return PACKET_MALFORMED;
	if (ip->protocol != IPPROTO_TCP)
		return PACKET_OTHER_PROTOCOL;
	struct tcphdr *tcp = data + TCP_OFFSET;
	if ((void *)(tcp + 1) > end)
		return PACKET_MALFORMED;
	__u32 header = tcp->doff * 4, total = bpf_ntohs(ip->tot_len);
	// Ethernet pads short frames, so the frame may be longer than the packet, never shorter.
	if (header < sizeof(*tcp) || total < sizeof(*ip) + header || IP_OFFSET + total > skb->len)
		return PACKET_MALFORMED;
	if (!tcp->source)
		return PACKET_MALFORMED; // reserved: nobody can be answered there
	packet->source_port = tcp->source;
	packet->destination_port = tcp->dest;
	packet->sequence = bpf_ntohl(tcp->seq);
	packet->acknowledgement = bpf_ntohl(tcp->ack_seq);
	packet->window = bpf_ntohs(tcp->window);
	packet->flags = ((__u8 *)tcp)[13];
	packet->options = header - sizeof(*tcp);
	packet->payload = total - sizeof(*ip) - header;
	return PACKET_TCP;
}

// Sources that nobody answers to: "this network", loopback, multicast, reserved and broadcast addresses (RFC 1122 §3.2.1.3).
static __always_inline int is_bogus_source(__be32 address)
{
	__u8 first = bpf_ntohl(address) >> 24;
	return first == 0 || first == 127 || first >= 224;
}

// The TCP options as bytes. `length` is packet->options, at most MAX_OPTIONS. Negative when they cannot be read.
static __always_inline int load_options(struct __sk_buff *skb, const struct packet *packet, __u8 *options)
{
	__u32 length = packet->options;
	if (length == 0)
		return 0;
	if (length > MAX_OPTIONS)
		return -1;
	return bpf_skb_load_bytes(skb, OPTIONS_OFFSET, options, length);
}
