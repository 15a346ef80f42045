#pragma once
#include "client.h"
#include "flow.h"

// An envelope: a back end's answer to a SYN. The one to a proxy tells the numbers of that back end; the one to the logger is its own.
static __always_inline int open_envelope(struct __sk_buff *skb, const struct packet *packet)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} __attribute__((packed)) inner;
	__u32 start = IP_OFFSET + sizeof(struct iphdr);
	struct logger_config *config = own_config();
	if (!config || bpf_skb_load_bytes(skb, start, &inner, sizeof(inner)) || inner.ip.ihl != 5 ||
	    inner.ip.protocol != IPPROTO_TCP || inner.ip.saddr != packet->source)
		return leave(LOGGER_BACK_PLAIN, TC_ACT_OK);
	int is_mine = packet->destination == config->address;
	__u8 flags = ((__u8 *)&inner.tcp)[13];
	struct flow_key key = { .client = inner.ip.daddr,
				.peer = inner.ip.saddr,
				.client_port = inner.tcp.dest,
				.peer_port = inner.tcp.source };
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);
	__u32 slot = flow ? flow->slot : 0;
	struct track *track = flow ? bpf_map_lookup_elem(&tracks, &slot) : 0;
	if (!is_mine) {
		// Another proxy's bytes may have bound the connection meanwhile. What this one sends goes there then: it must be known
		// in whose numbers.
		if (track && (flags & (FLAG_SYN | FLAG_ACK)) == (FLAG_SYN | FLAG_ACK) && (!track->bound || !flow->known) &&
		    bpf_ntohl(inner.tcp.ack_seq) == track->isn + 1) {
			flow->delta = track->p0 - bpf_ntohl(inner.tcp.seq);
			if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), flow->mac, ETH_ALEN))
				return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
			flow->known = 1;
		}
		return leave(LOGGER_BACK_PLAIN, TC_ACT_OK);
	}
	__u32 options = inner.tcp.doff * 4 - sizeof(inner.tcp);
	if (options > MAX_OPTIONS)
		return leave(LOGGER_BACK_MALFORMED, TC_ACT_SHOT);
	struct log_event event = { .type = LOG_REPLY,
				   .captured = options,
				   .time_ns = bpf_ktime_get_ns(),
				   .slot = slot,
				   .generation = track ? track->generation : 0,
				   .sequence = bpf_ntohl(inner.tcp.seq),
				   .acknowledgement = bpf_ntohl(inner.tcp.ack_seq),
				   .backend = inner.ip.saddr,
				   .backend_port = inner.tcp.source,
				   .window = bpf_ntohs(inner.tcp.window),
				   .flags = flags,
				   .client = inner.ip.daddr,
				   .client_port = inner.tcp.dest };
	if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), event.mac, ETH_ALEN))
		return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
	if (emit(skb, &event, start + sizeof(inner)))
		return leave(LOGGER_BACK_RING_FULL, TC_ACT_SHOT);
	return leave(LOGGER_BACK_REPLY, TC_ACT_SHOT);
}

static __always_inline int steer(struct __sk_buff *skb, const struct packet *packet, enum logger_exit exit)
{
	struct next_hop *hop =
		choose_next_hop(packet->destination, packet->destination_port, packet->source, packet->source_port);
	if (!hop || !hop->ifindex)
		return leave(LOGGER_BACK_NO_PROXY, TC_ACT_SHOT);
	return leave(exit, send_to(hop));
}

// Whether user space wants these bytes.
static __always_inline int is_skipped(const struct track *track, __u32 end)
{
	__u64 skip = track->skip;
	return skip >> 32 && ahead(end, (__u32)skip) <= 0;
}

// Two processors may carry one connection's packets: the number must not go back. Negative: it could not be set.
static __always_inline int advance(__u32 *at, __u32 end)
{
	for (int i = 0; i < 16; i++) {
		__u32 known = *(volatile __u32 *)at;
		if (ahead(end, known) <= 0)
			return 0;
		if (__sync_val_compare_and_swap(at, known, end) == known)
			return 0;
	}
	return -1;
}

