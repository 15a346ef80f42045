#pragma once
#include "allowance.h"
#include "packet.h"

// Segments of connections that this proxy does not know, without a cookie. Most are honest: a peer has died, and its clients
// come here. But each costs a question to every peer, and anybody can send them. So they are bounded, for each sender, so that
// one does not use up what is there for all, and altogether. What is beyond is dropped: an honest client sends it again.
#define STRAYS_PER_SECOND 1000
#define STRAY_BURST 1024
#define SOURCE_STRAYS_PER_SECOND 250
#define SOURCE_STRAY_BURST 512
#define NS_PER_SECOND 1000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} stray_allowance SEC(".maps");

// By sender.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __be32);
	__type(value, __u64);
	__uint(max_entries, 16384);
} stray_sources SEC(".maps");

// Whether somebody guesses in that address's name: half of what it may send at once is used up. Nobody who has less than 250
// guesses a second finds one of 2^20 soon; who has more must find one of 2^28 (see cookie.h).
static __always_inline int is_suspect(__be32 source)
{
	__u64 *earned = bpf_map_lookup_elem(&stray_sources, &source);
	__u64 now = bpf_ktime_get_ns();
	return earned && *earned > now &&
	       *earned - now > SOURCE_STRAY_BURST / 2 * (NS_PER_SECOND / SOURCE_STRAYS_PER_SECOND);
}

static __always_inline int may_ask(__be32 source)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 interval = NS_PER_SECOND / SOURCE_STRAYS_PER_SECOND;
	__u64 *earned = bpf_map_lookup_elem(&stray_sources, &source);
	if (!earned) {
		__u64 first = now + interval;
		bpf_map_update_elem(&stray_sources, &source, &first, BPF_ANY);
	} else if (!take_one(earned, now, interval, SOURCE_STRAY_BURST)) {
		return 0;
	}
	__u32 zero = 0;
	earned = bpf_map_lookup_elem(&stray_allowance, &zero);
	return earned && take_one(earned, now, NS_PER_SECOND / STRAYS_PER_SECOND, STRAY_BURST);
}
