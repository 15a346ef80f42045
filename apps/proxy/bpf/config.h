#pragma once
#include "cookie.h"

struct proxy_config {
	struct cookie_clock clock;
	__be32 address; // where envelopes from back ends are sent to
	__u16 mss; // announced to clients, bytes
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct proxy_config);
	__uint(max_entries, 1);
} proxy_config SEC(".maps");
