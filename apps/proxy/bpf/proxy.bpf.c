// The proxy's kernel half (P2.1, P3.1): it relays from client to back end by changing headers, and keeps no byte of either.
//   proxy_front, ingress from the balancers: SYN -> SYN-ACK with a cookie; spliced -> translated, and so is what routers say
//   about the path's MTU; anything else -> user space.
//   proxy_back, ingress from the back ends: answers to our own SYNs -> user space; the clients' bytes pass through.
#include "packet.h"
#include "rewrite.h"
#include "icmp.h"
#include "sack.h"
#include "identity.h"
#include "cookie.h"
#include "reply.h"
#include "listener.h"
#include "counters.h"

#define CLIENT_WINDOW_SCALE 7 // announced to clients that offer the option; the agents rescale to it
#define CLIENT_WINDOW 64240 // announced before a server has been chosen: what a proxy is willing to hold back

enum proxy_exit {
	PROXY_FRONT_NOT_FOR_VIP,
	PROXY_FRONT_SPLICED,
	PROXY_FRONT_PATH_MTU, // a router's "fragmentation needed", translated
	PROXY_FRONT_PATH_MTU_STRAY, // about a connection that is not known here: the router says it again
	PROXY_FRONT_SYN_ANSWERED,
	PROXY_FRONT_HANDSHAKE_DONE, // the handshake's last ACK: no state until there is a request
	PROXY_FRONT_CLOSED_UNUSED, // opened and closed without a byte
	PROXY_FRONT_TO_USER, // a request's first packets, or a connection that another proxy knows
	PROXY_FRONT_STRAY_RST, // nothing it could reset
	PROXY_FRONT_CLOSED_PORT,
	PROXY_FRONT_OTHER_PROTOCOL,
	PROXY_FRONT_MALFORMED,
	PROXY_FRONT_SYN_WITH_DATA, // Fast Open without a cookie of ours (RFC 7413): the client sends the data again
	PROXY_FRONT_RING_FULL, // user space is behind; the client sends it again
	PROXY_FRONT_NEVER_UNCONFIGURED,
	PROXY_FRONT_NEVER_FAILED, // a kernel helper refused
	PROXY_BACK_PASSED, // translated answers on their way to the clients, and control
	PROXY_BACK_REPLY, // what answered one of our SYNs
	PROXY_BACK_UNTRANSLATED, // from a back end, but not translated: no client could make sense of it
	PROXY_BACK_TO_VIP, // nothing to the VIP is ever routed on
	PROXY_BACK_RING_FULL,
	PROXY_BACK_MALFORMED,
	PROXY_EXITS,
};
COUNTERS(proxy_exit, PROXY_EXITS)

struct proxy_config {
	struct cookie_clock clock;
	__be32 address; // where envelopes from back ends are sent to
	__u16 mss; // announced to clients, bytes
	__u16 pad;
};

enum splice_flag {
	SPLICE_CHALLENGED = 1, // the client sent a new SYN; `challenge_isn` is its ISN
	SPLICE_CLOSED = 2, // the client's FIN or RST has passed
	SPLICE_SERVER_CLOSED = 4, // the server's has
};

// One connection (key: struct connection). Sequence numbers are the client's; only acknowledgements need the delta.
struct splice {
	__be32 backend;
	__be16 backend_port;
	__u16 backend_id;
	__u32 delta; // p0 - s0
	__u32 isn; // the client's
	__u32 p0;
	__u32 client_next; // end of what the client has sent through this proxy; meaningless while seen_ns is 0
	__u32 challenge_isn;
	__u16 owner; // the proxy that made it
	__u8 flags;
	__u8 pad;
	__u64 created_ms; // wall clock
	__u64 seen_ns; // CLOCK_MONOTONIC (coarse) of the last packet through this proxy; 0: none
};

enum event_type {
	EVENT_SEGMENT, // from a client that is not spliced here
	EVENT_CLOSE, // a spliced client's FIN or RST has passed
	EVENT_REPLY, // from a back end, to a SYN of ours
};

// Followed by `captured` bytes of payload.
struct segment_event {
	__u32 type;
	__u32 captured;
	__u64 time_ns; // CLOCK_MONOTONIC: a proxy that thaws discards old ones
	struct connection connection;
	__u32 sequence, acknowledgement;
	__u32 payload; // bytes in the packet
	__u16 window;
	__u16 mss; // from here on: from the cookie
	__u8 window_scale;
	__u8 sack_permitted;
	__u8 flags;
	__u8 cookie; // 1: acknowledgement - 1 is a cookie of ours for sequence - 1
	__u32 pad;
};

