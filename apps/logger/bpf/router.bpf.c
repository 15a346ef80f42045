// The router between proxies and back ends, where the front-end logger will stand (P5.1). The back ends' answers already
// carry the VIP as their source (P3.2): any live proxy can carry them on; the balancer's hash picks the one.
#include "packet.h"
#include "listener.h"
#include "flow.h"
#include "counters.h"

enum router_exit {
	ROUTER_STEERED,
	ROUTER_PLAIN, // control, answers to proxies: the kernel routes them
	ROUTER_MALFORMED,
	ROUTER_NO_PROXY, // none has been seen alive since start
	ROUTER_EXITS,
};
COUNTERS(router_exit, ROUTER_EXITS)

SEC("tc") int router_back(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum packet_kind kind = read_packet(skb, &packet);
	if (kind == PACKET_NOT_OURS || !is_vip(packet.source))
		return leave(ROUTER_PLAIN, TC_ACT_OK);
	if (kind != PACKET_TCP)
		return leave(ROUTER_MALFORMED, TC_ACT_SHOT);
	struct next_hop *hop =
		choose_next_hop(packet.destination, packet.destination_port, packet.source, packet.source_port);
	if (!hop || !hop->ifindex)
		return leave(ROUTER_NO_PROXY, TC_ACT_SHOT);
	return leave(ROUTER_STEERED, send_to(hop));
}

char _license[] SEC("license") = "GPL";
