#pragma once
#include "events.h"
#include "exits.h"
#include "identity.h"
#include "sack.h"

static __always_inline struct log_event event_of(enum log_type type, __u32 slot, const struct track *track,
						 const struct packet *packet)
{
	return (struct log_event){ .type = type,
				   .time_ns = bpf_ktime_get_ns(),
				   .slot = slot,
				   .generation = track->generation,
				   .sequence = packet->sequence,
				   .acknowledgement = packet->acknowledgement,
				   .payload = packet->payload,
				   .backend = track->backend,
				   .backend_port = track->backend_port,
				   .window = packet->window,
				   .flags = packet->flags };
}

// A proxy's SYN in a client's name: who the client is and which numbers it knows is in its identity option. Another back end may be
// asked for the same connection; the addresses may also have been used by a connection before.
static __always_inline int open_track(struct __sk_buff *skb, const struct packet *packet)
{
	struct syn_options syn = {};
	struct identity_option option;
	struct logger_config *config = own_config();
	if (read_syn_options(skb, packet, &syn) || !syn.identity || syn.identity > MAX_OPTIONS - IDENTITY_LENGTH || !config)
		return leave(LOGGER_MIDDLE_PLAIN, TC_ACT_OK);
	__be16 owed;
	if (bpf_skb_load_bytes(skb, OPTIONS_OFFSET + syn.identity, &option, sizeof(option)) ||
	    bpf_skb_load_bytes(skb, TCP_OFFSET + offsetof(struct tcphdr, urg_ptr), &owed, sizeof(owed)))
		return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
	struct identity_message message = {
		.client = packet->source,
		.backend = packet->destination,
		.client_port = packet->source_port,
		.backend_port = packet->destination_port,
		.syn_isn = bpf_htonl(packet->sequence),
		.p0 = bpf_htonl(packet->acknowledgement),
		.proxy = option.proxy,
		.original_isn = option.original_isn,
		.original_p0 = option.original_p0,
		.vip = option.vip,
		.vip_port = option.vip_port,
		.order = option.order,
		.owed = owed,
	};
	if (option.version != IDENTITY_VERSION || identity_mac(&config->identity_key, &message) != option.mac)
		return leave(LOGGER_MIDDLE_FORGED, TC_ACT_SHOT);

	struct flow_key of_client = {
		.client = packet->source, .peer = option.vip, .client_port = packet->source_port, .peer_port = option.vip_port
	};
	struct flow_key of_proxy = { .client = packet->source,
				     .peer = packet->destination,
				     .client_port = packet->source_port,
				     .peer_port = packet->destination_port };
	struct flow *flow = bpf_map_lookup_elem(&flows, &of_client);
	__u32 slot = flow ? flow->slot : 0;
	struct track *track = flow ? bpf_map_lookup_elem(&tracks, &slot) : 0;
	int is_new = !track || track->isn != packet->sequence || track->p0 != packet->acknowledgement;
	if (is_new) {
		__s64 free = take_slot(config);
		if (free < 0)
			return config->guards ? leave(LOGGER_MIDDLE_UNJUDGED, TC_ACT_SHOT) :
						leave(LOGGER_MIDDLE_NO_ROOM, TC_ACT_OK);
		if (track) {
			struct log_event ended = event_of(LOG_ENDED, slot, track, packet);
			emit(skb, &ended, 0); // if it is lost, the sweep finds that the addresses lead elsewhere
		}
		slot = free;
		track = bpf_map_lookup_elem(&tracks, &slot);
		if (!track)
			return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
		__u32 generation = track->generation + 1;
		__builtin_memset(track, 0, sizeof(*track));
		track->client = packet->source;
		track->vip = option.vip;
		track->client_port = packet->source_port;
		track->vip_port = option.vip_port;
		track->generation = generation;
		track->isn = packet->sequence;
		track->p0 = packet->acknowledgement;
		track->guarded = is_guarded(option.vip, option.vip_port);
		track->client_logged = track->server_acked = track->told = track->request_at = packet->sequence + 1;
		track->client_ack = track->server_next = track->server_logged = track->server_seen = track->response_at = packet->acknowledgement + 1;
		struct flow own = { .slot = slot, .known = 1 };
		bpf_map_update_elem(&flows, &of_client, &own, BPF_ANY);
	}
	struct flow *known = bpf_map_lookup_elem(&flows, &of_proxy);
	if (!known || known->slot != slot) {
		struct flow peer = { .slot = slot };
		bpf_map_update_elem(&flows, &of_proxy, &peer, BPF_ANY);
	}
	// Not told yet: this is the first one, or the ring was full when that came.
	if (!track->client_ns) {
		struct log_event event = event_of(LOG_OPENED, slot, track, packet);
		event.captured = packet->options;
		if (emit(skb, &event, OPTIONS_OFFSET)) {
			if (track->guarded || !goes_unattended(track))
				return leave(LOGGER_MIDDLE_RING_FULL, TC_ACT_SHOT);
			track->client_ns = bpf_ktime_get_ns();
			return leave(LOGGER_MIDDLE_UNATTENDED, TC_ACT_OK);
		}
	}
	track->client_ns = bpf_ktime_get_ns();
	return leave(LOGGER_MIDDLE_OPENED, TC_ACT_OK);
}

