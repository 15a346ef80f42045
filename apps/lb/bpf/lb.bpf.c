// The balancer (P4.1): packets for the VIP go to a live proxy. It keeps no state per connection, so any balancer can do it.
#include "packet.h"
#include "listener.h"
#include "flow.h"
#include "counters.h"

enum lb_exit {
	LB_STEERED,
	LB_NOT_FOR_VIP, // ARP, control, and what the proxies send to the clients
	LB_CLOSED_PORT, // a scan
	LB_OTHER_PROTOCOL, // ping, UDP: nothing to the VIP is ever routed on, it would come back
	LB_MALFORMED,
	LB_NO_PROXY, // none has been seen alive since start
	LB_EXITS,
};
COUNTERS(lb_exit, LB_EXITS)

SEC("tc") int lb_wan(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum packet_kind kind = read_packet(skb, &packet);
	if (kind == PACKET_NOT_OURS || !is_vip(packet.destination))
		return leave(LB_NOT_FOR_VIP, TC_ACT_OK);
	if (kind == PACKET_OTHER_PROTOCOL)
		return leave(LB_OTHER_PROTOCOL, TC_ACT_SHOT);
	if (kind == PACKET_MALFORMED)
		return leave(LB_MALFORMED, TC_ACT_SHOT);
	if (!is_listener(packet.destination, packet.destination_port))
		return leave(LB_CLOSED_PORT, TC_ACT_SHOT);
	struct next_hop *hop =
		choose_next_hop(packet.source, packet.source_port, packet.destination, packet.destination_port);
	if (!hop || !hop->ifindex)
		return leave(LB_NO_PROXY, TC_ACT_SHOT);
	return leave(LB_STEERED, send_to(hop));
}

char _license[] SEC("license") = "GPL";
