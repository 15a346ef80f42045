// The back end's half of the splice (P3.2): answers are translated where they are made, so they may leave by way of any proxy.
// Ingress learns from a proxy's SYN which connection is to be impersonated; egress turns the server's sequence numbers into
// the client's and puts the VIP in the server's place. The application and its kernel notice nothing.
#include "packet.h"
#include "rewrite.h"
#include "identity.h"
#include "reply.h"
#include "counters.h"

// The window scale that every proxy's SYN-ACK announces (when the client offered the option).
#define CLIENT_WINDOW_SCALE 7

enum agent_exit {
	AGENT_IN_PLAIN, // not a SYN of ours: goes to the kernel as it is
	AGENT_IN_BOUND, // a new translation was recorded
	AGENT_IN_REPEATED, // the same SYN again: nothing reset
	AGENT_IN_MALFORMED,
	AGENT_IN_UNKNOWN_PROXY, // identity option of another version or of a proxy that is not configured
	AGENT_IN_FORGED, // identity option whose MAC is wrong
	AGENT_IN_PORT_TAKEN, // the client uses that port of its own for another listener's connection to this host
	AGENT_OUT_PLAIN, // not spliced
	AGENT_OUT_TRANSLATED,
	AGENT_OUT_TO_PROXY, // what answers a SYN: SYN-ACK, RST or bare ACK, in an envelope
	AGENT_OUT_OWED, // how far the bytes that a proxy owes have got: to that proxy, in an envelope
	AGENT_OUT_NEVER_UNROUTABLE, // the asking proxy is no longer configured
	AGENT_OUT_NEVER_FAILED, // a kernel helper refused
	AGENT_EXITS,
};
COUNTERS(agent_exit, AGENT_EXITS)

struct agent_config {
	struct siphash_key identity_key;
	__be32 address; // this host's own, source of the envelopes
	__u32 pad;
};

struct binding_key {
	__be32 client;
	__be16 client_port;
	__be16 local_port;
};

// One impersonated connection.
struct binding {
	__u32 syn_isn; // sequence number of the SYN that made it, client space
	__u32 p0; // the sequence number that the client knows in place of the back end's own; `original_p0` unless it was moved
	__u32 delta; // p0 - s0; meaningless until `known`
	__u32 original_isn; // the client's
	__u32 original_p0; // the cookie that it was answered with
	__be32 vip;
	__be16 vip_port;
	__u16 proxy; // whom the answer to the SYN goes to
	__u8 known; // the back end's own SYN-ACK was seen
	__u8 local_scale; // its window scale
	__u8 client_scale; // the one the client was told; 0 when it offered none
	__u8 owing; // the proxy has not heard yet that all it owes has arrived
	__u32 owed_end; // sequence number behind the bytes that the client was told have arrived; meaningless unless `owing`
	__u16 order; // as in the identity option
	__u8 numbered; // `order` and `original_p0` are filled in: a former version's bindings have neither
	__u8 pad;
	__u64 created_ns; // CLOCK_MONOTONIC
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct agent_config);
	__uint(max_entries, 1);
} agent_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32); // proxy id
	__type(value, __be32);
	__uint(max_entries, 256);
} proxies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct binding_key);
	__type(value, struct binding);
	__uint(max_entries, 262144);
} bindings SEC(".maps");

// Puts the packet, as it is, into an IPv4 envelope (RFC 2003) to a proxy: addressed to the client it would be routed to any.
static __always_inline int send_to_proxy(struct __sk_buff *skb, __u32 proxy, enum agent_exit exit)
{
	__u32 zero = 0;
	struct agent_config *config = bpf_map_lookup_elem(&agent_config, &zero);
	__be32 *address = bpf_map_lookup_elem(&proxies, &proxy);
	if (!config || !address)
		return leave(AGENT_OUT_NEVER_UNROUTABLE, TC_ACT_SHOT);
	struct iphdr outer = {
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(skb->len - ETH_HLEN + sizeof(outer)),
		.frag_off = bpf_htons(0x4000),
		.ttl = 64,
		.protocol = IPPROTO_IPIP,
		.saddr = config->address,
		.daddr = *address,
	};
	outer.check = ip_checksum(&outer);
	if (bpf_skb_adjust_room(skb, sizeof(outer), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4) ||
	    bpf_skb_store_bytes(skb, IP_OFFSET, &outer, sizeof(outer), 0))
		return leave(AGENT_OUT_NEVER_FAILED, TC_ACT_SHOT);
	return leave(exit, bpf_redirect_neigh(skb->ifindex, 0, 0, 0));
}