// Who sees a connection's packets acknowledges what it was sent, its FIN included, and not much less than before: who guesses does not
// (RFC 5961 §5.2). The back end's kernel would find out, but not behind `redirect_to_present`, and not for the log.
#define PLAUSIBLE_WINDOW (4 << 20)
static __always_inline int is_plausible(const struct track *track, __u32 acknowledgement)
{
	return ahead(acknowledgement, track->server_next) <= 1 && ahead(track->client_ack, acknowledgement) < PLAUSIBLE_WINDOW;
}

// By how much a proxy's packet was translated. When a connection has come back to a back end that it had left, a proxy that has not
// heard yet still translates for the former socket there: only one of the two makes sense of what the client acknowledges.
static __always_inline __u32 delta_of(const struct flow *flow, const struct track *track, const struct packet *packet)
{
	if (!flow->came_back)
		return flow->delta;
	__u32 former = packet->acknowledgement + flow->former_delta, present = packet->acknowledgement + flow->delta;
	return is_plausible(track, former) && !is_plausible(track, present) ? flow->former_delta : flow->delta;
}

// What a proxy sends to a back end that the connection has left goes to the one that has it. And no server hears an acknowledgement
// of what it has not sent yet: it would discard the data that comes with it (RFC 9293 §3.10.7.4).
// What such an acknowledgement says of the client's room, counted from the byte that it names, is told from where it is cut to.
static __always_inline int redirect_to_present(struct __sk_buff *skb, const struct packet *packet, __u32 translated,
					       const struct track *track, __u32 acknowledgement)
{
	__u32 delta = track->delta, clamped = acknowledgement;
	__be32 backend = track->backend;
	__be16 port = track->backend_port;
	if (!track->end_passes && ahead(clamped, track->server_seen) > 0) {
		clamped = track->server_seen;
		__u32 offered = track->traits >> TRAITS & 15, scale = offered == NO_WINDOW_SCALE ? 0 : offered;
		__u32 window = packet->window + ((acknowledgement - clamped) >> scale);
		if (window > 0xffff)
			window = 0xffff;
		replace_tcp16(skb, TCP_OFFSET + offsetof(struct tcphdr, window), bpf_htons(packet->window), bpf_htons(window));
	}
	if (packet->acknowledgement != clamped - delta)
		replace_tcp32(skb, TCP_OFFSET + offsetof(struct tcphdr, ack_seq), bpf_htonl(packet->acknowledgement),
			      bpf_htonl(clamped - delta));
	if (delta != translated && packet->options && translate_sack(skb, packet, delta - translated))
		return -1;
	if (packet->destination_port != port)
		replace_tcp16(skb, TCP_OFFSET + offsetof(struct tcphdr, dest), packet->destination_port, port);
	if (packet->destination != backend)
		replace_address(skb, IP_OFFSET + offsetof(struct iphdr, daddr), packet->destination, backend);
	return 0;
}

#define STRAY_INTERVAL_NS 1000000
#define STRAY_BURST 100

// While a listener is guarded, a connection that is in no table may be its. Told, so that its client need not wait for ever.
static __always_inline int drop_unjudged(struct __sk_buff *skb, const struct packet *packet, struct logger_config *config)
{
	if (take_one(&config->strays_ns, bpf_ktime_get_ns(), STRAY_INTERVAL_NS, STRAY_BURST)) {
		struct log_event event = { .type = LOG_STRAY,
					   .time_ns = bpf_ktime_get_ns(),
					   .sequence = packet->sequence,
					   .acknowledgement = packet->acknowledgement,
					   .payload = packet->payload,
					   .backend = packet->destination,
					   .backend_port = packet->destination_port,
					   .client = packet->source,
					   .client_port = packet->source_port };
		emit(skb, &event, 0);
	}
	return leave(LOGGER_MIDDLE_UNJUDGED, TC_ACT_SHOT);
}