static __always_inline int from_server(struct __sk_buff *skb, struct packet *packet)
{
	struct flow_key key = { .client = packet->destination,
				.peer = packet->source,
				.client_port = packet->destination_port,
				.peer_port = packet->source_port };
	struct flow *flow = bpf_map_lookup_elem(&flows, &key);
	__u32 slot = flow ? flow->slot : 0;
	struct track *track = flow ? bpf_map_lookup_elem(&tracks, &slot) : 0;
	if (!track || !track->bound)
		return steer(skb, packet, LOGGER_BACK_UNLOGGED);
	__u8 mac[ETH_ALEN];
	if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), mac, ETH_ALEN))
		return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
	// The VIP is everybody's: only the link layer tells which back end speaks.
	if (!is_same_station(mac, track->mac))
		return leave(LOGGER_BACK_FORMER, TC_ACT_SHOT);
	__u64 now = bpf_ktime_get_ns();
	track->server_ns = now;
	__u32 end = packet->sequence + packet->payload;
	if (packet->payload && ahead(end, track->server_seen) > 0)
		track->server_seen = end;
	if ((packet->flags & FLAG_ACK) && ahead(packet->acknowledgement, track->server_acked) > 0)
		track->server_acked = packet->acknowledgement;

	int diverted = track->server_mode == SERVER_DIVERTED;
	int skipped = track->server_mode == SERVER_SKIPPED && packet->payload && ahead(end, track->client_ack) <= 0;
	int is_new = packet->payload && ahead(end, track->server_logged) > 0, is_wanted = is_new && !is_skipped(track, end) && track->client_mode != CLIENT_UNLOGGED;
	int ends = packet->flags & (FLAG_FIN | FLAG_RST);
	enum logger_exit way = LOGGER_BACK_STEERED;
	// While a request is being delivered again, its acknowledgements set the pace.
	int paces = is_held(track) && !packet->payload;
	if (diverted || skipped || ends || is_wanted || paces) {
		struct log_event event = event_of(LOG_SERVER, slot, track, packet);
		event.time_ns = now;
		event.held = diverted || skipped;
		event.captured = skipped || !(is_wanted || diverted) ? 0 : packet->payload;
		int is_lost = emit(skb, &event, OPTIONS_OFFSET + packet->options);
		// An end that nobody judges is what it says.
		if (!diverted && !skipped && (is_lost || ends) && goes_unattended(track))
			way = LOGGER_BACK_UNATTENDED;
		else if (is_lost)
			return leave(LOGGER_BACK_RING_FULL, TC_ACT_SHOT);
	}
	if ((packet->flags & FLAG_RST) && way != LOGGER_BACK_UNATTENDED)
		return leave(LOGGER_BACK_ENDED, TC_ACT_SHOT);
	if (diverted || skipped)
		return leave(LOGGER_BACK_DIVERTED, TC_ACT_SHOT);
	// Behind a gap nothing counts as logged, so that what fills it is.
	if (is_new && ahead(packet->sequence, track->server_logged) <= 0)
		track->server_logged = end;
	if (packet->payload && ahead(end, track->server_next) > 0) {
		// Full barriers on both sides: either user space, which closes the way first and reads then how far the client may have
		// heard, sees these bytes, or they see the way closed.
		if (advance(&track->server_next, end))
			return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
		if (track->server_mode == SERVER_DIVERTED)
			return leave(LOGGER_BACK_FENCED_NOW, TC_ACT_SHOT);
	}
	// A FIN is a failure, an idle time-out or the end: user space finds out, and says the last of them itself.
	if ((packet->flags & FLAG_FIN) && !track->end_passes) {
		__u16 offset = TCP_OFFSET + 12;
		__be16 old;
		if (bpf_skb_load_bytes(skb, offset, &old, sizeof(old)))
			return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
		replace_tcp16(skb, offset, old, old & ~bpf_htons(FLAG_FIN));
	}
	// An alternate to which the request is being delivered again acknowledges what the client was told long ago, so long that the
	// client would discard the data that comes with it (RFC 5961 §5.2). Blocks that it has selected are no longer news either. What
	// the back end itself has overtaken goes on as it is: raised, its blocks would lie below what it acknowledges.
	if (packet->flags & FLAG_ACK) {
		__u32 told = track->told;
		if (ahead(packet->acknowledgement, told) > 0)
			track->told = packet->acknowledgement;
		else if (ahead(told, track->server_acked) > 0) {
			replace_tcp32(skb, TCP_OFFSET + offsetof(struct tcphdr, ack_seq),
				      bpf_htonl(packet->acknowledgement), bpf_htonl(told));
			if (packet->options && erase_sack(skb, packet))
				return leave(LOGGER_NEVER_FAILED, TC_ACT_SHOT);
		}
	}
	return steer(skb, packet, way);
}