// A client may use one port of its own towards two listeners. If both lead to this host, it sees the same 4-tuple twice: the
// second SYN would meet the first connection's socket, and take its translation away.
static __always_inline int is_port_taken(struct __sk_buff *skb, const struct packet *packet, const struct binding *known,
					 const struct identity_option *option)
{
	if (known->vip == option->vip && known->vip_port == option->vip_port)
		return 0;
	struct bpf_sock_tuple tuple = { .ipv4 = { .saddr = packet->source,
						  .daddr = packet->destination,
						  .sport = packet->source_port,
						  .dport = packet->destination_port } };
	struct bpf_sock *socket = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	__u32 state = socket->state;
	bpf_sk_release(socket);
	return state != BPF_TCP_LISTEN && state != BPF_TCP_TIME_WAIT && state != BPF_TCP_CLOSE;
}

// In the server's place: the proxy tries another back end at once.
static __always_inline int refuse(struct __sk_buff *skb, const struct packet *packet, __u32 proxy)
{
	if (send_reply(skb, packet, 0, packet->sequence + 1, FLAG_RST | FLAG_ACK, 0, 0) < 0)
		return leave(AGENT_OUT_NEVER_FAILED, TC_ACT_SHOT);
	return send_to_proxy(skb, proxy, AGENT_IN_PORT_TAKEN);
}

SEC("tc") int agent_in(struct __sk_buff *skb)
{
	struct packet packet = {};
	if (read_packet(skb, &packet) != PACKET_TCP || (packet.flags & (FLAG_SYN | FLAG_ACK)) != FLAG_SYN)
		return leave(AGENT_IN_PLAIN, TC_ACT_OK);
	struct syn_options syn = {};
	if (read_syn_options(skb, &packet, &syn))
		return leave(AGENT_IN_MALFORMED, TC_ACT_SHOT);
	if (!syn.identity)
		return leave(AGENT_IN_PLAIN, TC_ACT_OK); // somebody who speaks to the application directly
	if (syn.identity > MAX_OPTIONS - IDENTITY_LENGTH)
		return leave(AGENT_IN_MALFORMED, TC_ACT_SHOT);
	struct identity_option option;
	if (bpf_skb_load_bytes(skb, OPTIONS_OFFSET + syn.identity, &option, sizeof(option)))
		return leave(AGENT_IN_MALFORMED, TC_ACT_SHOT);
	__u32 zero = 0, proxy = bpf_ntohs(option.proxy);
	struct agent_config *config = bpf_map_lookup_elem(&agent_config, &zero);
	if (!config || option.version != IDENTITY_VERSION || !bpf_map_lookup_elem(&proxies, &proxy))
		return leave(AGENT_IN_UNKNOWN_PROXY, TC_ACT_SHOT);
	__be32 p0 = bpf_htonl(packet.acknowledgement);
	__be16 owed;
	if (bpf_skb_load_bytes(skb, TCP_OFFSET + offsetof(struct tcphdr, urg_ptr), &owed, sizeof(owed)))
		return leave(AGENT_IN_MALFORMED, TC_ACT_SHOT);
	struct identity_message message = {
		.client = packet.source,
		.backend = packet.destination,
		.client_port = packet.source_port,
		.backend_port = packet.destination_port,
		.syn_isn = bpf_htonl(packet.sequence),
		.p0 = p0,
		.proxy = option.proxy,
		.original_isn = option.original_isn,
		.original_p0 = option.original_p0,
		.vip = option.vip,
		.vip_port = option.vip_port,
		.order = option.order,
		.owed = owed,
	};
	// Without this, any host on the network could have a server speak in the VIP's name.
	if (identity_mac(&config->identity_key, &message) != option.mac)
		return leave(AGENT_IN_FORGED, TC_ACT_SHOT);

	struct binding_key key = {
		.client = packet.source, .client_port = packet.source_port, .local_port = packet.destination_port
	};
	enum agent_exit exit = AGENT_IN_BOUND;
	__u32 owed_end = packet.sequence + 1 + bpf_ntohs(owed);
	struct binding *known = bpf_map_lookup_elem(&bindings, &key);
	if (known && known->syn_isn == packet.sequence && known->p0 == packet.acknowledgement) {
		// The doubled SYN, or a peer that takes the set-up over: `delta` stays, only the answer goes to the one who asks now.
		known->proxy = proxy;
		if (option.order) // a proxy's late SYN does not make a moved connection new
			known->order = bpf_ntohs(option.order);
		known->owed_end = owed_end;
		known->owing = owed != 0;
		exit = AGENT_IN_REPEATED;
	} else if (known && is_port_taken(skb, &packet, known, &option)) {
		return refuse(skb, &packet, proxy);
	} else {
		struct binding binding = {
			.syn_isn = packet.sequence,
			.p0 = packet.acknowledgement,
			.original_isn = bpf_ntohl(option.original_isn),
			.original_p0 = bpf_ntohl(option.original_p0),
			.order = bpf_ntohs(option.order),
			.numbered = 1,
			.vip = option.vip,
			.vip_port = option.vip_port,
			.proxy = proxy,
			.client_scale = syn.window_scale == NO_WINDOW_SCALE ? 0 : CLIENT_WINDOW_SCALE,
			.owing = owed != 0,
			.owed_end = owed_end,
			.created_ns = bpf_ktime_get_ns(),
		};
		bpf_map_update_elem(&bindings, &key, &binding, BPF_ANY);
	}
	replace_tcp32(skb, TCP_OFFSET + offsetof(struct tcphdr, ack_seq), p0, 0);
	if (owed)
		replace_tcp16(skb, TCP_OFFSET + offsetof(struct tcphdr, urg_ptr), owed, 0);
	return leave(exit, TC_ACT_OK);
}

