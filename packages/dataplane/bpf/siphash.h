#pragma once
#include <linux/types.h>

// SipHash-2-4 (Aumasson, Bernstein 2012). The TypeScript twin is packages/dataplane/src/siphash.ts.
struct siphash_key {
	__u64 k0, k1;
};

struct siphash {
	__u64 v0, v1, v2, v3;
};

static __always_inline __u64 rotate_left(__u64 x, int b)
{
	return x << b | x >> (64 - b);
}

static __always_inline void siphash_round(struct siphash *s)
{
	s->v0 += s->v1, s->v1 = rotate_left(s->v1, 13) ^ s->v0, s->v0 = rotate_left(s->v0, 32);
	s->v2 += s->v3, s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 += s->v3, s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v2 += s->v1, s->v1 = rotate_left(s->v1, 17) ^ s->v2, s->v2 = rotate_left(s->v2, 32);
}

static __always_inline void siphash_word(struct siphash *s, __u64 word)
{
	s->v3 ^= word;
	siphash_round(s);
	siphash_round(s);
	s->v0 ^= word;
}

static __always_inline struct siphash siphash_start(const struct siphash_key *key)
{
	return (struct siphash){ key->k0 ^ 0x736f6d6570736575ull, key->k1 ^ 0x646f72616e646f6dull,
				 key->k0 ^ 0x6c7967656e657261ull, key->k1 ^ 0x7465646279746573ull };
}

// `tail` holds the bytes behind the last whole word, little-endian, with the message's length in its top byte.
static __always_inline __u64 siphash_end(struct siphash *s, __u64 tail)
{
	siphash_word(s, tail);
	s->v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		siphash_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}