struct reply_event {
	__u32 type;
	__u32 options; // bytes used in option_bytes
	__u64 time_ns;
	__be32 backend, client;
	__be16 backend_port, client_port;
	__u32 sequence, acknowledgement;
	__u16 window;
	__u16 flags;
	__u8 option_bytes[MAX_OPTIONS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct proxy_config);
	__uint(max_entries, 1);
} proxy_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct connection);
	__type(value, struct splice);
	__uint(max_entries, 262144);
} splices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __be32);
	__type(value, __u32);
	__uint(max_entries, 256);
} backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps");

// Keep these types in the BTF, from which the TypeScript layouts are generated.
const enum event_type event_types __attribute__((used)) = EVENT_SEGMENT;
const enum splice_flag splice_flags __attribute__((used)) = SPLICE_CLOSED;
struct segment_event segment_layout __attribute__((used));
struct reply_event reply_layout __attribute__((used));

// Fixed sizes, since the ring reserves nothing else; a head fits the second, a GSO packet the last.
#define CAPTURE(SIZE)                                                                                          \
	do {                                                                                                   \
		struct {                                                                                       \
			struct segment_event event;                                                            \
			__u8 bytes[SIZE];                                                                      \
		} *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);                                  \
		if (!record)                                                                                   \
			return -1;                                                                             \
		record->event = *event;                                                                        \
		if (bpf_skb_load_bytes(skb, OPTIONS_OFFSET + options, record->bytes, length)) {                \
			bpf_ringbuf_discard(record, 0);                                                        \
			return -1;                                                                             \
		}                                                                                              \
		bpf_ringbuf_submit(record, 0);                                                                 \
	} while (0)

static __attribute__((noinline)) int emit(struct __sk_buff *skb, struct segment_event *event, __u32 options)
{
	if (!event || options > MAX_OPTIONS)
		return -1;
	__u32 length = event->captured;
	if (length == 0) {
		struct segment_event *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
		if (!record)
			return -1;
		*record = *event;
		bpf_ringbuf_submit(record, 0);
	} else if (length <= 2048) {
		CAPTURE(2048);
	} else if (length <= 16384) {
		CAPTURE(16384);
	} else if (length <= 65536) {
		CAPTURE(65536);
	} else {
		return -1;
	}
	return 0;
}

static __always_inline int answer_syn(struct __sk_buff *skb, const struct packet *packet, struct proxy_config *config,
				      const struct connection *connection)
{
	struct syn_options syn = {};
	if (packet->payload)
		return leave(PROXY_FRONT_SYN_WITH_DATA, TC_ACT_SHOT);
	if (read_syn_options(skb, packet, &syn))
		return leave(PROXY_FRONT_MALFORMED, TC_ACT_SHOT);
	struct offer offer = { .mss_index = cookie_mss_index(syn.mss),
			       .window_scale = syn.window_scale,
			       .sack_permitted = syn.sack_permitted };
	__u8 options[REPLY_OPTIONS] = { OPTION_MSS, 4, config->mss >> 8, config->mss & 0xff, OPTION_NOP, OPTION_NOP,
					OPTION_NOP, OPTION_NOP, OPTION_NOP, OPTION_NOP, OPTION_NOP, OPTION_NOP };
	if (offer.sack_permitted) {
		options[4] = OPTION_SACK_PERMITTED;
		options[5] = 2;
	}
	if (offer.window_scale != NO_WINDOW_SCALE) {
		options[7] = OPTION_WINDOW_SCALE;
		options[8] = 3;
		options[9] = CLIENT_WINDOW_SCALE;
	}
	// No timestamps (they would have to be translated), no ECN echo, no Fast Open.
	__u32 p0 = make_cookie(&config->clock, connection, packet->sequence, &offer);
	int verdict = send_reply(skb, packet, p0, packet->sequence + 1, FLAG_SYN | FLAG_ACK, CLIENT_WINDOW, options);
	return verdict < 0 ? leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT) : leave(PROXY_FRONT_SYN_ANSWERED, verdict);
}

#define PLAUSIBLE (4 << 20) // bytes from where the client was last seen: more than a window and what may overtake
#define FIRST_FLIGHT (64 << 10) // bytes that a client sends before anybody has acknowledged one

// Clients use their ports again, at once if the server closed first, and the SYN may have passed another proxy. So an entry
// alone does not prove that a packet is its connection's.
enum belonging {
	THIS_CONNECTION,
	PERHAPS_ANOTHER, // another's if it bears a cookie
	ANOTHER_CONNECTION, // or one that has gone far ahead while its packets passed another proxy: user space knows
};