// The client was told that the bytes up to `owed_end` have arrived, and has discarded them. Until they have, only the proxy can
// send them again, so it is the proxy that must hear how far they got.
static __always_inline int concerns_proxy(struct __sk_buff *skb, const struct packet *packet, struct binding *binding)
{
	if (packet->payload || (packet->flags & (FLAG_ACK | FLAG_FIN | FLAG_RST)) != FLAG_ACK)
		return 0;
	if ((__s32)(packet->acknowledgement - binding->owed_end) < 0)
		return 1;
	// All is there: the proxy hears it once, and the client too. The copy for the client passes this program again.
	binding->owing = 0;
	bpf_clone_redirect(skb, skb->ifindex, 0);
	return 1;
}

SEC("tc") int agent_out(struct __sk_buff *skb)
{
	struct packet packet = {};
	if (read_packet(skb, &packet) != PACKET_TCP)
		return leave(AGENT_OUT_PLAIN, TC_ACT_OK);
	struct binding_key key = {
		.client = packet.destination, .client_port = packet.destination_port, .local_port = packet.source_port
	};
	struct binding *binding = bpf_map_lookup_elem(&bindings, &key);
	if (!binding)
		return leave(AGENT_OUT_PLAIN, TC_ACT_OK);

	if (packet.flags & FLAG_SYN) {
		struct syn_options syn = {};
		if (read_syn_options(skb, &packet, &syn))
			return leave(AGENT_OUT_NEVER_FAILED, TC_ACT_SHOT);
		binding->local_scale = syn.window_scale == NO_WINDOW_SCALE ? 0 : syn.window_scale;
		binding->delta = binding->p0 - packet.sequence;
		binding->known = 1;
		return send_to_proxy(skb, binding->proxy, AGENT_OUT_TO_PROXY);
	}
	// An RST with sequence number 0 refuses a SYN (RFC 9293 §3.5.2): the proxy's to hear, not the client's.
	if (!binding->known || ((packet.flags & FLAG_RST) && packet.sequence == 0))
		return send_to_proxy(skb, binding->proxy, AGENT_OUT_TO_PROXY);
	if (binding->owing && concerns_proxy(skb, &packet, binding))
		return send_to_proxy(skb, binding->proxy, AGENT_OUT_OWED);

	__u32 delta = binding->delta, scale = binding->local_scale, client_scale = binding->client_scale;
	__be32 vip = binding->vip;
	__be16 vip_port = binding->vip_port;
	replace_tcp32(skb, TCP_OFFSET + offsetof(struct tcphdr, seq), bpf_htonl(packet.sequence),
		      bpf_htonl(packet.sequence + delta));
	if (scale != client_scale) {
		__u32 window = ((__u32)packet.window << (scale & 15)) >> (client_scale & 15);
		if (window > 0xffff)
			window = 0xffff; // what cannot be said is kept back; the server's kernel offers it again
		replace_tcp16(skb, TCP_OFFSET + offsetof(struct tcphdr, window), bpf_htons(packet.window),
			      bpf_htons(window));
	}
	replace_tcp16(skb, TCP_OFFSET + offsetof(struct tcphdr, source), packet.source_port, vip_port);
	replace_address(skb, IP_OFFSET + offsetof(struct iphdr, saddr), packet.source, vip);
	return leave(AGENT_OUT_TRANSLATED, TC_ACT_OK);
}

char _license[] SEC("license") = "GPL";
