#pragma once
#include "rewrite.h"

#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2
#define OPTION_WINDOW_SCALE 3
#define OPTION_SACK_PERMITTED 4
#define OPTION_SACK 5
#define OPTION_EXPERIMENT 254

struct sack_walk {
	__u8 options[MAX_OPTIONS];
	__u32 length;
	__u32 at;
	__u32 delta;
	__u32 erases; // instead of moving
};

static __always_inline __u32 load_be32(const __u8 *bytes)
{
	return (__u32)bytes[0] << 24 | (__u32)bytes[1] << 16 | (__u32)bytes[2] << 8 | bytes[3];
}

static __always_inline void store_be32(__u8 *bytes, __u32 value)
{
	bytes[0] = value >> 24;
	bytes[1] = value >> 16;
	bytes[2] = value >> 8;
	bytes[3] = value;
}

// Moves the edges of every SACK block (RFC 2018) from client space into the server's: edge -= delta. Malformed options are
// left as they are: the back end's kernel ignores them. Or makes no-operations of the whole option.
static long shift_sack_edges(__u32 index, struct sack_walk *walk)
{
	__u32 at = walk->at;
	if (at + 1 >= walk->length || at > MAX_OPTIONS - 2)
		return 1;
	__u8 kind = walk->options[at];
	if (kind == OPTION_END)
		return 1;
	if (kind == OPTION_NOP) {
		walk->at = at + 1;
		return 0;
	}
	__u32 size = walk->options[at + 1];
	if (size < 2 || at + size > walk->length)
		return 1;
	if (kind != OPTION_SACK) {
		walk->at = at + size;
		return 0;
	}
	if (walk->erases)
		walk->options[at] = walk->options[at + 1] = OPTION_NOP;
	for (int edge = 0; edge < 8; edge++) {
		__u32 offset = at + 2 + edge * 4;
		keep_in_register(offset);
		if (2 + edge * 4 + 4 > size || offset > MAX_OPTIONS - 4)
			return 1;
		store_be32(walk->options + offset,
			   walk->erases ? OPTION_NOP * 0x01010101 : load_be32(walk->options + offset) - walk->delta);
	}
	return 1;
}

// Changes the SACK blocks of a packet that carries options. Negative when the options could not be read.
static __always_inline int change_sack(struct __sk_buff *skb, const struct packet *packet, __u32 delta, int erases)
{
	struct sack_walk walk = { .length = packet->options, .delta = delta, .erases = erases };
	__u8 before[MAX_OPTIONS] = {};
	__u32 length = packet->options;
	if (length < 4 || length > MAX_OPTIONS)
		return 0;
	if (bpf_skb_load_bytes(skb, OPTIONS_OFFSET, before, length))
		return -1;
	__builtin_memcpy(walk.options, before, MAX_OPTIONS);
	bpf_loop(MAX_OPTIONS, shift_sack_edges, &walk, 0);
	// Both buffers are zero beyond `length`, so the whole of them can be compared.
	__s64 difference = bpf_csum_diff((__be32 *)before, MAX_OPTIONS, (__be32 *)walk.options, MAX_OPTIONS, 0);
	bpf_l4_csum_replace(skb, TCP_CHECK, 0, difference, 0);
	return bpf_skb_store_bytes(skb, OPTIONS_OFFSET, walk.options, length, 0);
}

static __always_inline int translate_sack(struct __sk_buff *skb, const struct packet *packet, __u32 delta)
{
	return change_sack(skb, packet, delta, 0);
}

static __always_inline int erase_sack(struct __sk_buff *skb, const struct packet *packet)
{
	return change_sack(skb, packet, 0, 1);
}
