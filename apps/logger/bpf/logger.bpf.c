// The front-end logger's kernel half (P5.1, P6.1): in the path between proxies and back ends, in both directions. What a client
// sends is copied before it is forwarded; what a server sends, as far as user space wants it.
//   logger_middle, ingress from the proxies; logger_back, ingress from the back ends; logger_out, egress to the proxies.
// The back ends' answers already carry the VIP as their source (P3.2): any live proxy can carry them on; the balancer's hash picks
// the one. And a proxy that its peers go on without is fenced here first: from then on none of its packets reaches a back end.
#include "packet.h"
#include "listener.h"
#include "fences.h" // proxies that are kept out
#include "tracks.h" // connections
#include "events.h" // the ring to user space
#include "exits.h" // the counted ways out
#include "client.h"
#include "server.h"

SEC("tc") int logger_middle(struct __sk_buff *skb)
{
	struct logger_config *config = own_config();
	if (config && config->fences && is_kept_out(skb))
		return leave(LOGGER_MIDDLE_FENCED, TC_ACT_SHOT);
	struct packet packet = {};
	if (read_packet(skb, &packet) != PACKET_TCP)
		return leave(LOGGER_MIDDLE_PLAIN, TC_ACT_OK);
	if ((packet.flags & (FLAG_SYN | FLAG_ACK)) == FLAG_SYN)
		return open_track(skb, &packet);
	return from_client(skb, &packet);
}

SEC("tc") int logger_back(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum packet_kind kind = read_packet(skb, &packet);
	if (kind == PACKET_OTHER_PROTOCOL && packet.protocol == IPPROTO_IPIP)
		return open_envelope(skb, &packet);
	if (kind == PACKET_NOT_OURS || !is_vip(packet.source))
		return leave(LOGGER_BACK_PLAIN, TC_ACT_OK);
	if (kind != PACKET_TCP)
		return leave(LOGGER_BACK_MALFORMED, TC_ACT_SHOT);
	return from_server(skb, &packet);
}

// What the logger says to a client in the VIP's name takes the way that the back ends' answers take.
SEC("tc") int logger_out(struct __sk_buff *skb)
{
	struct packet packet = {};
	__u8 tos;
	if (read_packet(skb, &packet) != PACKET_TCP || !is_vip(packet.source) ||
	    bpf_skb_load_bytes(skb, IP_OFFSET + offsetof(struct iphdr, tos), &tos, sizeof(tos)) || tos != SELF_MADE_TOS)
		return leave(LOGGER_OUT_PLAIN, TC_ACT_OK);
	// It passes here once more, by another link-layer address.
	__be16 marked = bpf_htons(0x4500 | SELF_MADE_TOS), plain = bpf_htons(0x4500);
	bpf_l3_csum_replace(skb, IP_CHECK, marked, plain, 2);
	bpf_skb_store_bytes(skb, IP_OFFSET, &plain, sizeof(plain), 0);
	struct next_hop *hop =
		choose_next_hop(packet.destination, packet.destination_port, packet.source, packet.source_port);
	if (!hop || !hop->ifindex)
		return leave(LOGGER_OUT_NO_PROXY, TC_ACT_SHOT);
	return leave(LOGGER_OUT_STEERED, send_to(hop));
}

char _license[] SEC("license") = "GPL";
