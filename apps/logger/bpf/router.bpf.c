// The router between proxies and back ends, where the front-end logger will stand (P5.1). The back ends' answers already
// carry the VIP as their source (P3.2): any live proxy can carry them on; the balancer's hash picks the one. And a proxy that
// its peers go on without is fenced here first: from then on none of its packets reaches a back end.
#include "packet.h"
#include "listener.h"
#include "flow.h"
#include "counters.h"

enum router_exit {
	ROUTER_STEERED,
	ROUTER_PLAIN, // control, answers to proxies: the kernel routes them
	ROUTER_MALFORMED,
	ROUTER_NO_PROXY, // none has been seen alive since start
	ROUTER_FENCED, // from a fenced proxy, in a client's name
	ROUTER_FENCED_YET, // relayed by its kernel half, while balancers turn away from it
	ROUTER_UNFENCED, // from the others, and what a fenced one says in its own name
	ROUTER_EXITS,
};
COUNTERS(router_exit, ROUTER_EXITS)

// A sender on the middle network. What proxies relay bears clients' addresses: only the link layer tells who sent it.
struct station {
	__u8 mac[ETH_ALEN];
	__u16 pad;
};

struct fence {
	__be32 address; // the proxy's own
	__u32 epoch; // of the process that is fenced
	__u32 generation;
	__u32 proxy; // its id
	__u64 since_ns; // CLOCK_MONOTONIC
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct station);
	__type(value, struct fence);
	__uint(max_entries, MAX_NEXT_HOPS);
} fences SEC(".maps");

// Balancers find a proxy dead a little later than its peers. What its kernel half relays until then by splices that everybody knows
// does no harm, and losing it would cost a retransmission. What its user space makes might do harm at once.
#define FENCE_GRACE_NS 100000000

// Ingress from the proxies. Attached only while somebody is fenced: without a fence it costs nothing.
SEC("tc") int router_middle(struct __sk_buff *skb)
{
	struct station station = {};
	struct iphdr ip = {};
	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_source), station.mac, ETH_ALEN) ||
	    bpf_skb_load_bytes(skb, IP_OFFSET, &ip, sizeof(ip)))
		return leave(ROUTER_UNFENCED, TC_ACT_OK);
	struct fence *fence = bpf_map_lookup_elem(&fences, &station);
	// In its own name it asks how it stands, and who is alive.
	if (!fence || ip.saddr == fence->address)
		return leave(ROUTER_UNFENCED, TC_ACT_OK);
	if ((ip.tos & 0xfc) != SELF_MADE_TOS && bpf_ktime_get_ns() - fence->since_ns < FENCE_GRACE_NS)
		return leave(ROUTER_FENCED_YET, TC_ACT_OK);
	return leave(ROUTER_FENCED, TC_ACT_SHOT);
}

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
