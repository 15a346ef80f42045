#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

// A VIP and a port that is served there, with its state. Port 0 marks the address as a VIP, whatever the port.
struct listener_key {
	__be32 vip;
	__be16 port;
	__u16 pad;
};

enum listener_state {
	LISTENER_OPEN = 1,
	LISTENER_CLOSING = 2, // no longer configured: its connections live on, nobody opens another
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct listener_key);
	__type(value, __u32);
	__uint(max_entries, 256);
} listeners SEC(".maps");

static __always_inline __u32 listener_state(__be32 vip, __be16 port)
{
	struct listener_key key = { .vip = vip, .port = port };
	__u32 *state = bpf_map_lookup_elem(&listeners, &key);
	return state ? *state : 0;
}

// Port 0 is nobody's: it only marks.
static __always_inline int is_listener(__be32 vip, __be16 port)
{
	return port && listener_state(vip, port);
}

static __always_inline int is_open(__be32 vip, __be16 port)
{
	return port && listener_state(vip, port) == LISTENER_OPEN;
}

static __always_inline int is_vip(__be32 address)
{
	return listener_state(address, 0) != 0;
}
