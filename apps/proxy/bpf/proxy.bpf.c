// The proxy's kernel half (P2.1, P3.1): it relays from client to back end by changing headers, and keeps no byte of either.
//   proxy_front, ingress from the balancers: SYN -> SYN-ACK with a cookie; spliced -> translated, and so is what routers say
//   about the path's MTU; anything else -> user space.
//   proxy_back, ingress from the back ends: answers to our own SYNs -> user space; the clients' bytes pass through.
#include "packet.h"
#include "listener.h"
#include "exits.h" // the counted ways out of both programs
#include "config.h" // what user space sets
#include "events.h" // the ring to user space
#include "handshake.h" // connections that have no state yet
#include "splice.h" // those that have
#include "strays.h" // those that a peer may know
#include "path-mtu.h"
#include "replies.h" // what answers the proxy's own SYNs

// Whether a segment is the splice's; if there is doubt, or no splice, its cookie is checked and `offer` filled.
static __always_inline enum belonging judge(const struct proxy_config *config, const struct splice *splice,
					    const struct packet *packet, struct segment_event *event, struct offer *offer)
{
	enum belonging belonging = splice ? belongs(splice, packet) : ANOTHER_CONNECTION;
	if (belonging == THIS_CONNECTION)
		return belonging;
	event->cookie = check_cookie(&config->clock, &event->connection, packet->sequence - 1, packet->acknowledgement - 1, offer,
				     is_suspect(packet->source));
	// The first request's own retransmission, on a proxy that has seen nothing of its connection yet.
	int valid = event->cookie == COOKIE_VALID;
	if (splice && valid && packet->sequence - 1 == splice->isn)
		return THIS_CONNECTION;
	return belonging == PERHAPS_ANOTHER && !valid ? THIS_CONNECTION : ANOTHER_CONNECTION;
}

SEC("tc") int proxy_front(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum packet_kind kind = read_packet(skb, &packet);
	if (kind == PACKET_NOT_OURS || !is_vip(packet.destination))
		return leave(PROXY_FRONT_NOT_FOR_VIP, TC_ACT_OK);
	if (is_bogus_source(packet.source) || is_vip(packet.source))
		return leave(PROXY_FRONT_BOGUS_SOURCE, TC_ACT_SHOT);
	if (kind == PACKET_OTHER_PROTOCOL)
		return path_mtu_to_backend(skb, &packet);
	if (kind == PACKET_MALFORMED)
		return leave(PROXY_FRONT_MALFORMED, TC_ACT_SHOT);
	if (!is_listener(packet.destination, packet.destination_port))
		return leave(PROXY_FRONT_CLOSED_PORT, TC_ACT_SHOT);
	__u32 zero = 0;
	struct proxy_config *config = bpf_map_lookup_elem(&proxy_config, &zero);
	if (!config || !config->mss)
		return leave(PROXY_FRONT_NEVER_UNCONFIGURED, TC_ACT_SHOT);

	struct connection connection = { .client = packet.source,
					 .vip = packet.destination,
					 .client_port = packet.source_port,
					 .vip_port = packet.destination_port };
	struct splice *splice = bpf_map_lookup_elem(&splices, &connection);
	__u8 flags = packet.flags & (FLAG_SYN | FLAG_ACK | FLAG_RST | FLAG_FIN);
	if (flags & FLAG_SYN) {
		if (flags != FLAG_SYN)
			return leave(PROXY_FRONT_MALFORMED, TC_ACT_SHOT);
		if (!is_open(packet.destination, packet.destination_port))
			return leave(PROXY_FRONT_CLOSED_PORT, TC_ACT_SHOT);
		if (splice)
			challenge(splice, &packet);
		return answer_syn(skb, &packet, config, &connection, is_suspect(packet.source));
	}

	// Every segment of a client that knows the server's ISN acknowledges it (RFC 9293 §3.10.7.4).
	if (!(flags & (FLAG_ACK | FLAG_RST)))
		return leave(PROXY_FRONT_MALFORMED, TC_ACT_SHOT);
	struct segment_event event = { .connection = connection,
				       .sequence = packet.sequence,
				       .acknowledgement = packet.acknowledgement,
				       .payload = packet.payload,
				       .window = packet.window,
				       .flags = packet.flags };
	struct offer offer = {};
	if (judge(config, splice, &packet, &event, &offer) == THIS_CONNECTION && splice)
		return pass_on(skb, &packet, splice, &connection);

	if (flags & FLAG_RST)
		return leave(PROXY_FRONT_STRAY_RST, TC_ACT_SHOT);
	if (!packet.payload && is_unused(&packet, config, &connection, splice != 0, event.cookie == COOKIE_VALID, &offer))
		return leave_unused(skb, &packet);
	if (event.cookie == COOKIE_NONE && !may_ask(packet.source))
		return leave(PROXY_FRONT_STRAY_LIMITED, TC_ACT_SHOT);
	event.type = EVENT_SEGMENT;
	event.captured = packet.payload;
	event.time_ns = bpf_ktime_get_ns();
	event.mss = cookie_mss(offer.mss_index);
	event.window_scale = offer.window_scale;
	event.sack_permitted = offer.sack_permitted;
	if (sum_header(skb, &packet, &event))
		return leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT);
	if (emit(skb, &event, packet.options))
		return leave(PROXY_FRONT_RING_FULL, TC_ACT_SHOT);
	return leave(PROXY_FRONT_TO_USER, TC_ACT_SHOT);
}

SEC("tc") int proxy_back(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum packet_kind kind = read_packet(skb, &packet);
	__u32 zero = 0;
	struct proxy_config *config = bpf_map_lookup_elem(&proxy_config, &zero);
	if (kind == PACKET_NOT_OURS || !config)
		return leave(PROXY_BACK_PASSED, TC_ACT_OK);
	if (is_vip(packet.destination))
		return leave(PROXY_BACK_TO_VIP, TC_ACT_SHOT);
	if (kind == PACKET_TCP && is_vip(packet.source)) {
		struct connection connection = { .client = packet.destination,
						 .vip = packet.source,
						 .client_port = packet.destination_port,
						 .vip_port = packet.source_port };
		struct splice *splice = bpf_map_lookup_elem(&splices, &connection);
		if (splice)
			learn_from_server(&packet, splice, &connection);
	}
	if (!bpf_map_lookup_elem(&backends, &packet.source))
		return leave(PROXY_BACK_PASSED, TC_ACT_OK);
	if (kind == PACKET_MALFORMED)
		return leave(PROXY_BACK_MALFORMED, TC_ACT_SHOT);
	if (kind == PACKET_OTHER_PROTOCOL && packet.protocol == IPPROTO_IPIP && packet.destination == config->address)
		return read_reply(skb);
	if (kind == PACKET_TCP && packet.destination != config->address)
		return leave(PROXY_BACK_UNTRANSLATED, TC_ACT_SHOT);
	return leave(PROXY_BACK_PASSED, TC_ACT_OK);
}

char _license[] SEC("license") = "GPL";
