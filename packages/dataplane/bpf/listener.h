#pragma once
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

// A VIP and a port that is served there. Port 0 marks the address as a VIP, whatever the port.
struct listener_key {
	__be32 vip;
	__be16 port;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct listener_key);
	__type(value, __u32);
	__uint(max_entries, 256);
} listeners SEC(".maps");

static __always_inline int is_listener(__be32 vip, __be16 port)
{
	struct listener_key key = { .vip = vip, .port = port };
	return bpf_map_lookup_elem(&listeners, &key) != 0;
}

static __always_inline int is_vip(__be32 address)
{
	return is_listener(address, 0);
}
