#pragma once
#include "packet.h"
#include "sack.h"
#include "siphash.h"

// The TCP option by which a proxy asks a back end for a translation (RFC 6994, experimental). It travels in the SYN, two fields
// of which are otherwise unused: acknowledgement carries the cookie, the urgent pointer how many bytes are owed. TypeScript twin:
// packages/dataplane/src/identity.ts.
#define IDENTITY_EXID 0x5253
#define IDENTITY_VERSION 3
#define IDENTITY_LENGTH 31

struct identity_option {
	__u8 kind, length;
	__be16 exid;
	__u8 version;
	__be16 proxy;
	__be32 original_isn; // the client's own; the SYN's differs after a failover
	__be32 original_p0; // that the client was answered with; likewise
	__be32 vip;
	__be16 vip_port;
	__be16 order; // 0: the connection is new; else by a logger: 1 + the requests of it that others were given before
	__u64 mac; // little-endian
} __attribute__((packed));
_Static_assert(sizeof(struct identity_option) == IDENTITY_LENGTH, "the option's layout is a wire format");

// `order` where the number is not known, or does not fit.
#define ORDER_UNKNOWN 0xffff

// What the MAC covers, all in network order.
struct identity_message {
	__be32 client, backend;
	__be16 client_port, backend_port;
	__be32 syn_isn, p0;
	__be16 proxy;
	__be32 original_isn, original_p0, vip;
	__be16 vip_port, order;
	__be16 owed; // bytes that the proxies have acknowledged to the client, and so must deliver themselves
} __attribute__((packed));
_Static_assert(sizeof(struct identity_message) == 40, "the message's layout is a wire format");

static __always_inline __u64 identity_mac(const struct siphash_key *key, const struct identity_message *message)
{
	struct siphash s = siphash_start(key);
	__u64 word;
	for (int i = 0; i < sizeof(*message) / 8; i++) {
		__builtin_memcpy(&word, (const __u8 *)message + i * 8, 8);
		siphash_word(&s, word);
	}
	return siphash_end(&s, (__u64)sizeof(*message) << 56);
}

// What a SYN's options say.
struct syn_options {
	__u8 bytes[MAX_OPTIONS];
	__u32 length;
	__u32 at;
	__u16 mss; // 0: not offered
	__u8 window_scale; // NO_WINDOW_SCALE: not offered
	__u8 sack_permitted;
	__u32 identity; // offset of the identity option; 0: none (the first option of a SYN is never it)
	__u32 malformed;
};
#define NO_WINDOW_SCALE 15

static long read_syn_option(__u32 index, struct syn_options *syn)
{
	__u32 at = syn->at;
	if (at + 1 >= syn->length || at > MAX_OPTIONS - 4)
		return 1;
	const __u8 *option = syn->bytes + at;
	if (option[0] == OPTION_END)
		return 1;
	if (option[0] == OPTION_NOP) {
		syn->at = at + 1;
		return 0;
	}
	__u32 size = option[1];
	if (size < 2 || at + size > syn->length) {
		syn->malformed = 1;
		return 1;
	}
	if (option[0] == OPTION_MSS && size == 4)
		syn->mss = (__u16)option[2] << 8 | option[3];
	else if (option[0] == OPTION_WINDOW_SCALE && size == 3)
		syn->window_scale = option[2] > 14 ? 14 : option[2]; // RFC 7323 §2.3
	else if (option[0] == OPTION_SACK_PERMITTED && size == 2)
		syn->sack_permitted = 1;
	else if (option[0] == OPTION_EXPERIMENT && size == IDENTITY_LENGTH && option[2] == IDENTITY_EXID >> 8 &&
		 option[3] == (IDENTITY_EXID & 0xff))
		syn->identity = at;
	syn->at = at + size;
	return 0;
}

// Reads the options of a SYN. Negative when they are malformed or cannot be read.
static __always_inline int read_syn_options(struct __sk_buff *skb, const struct packet *packet, struct syn_options *syn)
{
	syn->length = packet->options;
	syn->window_scale = NO_WINDOW_SCALE;
	if (load_options(skb, packet, syn->bytes))
		return -1;
	// bpf_loop rather than a loop: the verifier walks the body once instead of once per way through 40 bytes.
	bpf_loop(MAX_OPTIONS, read_syn_option, syn, 0);
	return syn->malformed ? -1 : 0;
}
