#pragma once
#include "allowance.h"
#include "listener.h"
#include "packet.h"
#include "siphash.h"

// One connection, as the logger sees it pass. Sequence numbers are the client's in both directions ("client space"); they stay the
// same across any number of back ends. Mapped by user space, which reads all of it without a system call and writes its own part.
struct track {
	__be32 client, vip;
	__be16 client_port, vip_port;
	__u32 generation; // of the slot: grows with each connection that it holds
	__u32 isn; // the client's
	__u32 p0; // the server's, as the client knows it
	// The back end that holds the connection now. User space writes it when the connection moves.
	__be32 backend;
	__be16 backend_port;
	__u8 mac[ETH_ALEN]; // whose packets count; zero: nobody's
	__u32 delta; // client space - that back end's
	// What has passed.
	__u32 client_logged; // behind the last client byte that is in the log without a gap
	__u32 client_ack; // the client's last ACK (P7.3)
	__u32 server_next; // behind the last byte that was forwarded to the client (P7.3)
	__u32 server_logged; // behind the last server byte that is known to user space, or need not be, without a gap
	__u32 server_seen; // behind the last byte that the present back end has sent
	__u32 server_acked; // behind the last client byte that the present back end has acknowledged
	__u32 told; // the highest acknowledgement that the client has heard
	__u16 client_window; // field of its last segment
	__u8 client_ended; // the client's FIN is in the log, behind all of its bytes
	__u8 bound; // `backend` is filled in
	__u64 client_ns; // CLOCK_MONOTONIC of the client's last packet
	__u64 server_ns; // of the present back end's last packet
	// From here on user space's alone.
	__u32 client_mode; // enum client_mode
	__u32 server_mode; // enum server_mode
	__u64 skip; // 1 << 32 | sequence: bytes of the server's that end before it are not told
	// For a daemon that starts over: where the request that is unfinished, or the next one, and its response begin and end.
	__u32 response_at, request_at;
	__u32 response_end; // `response_at`: it is not known
	__u32 request_end; // `request_at`: it is not known
	__u16 mss; // that the client has offered; 0: the connection was never told to user space
	__u8 traits; // enum track_trait; above them the window scale that the client has offered, 15: none
	__u8 end_passes; // the back end's FIN is the connection's; the kernel half sets it with the next one
	__u8 unattended; // the kernel half's: something has passed that is in no log, since nobody read the ring
	__u8 guarded; // each of its requests is judged: the client's bytes never pass by themselves
	__u16 given; // 1 + how many requests back ends were given before the one at `request_at`; 0: nobody knows
};
_Static_assert(sizeof(struct track) == 128, "mapped by user space");

enum client_mode {
	CLIENT_PASSES, // unless it is guarded
	CLIENT_HELD, // logged, not forwarded: user space delivers it
	CLIENT_UNLOGGED, // nobody can make sense of what passes
};

enum track_trait {
	TRAIT_SACK = 1, // the client takes selective acknowledgements
	TRAIT_HEAD = 2, // the unfinished request is a HEAD
	TRAIT_REPEATABLE = 4, // it may run twice
	TRAITS = 4, // how many bits they take
};

enum server_mode {
	SERVER_PASSES,
	SERVER_DIVERTED, // told with its bytes, not forwarded
	SERVER_SKIPPED, // what the client has acknowledged is told without its bytes and not forwarded; what is new to it passes
};

// By the addresses that a packet bears: client and VIP in what back ends send, client and back end in what proxies send.
struct flow_key {
	__be32 client, peer;
	__be16 client_port, peer_port;
};

struct flow {
	__u32 slot;
	__u32 delta; // client space - the peer's; 0 for the VIP
	__u32 former_delta; // of its former socket, when a connection has come back to it; proxies may not have heard yet
	__u8 mac[ETH_ALEN]; // the peer's
	__u8 known; // `delta` and `mac` are
	__u8 came_back; // `former_delta` is filled in
};

struct logger_config {
	struct siphash_key identity_key;
	__be32 address; // the logger's own on the back ends' network
	__u32 slots;
	__u32 sleeping; // user space waits to be woken up
	__u32 fences; // how many proxies are fenced: without one nobody's packets are looked at
	__u32 free_head, free_tail; // of the ring of free slots; the kernel takes at the head
	__u64 beat_ns; // CLOCK_MONOTONIC, when user space last read the ring
	__u64 patience_ns; // so long the kernel half waits for it; 0: for ever
	__u32 guards; // how many listeners are guarded: while one is, nothing passes of a connection that is not known
	__u32 pad;
	__u64 strays_ns; // bounds how many of those are told
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct logger_config);
	__uint(max_entries, 1);
} logger_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct track);
	__uint(max_entries, 262144);
} tracks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 262144);
} free_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow_key);
	__type(value, struct flow);
	__uint(max_entries, 1048576);
} flows SEC(".maps");

// Listeners that have rules for each request.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct listener_key);
	__type(value, __u32);
	__uint(max_entries, 256);
} guarded SEC(".maps");

static __always_inline int is_guarded(__be32 vip, __be16 port)
{
	struct listener_key key = { .vip = vip, .port = port };
	return bpf_map_lookup_elem(&guarded, &key) != 0;
}

// Whether what the client sends is kept from the back ends: user space delivers it.
static __always_inline int is_held(const struct track *track)
{
	return track->client_mode == CLIENT_HELD || (track->guarded && track->client_mode == CLIENT_PASSES);
}

static __always_inline struct logger_config *own_config(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&logger_config, &zero);
}

// Whether nobody has read the ring for so long that connections had better go on unprotected than stand still (FAULTS.md).
static __always_inline int is_unattended(void)
{
	struct logger_config *config = own_config();
	return config && config->patience_ns &&
	       (__s64)(bpf_ktime_get_ns() - config->beat_ns) > (__s64)config->patience_ns;
}

// Lets something pass that nobody logs: from here on its connection is lost with its back end, and ends when that ends it.
static __always_inline int goes_unattended(struct track *track)
{
	if (!is_unattended())
		return 0;
	track->unattended = 1;
	track->end_passes = 1;
	return 1;
}

// How far `a` lies ahead of `b` (negative: behind).
static __always_inline __s32 ahead(__u32 a, __u32 b)
{
	return (__s32)(a - b);
}

static __always_inline int is_same_station(const __u8 *a, const __u8 *b)
{
	__u32 difference = 0;
	for (int i = 0; i < ETH_ALEN; i++)
		difference |= a[i] ^ b[i];
	return !difference;
}

// A slot that holds no connection; negative: there is none.
static __always_inline __s64 take_slot(struct logger_config *config)
{
	if (!config->slots)
		return -1;
	for (int i = 0; i < 16; i++) {
		__u32 head = *(volatile __u32 *)&config->free_head;
		if (ahead(head, config->free_tail) >= 0)
			return -1;
		if (__sync_val_compare_and_swap(&config->free_head, head, head + 1) != head)
			continue;
		__u32 at = head % config->slots;
		__u64 *slot = bpf_map_lookup_elem(&free_slots, &at);
		return slot ? (__s64)*slot : -1;
	}
	return -1;
}
