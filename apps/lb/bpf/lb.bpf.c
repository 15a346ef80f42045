// The balancer (P4.1): packets for the VIP go to a live proxy. It keeps no state per connection, so any balancer can do it.
#include "packet.h"
#include "icmp.h"
#include "listener.h"
#include "flow.h"
#include "allowance.h"
#include "reply.h"
#include "counters.h"

enum lb_exit {
	LB_STEERED,
	LB_PATH_MTU, // a router's "fragmentation needed" follows the connection that it is about
	LB_NOT_FOR_VIP, // ARP, control, and what the proxies send to the clients
	LB_REFUSED, // a SYN for a port that is not served, answered with a reset: as any server does
	LB_CLOSED_PORT, // what else is sent to such a port, or more than is answered: a scan
	LB_BOGUS_SOURCE, // a source that nobody answers to, the VIP's own address (LAND) included
	LB_OTHER_PROTOCOL, // ping, UDP: nothing to the VIP is ever routed on, it would come back
	LB_MALFORMED,
	LB_NO_PROXY, // none has been seen alive since start
	LB_EXITS,
};
COUNTERS(lb_exit, LB_EXITS)

#define REFUSALS_PER_SECOND 1000
#define REFUSAL_BURST 200
#define NS_PER_SECOND 1000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} refusals SEC(".maps");

// One small packet for one, so nobody is amplified; the bound is there for those whose address was forged. Only SYNs are
// answered: a port's last connections live on when it is no longer served.
static __always_inline int refuse(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 flags = packet->flags & (FLAG_SYN | FLAG_ACK | FLAG_RST | FLAG_FIN);
	__u32 zero = 0;
	__u64 *earned = bpf_map_lookup_elem(&refusals, &zero);
	if (flags != FLAG_SYN || packet->payload || !earned ||
	    !take_one(earned, bpf_ktime_get_ns(), NS_PER_SECOND / REFUSALS_PER_SECOND, REFUSAL_BURST))
		return leave(LB_CLOSED_PORT, TC_ACT_SHOT);
	int verdict = send_reply(skb, packet, 0, packet->sequence + 1, FLAG_RST | FLAG_ACK, 0, 0);
	return verdict < 0 ? leave(LB_CLOSED_PORT, TC_ACT_SHOT) : leave(LB_REFUSED, verdict);
}

static __always_inline int steer(enum lb_exit exit, __be32 client, __be16 client_port, __be32 vip, __be16 vip_port)
{
	if (!is_listener(vip, vip_port))
		return leave(LB_CLOSED_PORT, TC_ACT_SHOT);
	struct next_hop *hop = choose_next_hop(client, client_port, vip, vip_port);
	if (!hop || !hop->ifindex)
		return leave(LB_NO_PROXY, TC_ACT_SHOT);
	return leave(exit, send_to(hop));
}

static __always_inline int steer_path_mtu(struct __sk_buff *skb, const struct packet *packet)
{
	struct path_mtu message;
	__u32 length;
	enum icmp_kind kind = read_path_mtu(skb, packet, &message, &length);
	if (kind == ICMP_OTHER)
		return leave(LB_OTHER_PROTOCOL, TC_ACT_SHOT);
	if (kind == ICMP_MALFORMED)
		return leave(LB_MALFORMED, TC_ACT_SHOT);
	const struct quote *quote = &message.quote;
	return steer(LB_PATH_MTU, quote->ip.daddr, quote->destination_port, quote->ip.saddr, quote->source_port);
}

SEC("tc") int lb_wan(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum packet_kind kind = read_packet(skb, &packet);
	if (kind == PACKET_NOT_OURS || !is_vip(packet.destination))
		return leave(LB_NOT_FOR_VIP, TC_ACT_OK);
	if (is_bogus_source(packet.source) || is_vip(packet.source))
		return leave(LB_BOGUS_SOURCE, TC_ACT_SHOT);
	if (kind == PACKET_OTHER_PROTOCOL)
		return steer_path_mtu(skb, &packet);
	if (kind == PACKET_MALFORMED)
		return leave(LB_MALFORMED, TC_ACT_SHOT);
	if (!is_open(packet.destination, packet.destination_port) && (packet.flags & FLAG_SYN))
		return refuse(skb, &packet);
	return steer(LB_STEERED, packet.source, packet.source_port, packet.destination, packet.destination_port);
}

char _license[] SEC("license") = "GPL";
