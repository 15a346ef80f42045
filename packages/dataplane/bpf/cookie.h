#pragma once
#include <linux/types.h>
#include "siphash.h"

// The sequence number p0 of a SYN-ACK is a cookie, so that a SYN costs no state and any proxy can go on from the ACK (P3.1):
//   31          16 15         12 11     8    7      6   4 3      0
//  |  MAC (16)    | MAC (4)     | wscale | SACK | MSS index | slot |
// Both MACs cover 4-tuple, the eight bits of the offer and the whole slot number; the first one covers the client's ISN too.
// Who does not see p0 must guess all twenty bits. The second one alone tells most later segments of a first flight, whose ISN
// cannot be read from them, from the middle of a connection that is forgotten: the one must wait, the other is told.
//
// In a strict cookie the offer's place holds eight more bits of MAC: who does not see p0 must guess 28. The client is granted
// nothing then, neither scaling nor SACK, and a small MSS. It is for clients in whose name somebody guesses.
#define COOKIE_SLOT_SECONDS 64
#define COOKIE_MAX_AGE 5 // slots: a browser's preconnect may send its first byte minutes later (320 to 384 s)
#define COOKIE_KEY_SLOTS 64 // a key serves for so many slots (68 minutes)
#define COOKIE_KEYS 4 // by (slot / COOKIE_KEY_SLOTS) % COOKIE_KEYS; user space keeps previous, current and next in place

struct cookie_clock {
	__s64 wall_offset_ns; // CLOCK_REALTIME - CLOCK_MONOTONIC: proxies share the slots, so they need the shared clock
	struct siphash_key keys[COOKIE_KEYS];
};

struct connection {
	__be32 client, vip;
	__be16 client_port, vip_port;
};

// What a client's SYN offered, as far as the cookie holds it.
struct offer {
	__u8 mss_index;
	__u8 window_scale; // 15: not offered
	__u8 sack_permitted;
};
#define NO_OFFER (struct offer){ .window_scale = 15 }

// Segment sizes that are met: IPv4's least (RFC 9293), tunnels, PPPoE, Ethernet, jumbo frames.
static __always_inline __u16 cookie_mss(__u8 index)
{
	switch (index & 7) {
	case 1: return 1160;
	case 2: return 1280;
	case 3: return 1360;
	case 4: return 1400;
	case 5: return 1440;
	case 6: return 1460;
	case 7: return 8960;
	}
	return 536;
}

// The largest entry that does not exceed what the client offered; 0 = none offered, which means 536 (RFC 9293 §3.7.1).
static __always_inline __u8 cookie_mss_index(__u16 mss)
{
	return mss >= 8960 ? 7 : mss >= 1460 ? 6 : mss >= 1440 ? 5 : mss >= 1400 ? 4 : mss >= 1360 ? 3 : mss >= 1280 ? 2 :
	       mss >= 1160 ? 1 : 0;
}

static __always_inline __u32 cookie_slot(const struct cookie_clock *clock)
{
	return (bpf_ktime_get_ns() + clock->wall_offset_ns) / 1000000000ull / COOKIE_SLOT_SECONDS;
}

enum cookie_kind {
	COOKIE_NONE,
	COOKIE_VALID, // given to this client for this ISN
	COOKIE_OTHER_ISN, // given to this client from this port, for another ISN
};
#define COOKIE_ISN_BITS 0xffff0000u

#define STRICT_OFFER 0x100 // in the place of an offer: a strict cookie

// Not inline: its state would not fit the stack more than once.
static __attribute__((noinline)) __u32 cookie_for(const struct cookie_clock *clock, const struct connection *connection,
						  __u32 isn, __u32 slot, __u32 offer)
{
	int strict = offer == STRICT_OFFER;
	struct siphash of_port = siphash_start(&clock->keys[slot / COOKIE_KEY_SLOTS & (COOKIE_KEYS - 1)]);
	siphash_word(&of_port, (__u64)connection->client << 32 | connection->vip);
	siphash_word(&of_port, (__u64)((__u32)connection->client_port << 16 | connection->vip_port) << 32 | slot);
	struct siphash of_isn = of_port;
	// The lengths of the messages, in their last words' top bytes, keep them apart.
	__u64 mac = siphash_end(&of_isn, (strict ? 20ull << 56 : 21ull << 56 | offer) | (__u64)isn << 8);
	__u32 middle = strict ? (mac >> 40) & 0xff : offer;
	__u32 low = siphash_end(&of_port, 17ull << 56 | middle) >> 60;
	return (__u32)(mac >> 48) << 16 | low << 12 | middle << 4 | (slot & 15);
}

static __always_inline __u32 make_cookie(const struct cookie_clock *clock, const struct connection *connection, __u32 isn,
					 const struct offer *offer, int strict)
{
	__u32 packed = (__u32)offer->window_scale << 4 | (__u32)offer->sack_permitted << 3 | offer->mss_index;
	return cookie_for(clock, connection, isn, cookie_slot(clock), strict ? STRICT_OFFER : packed);
}

// Whether `p0` is a cookie that some proxy gave to this client not too long ago; fills `offer` if it was for this ISN. With
// `strict`, only strict cookies are valid.
static __always_inline enum cookie_kind check_cookie(const struct cookie_clock *clock, const struct connection *connection,
						     __u32 isn, __u32 p0, struct offer *offer, int strict)
{
	__u32 now = cookie_slot(clock), age = (now - p0) & 15;
	__u32 slot = age == 15 ? now + 1 : now - age; // 15: made by a proxy whose clock is a little ahead
	if (age != 15 && age > COOKIE_MAX_AGE)
		return COOKIE_NONE;
	__u32 difference = cookie_for(clock, connection, isn, slot, p0 >> 4 & 0xff) ^ p0;
	if (difference & ~COOKIE_ISN_BITS)
		return COOKIE_NONE; // both kinds have these bits
	if (!difference && !strict) {
		offer->window_scale = p0 >> 8 & 15;
		offer->sack_permitted = p0 >> 7 & 1;
		offer->mss_index = p0 >> 4 & 7;
		return COOKIE_VALID;
	}
	if (cookie_for(clock, connection, isn, slot, STRICT_OFFER) != p0)
		return COOKIE_OTHER_ISN;
	*offer = NO_OFFER;
	return COOKIE_VALID;
}