static __always_inline enum belonging belongs(const struct splice *splice, const struct packet *packet)
{
	if (!splice->seen_ns)
		return PERHAPS_ANOTHER;
	__s32 ahead = packet->sequence - splice->client_next;
	if (ahead > PLAUSIBLE || ahead < -PLAUSIBLE)
		return ANOTHER_CONNECTION;
	if (splice->flags & SPLICE_CLOSED) {
		// Nothing new comes behind a FIN.
		if (packet->payload && ahead >= 0)
			return ANOTHER_CONNECTION;
		if ((splice->flags & SPLICE_CHALLENGED) &&
		    packet->sequence - splice->challenge_isn - 1 < FIRST_FLIGHT)
			return packet->payload ? ANOTHER_CONNECTION : PERHAPS_ANOTHER;
	}
	if ((splice->flags & SPLICE_CHALLENGED) && packet->sequence == splice->challenge_isn + 1)
		return PERHAPS_ANOTHER;
	return THIS_CONNECTION;
}

// From here on the packet belongs to the back end: destination, acknowledgement and SACK blocks change, nothing else.
static __always_inline int to_backend(struct __sk_buff *skb, const struct packet *packet, const struct splice *splice)
{
	__u32 delta = splice->delta;
	__be32 backend = splice->backend;
	__be16 port = splice->backend_port;
	if (packet->flags & FLAG_ACK) {
		if (packet->options && translate_sack(skb, packet, delta))
			return leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT);
		replace_tcp32(skb, TCP_OFFSET + offsetof(struct tcphdr, ack_seq), bpf_htonl(packet->acknowledgement),
			      bpf_htonl(packet->acknowledgement - delta));
	}
	replace_tcp16(skb, TCP_OFFSET + offsetof(struct tcphdr, dest), packet->destination_port, port);
	replace_address(skb, IP_OFFSET + offsetof(struct iphdr, daddr), packet->destination, backend);
	return leave(PROXY_FRONT_SPLICED, TC_ACT_OK);
}

// A miss is not worth a question to the peers: the back end sends again what did not get through, and so does the router. Nor
// is the entry touched, since anybody can send this.
static __always_inline int path_mtu_to_backend(struct __sk_buff *skb, const struct packet *packet)
{
	struct path_mtu message;
	__u32 length;
	enum icmp_kind kind = read_path_mtu(skb, packet, &message, &length);
	if (kind == ICMP_OTHER)
		return leave(PROXY_FRONT_OTHER_PROTOCOL, TC_ACT_SHOT);
	if (kind == ICMP_MALFORMED)
		return leave(PROXY_FRONT_MALFORMED, TC_ACT_SHOT);
	struct connection connection = { .client = message.quote.ip.daddr,
					 .vip = message.quote.ip.saddr,
					 .client_port = message.quote.destination_port,
					 .vip_port = message.quote.source_port };
	if (!is_listener(connection.vip, connection.vip_port))
		return leave(PROXY_FRONT_CLOSED_PORT, TC_ACT_SHOT);
	struct splice *splice = bpf_map_lookup_elem(&splices, &connection);
	if (!splice)
		return leave(PROXY_FRONT_PATH_MTU_STRAY, TC_ACT_SHOT);
	if (translate_path_mtu(skb, &message, length, packet->destination, splice->backend, splice->backend_port,
			       splice->delta))
		return leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT);
	return leave(PROXY_FRONT_PATH_MTU, TC_ACT_OK);
}