static __always_inline int from_client(struct __sk_buff *skb, const struct packet *packet)
{
	struct flow_key key = { .client = packet->source,
				.peer = packet->destination,
				.client_port = packet->source_port,
				.peer_port = packet->destination_port };
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow || !flow->known) {
		struct logger_config *config = own_config();
		if (config && config->guards && !(packet->flags & FLAG_RST))
			return drop_unjudged(skb, packet, config);
		return leave(LOGGER_MIDDLE_PLAIN, TC_ACT_OK);
	}
	__u32 slot = flow->slot;
	struct track *track = bpf_map_lookup_elem(&tracks, &slot);
	if (!track)
		return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
	if (packet->flags & FLAG_RST) {
		// A proxy's own, against an old socket, is no word of the client's.
		__u8 tos;
		if (bpf_skb_load_bytes(skb, IP_OFFSET + offsetof(struct iphdr, tos), &tos, sizeof(tos)) ||
		    (tos & 0xfc) == SELF_MADE_TOS)
			return leave(LOGGER_MIDDLE_PLAIN, TC_ACT_OK);
	}
	__u32 translated = delta_of(flow, track, packet), acknowledgement = packet->acknowledgement + translated;
	if ((packet->flags & (FLAG_ACK | FLAG_RST)) == FLAG_ACK && !is_plausible(track, acknowledgement))
		return leave(LOGGER_MIDDLE_IMPLAUSIBLE, TC_ACT_SHOT);
	if (!track->bound) {
		track->backend = packet->destination;
		track->backend_port = packet->destination_port;
		track->delta = flow->delta;
		__builtin_memcpy(track->mac, flow->mac, ETH_ALEN);
		track->bound = 1;
	}
	__u64 now = bpf_ktime_get_ns();
	track->client_ns = now;
	track->client_window = packet->window;
	if ((packet->flags & FLAG_ACK) && ahead(acknowledgement, track->client_ack) > 0 &&
	    ahead(acknowledgement, track->server_next) <= 0)
		track->client_ack = acknowledgement;
	__u32 end = packet->sequence + packet->payload;
	int held = is_held(track);
	int is_unlogged = track->client_mode == CLIENT_UNLOGGED;
	enum logger_exit way = LOGGER_MIDDLE_REPEATED;
	// Anybody can send a FIN in a client's name. One behind a gap is told each time it comes, as bytes are.
	int ends = (packet->flags & FLAG_FIN) && !track->client_ended && ahead(end, track->client_logged) >= 0;
	int is_new = (packet->payload && !is_unlogged && ahead(end, track->client_logged) > 0) || ends ||
		     (packet->flags & FLAG_RST);
	// A client that asks whether anybody is there sends the number before its next one (RFC 9293 §3.8.4).
	int asks = held && track->server_mode == SERVER_DIVERTED && ahead(packet->sequence, track->client_logged) < 0;
	// Held bytes are told again when they are sent again: the client may miss an answer.
	if (is_new || asks || (held && packet->payload)) {
		struct log_event event = event_of(LOG_CLIENT, slot, track, packet);
		event.time_ns = now;
		event.acknowledgement = acknowledgement;
		event.held = held && !(packet->flags & FLAG_RST);
		event.captured = packet->payload;
		if (!emit(skb, &event, OPTIONS_OFFSET + packet->options))
			way = LOGGER_MIDDLE_LOGGED;
		else if (!held && goes_unattended(track))
			way = LOGGER_MIDDLE_UNATTENDED;
		else
			return leave(LOGGER_MIDDLE_RING_FULL, TC_ACT_SHOT);
		// Behind a gap nothing counts as logged, so that what fills it is.
		if (packet->payload && ahead(packet->sequence, track->client_logged) <= 0 && ahead(end, track->client_logged) > 0)
			track->client_logged = end;
		if (ends && end == track->client_logged)
			track->client_ended = 1;
	}
	// What a client acknowledges concerns an alternate as soon as its bytes pass.
	if (held && (packet->payload || (packet->flags & FLAG_FIN) || track->server_mode == SERVER_DIVERTED))
		return leave(LOGGER_MIDDLE_HELD, TC_ACT_SHOT);
	if (redirect_to_present(skb, packet, translated, track, acknowledgement))
		return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
	return leave(way, TC_ACT_OK);
}