SEC("tc") int proxy_front(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum packet_kind kind = read_packet(skb, &packet);
	if (kind == PACKET_NOT_OURS || !is_vip(packet.destination))
		return leave(PROXY_FRONT_NOT_FOR_VIP, TC_ACT_OK);
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
		if (splice && packet.sequence != splice->isn) {
			// The client may have forgotten the connection and use its port again; or somebody forges. Only the ACK of the
			// cookie tells, so the entry stays.
			splice->challenge_isn = packet.sequence;
			splice->flags |= SPLICE_CHALLENGED;
		}
		return answer_syn(skb, &packet, config, &connection);
	}

	struct segment_event event = { .connection = connection,
				       .sequence = packet.sequence,
				       .acknowledgement = packet.acknowledgement,
				       .payload = packet.payload,
				       .window = packet.window,
				       .flags = packet.flags };
	struct offer offer = {};
	enum belonging belonging = splice ? belongs(splice, &packet) : ANOTHER_CONNECTION;
	if (belonging != THIS_CONNECTION) {
		event.cookie = (flags & FLAG_ACK) && check_cookie(&config->clock, &connection, packet.sequence - 1,
								  packet.acknowledgement - 1, &offer);
		// The first request's own retransmission, on a proxy that has seen nothing of its connection yet.
		if (splice && event.cookie && packet.sequence - 1 == splice->isn)
			belonging = THIS_CONNECTION;
		else if (belonging == PERHAPS_ANOTHER && !event.cookie)
			belonging = THIS_CONNECTION;
	}
	if (splice && belonging == THIS_CONNECTION) {
		__u32 next = packet.sequence + packet.payload + !!(flags & FLAG_FIN);
		// An RST counts only at the exact sequence (RFC 5961 §3.2); the server's kernel judges it again.
		if ((flags & FLAG_FIN) || ((flags & FLAG_RST) && packet.sequence == splice->client_next)) {
			splice->flags |= SPLICE_CLOSED;
			event.type = EVENT_CLOSE;
			event.time_ns = bpf_ktime_get_ns();
			emit(skb, &event, 0); // lost when the ring is full: the sweep finds the flag
		}
		if (!(flags & FLAG_RST) && (!splice->seen_ns || (__s32)(next - splice->client_next) > 0))
			splice->client_next = next;
		splice->seen_ns = bpf_ktime_get_coarse_ns();
		return to_backend(skb, &packet, splice);
	}

	if (flags & FLAG_RST)
		return leave(PROXY_FRONT_STRAY_RST, TC_ACT_SHOT);
	if (!splice && !packet.payload && !(flags & FLAG_FIN)) {
		// The handshake's last ACK, or that of a connection that was closed unused: our FIN-ACK was one further.
		if (event.cookie || check_cookie(&config->clock, &connection, packet.sequence - 2,
						 packet.acknowledgement - 2, &offer))
			return leave(PROXY_FRONT_HANDSHAKE_DONE, TC_ACT_SHOT);
	}
	if (event.cookie && !packet.payload) {
		if (!(flags & FLAG_FIN))
			return leave(PROXY_FRONT_HANDSHAKE_DONE, TC_ACT_SHOT);
		int verdict = send_reply(skb, &packet, packet.acknowledgement, packet.sequence + 1, FLAG_FIN | FLAG_ACK,
					 CLIENT_WINDOW >> CLIENT_WINDOW_SCALE, 0);
		return verdict < 0 ? leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT) : leave(PROXY_FRONT_CLOSED_UNUSED, verdict);
	}
	event.type = EVENT_SEGMENT;
	event.captured = packet.payload;
	event.time_ns = bpf_ktime_get_ns();
	event.mss = cookie_mss(offer.mss_index);
	event.window_scale = offer.window_scale;
	event.sack_permitted = offer.sack_permitted;
	if (emit(skb, &event, packet.options))
		return leave(PROXY_FRONT_RING_FULL, TC_ACT_SHOT);
	return leave(PROXY_FRONT_TO_USER, TC_ACT_SHOT);
}

// An envelope from a back end: the packet inside answers a SYN of ours.
static __always_inline int read_reply(struct __sk_buff *skb)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} __attribute__((packed)) inner;
	_Static_assert(sizeof(inner) == 40, "two headers without options");
	__u32 start = IP_OFFSET + sizeof(struct iphdr);
	if (bpf_skb_load_bytes(skb, start, &inner, sizeof(inner)) || inner.ip.ihl != 5 || inner.ip.protocol != IPPROTO_TCP)
		return leave(PROXY_BACK_MALFORMED, TC_ACT_SHOT);
	__u32 options = inner.tcp.doff * 4 - sizeof(inner.tcp);
	if (options > MAX_OPTIONS)
		return leave(PROXY_BACK_MALFORMED, TC_ACT_SHOT);
	struct reply_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return leave(PROXY_BACK_RING_FULL, TC_ACT_SHOT);
	__builtin_memset(event, 0, sizeof(*event));
	if (options && bpf_skb_load_bytes(skb, start + sizeof(inner), event->option_bytes, options)) {
		bpf_ringbuf_discard(event, 0);
		return leave(PROXY_BACK_MALFORMED, TC_ACT_SHOT);
	}
	event->type = EVENT_REPLY;
	event->options = options;
	event->time_ns = bpf_ktime_get_ns();
	event->backend = inner.ip.saddr;
	event->client = inner.ip.daddr;
	event->backend_port = inner.tcp.source;
	event->client_port = inner.tcp.dest;
	event->sequence = bpf_ntohl(inner.tcp.seq);
	event->acknowledgement = bpf_ntohl(inner.tcp.ack_seq);
	event->window = bpf_ntohs(inner.tcp.window);
	event->flags = ((__u8 *)&inner.tcp)[13];
	bpf_ringbuf_submit(event, 0);
	return leave(PROXY_BACK_REPLY, TC_ACT_SHOT);
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
	if (kind == PACKET_TCP && (packet.flags & (FLAG_FIN | FLAG_RST)) && is_vip(packet.source)) {
		struct connection connection = { .client = packet.destination,
						 .vip = packet.source,
						 .client_port = packet.destination_port,
						 .vip_port = packet.source_port };
		struct splice *splice = bpf_map_lookup_elem(&splices, &connection);
		if (splice)
			splice->flags |= SPLICE_SERVER_CLOSED;
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
