// SPDX-License-Identifier: GPL-2.0
/* A program for the tests of this package: everything that the TypeScript side has to cope with, and nothing useful. */
#include "flow.h"
#include "identity.h"

enum sample_counter {
	SAMPLE_PACKETS,
	SAMPLE_RECORDS,
	SAMPLE_LOST,
	SAMPLE_DISCARDED,
	SAMPLE_COUNTER_MAX,
};

enum sample_kind {
	KIND_PACKET = 1,
	KIND_LARGE = 4,
};

/* A flow: a map's key, with a hole that C leaves before `seed`. */
struct flow_key {
	__be32 client_ip;
	__be16 client_port;
	__u8 protocol;
	__u32 seed;
};
_Static_assert(sizeof(struct flow_key) == 12, "flow_key");

struct endpoint {
	__be32 ip;
	__be16 port;
	__u16 pad;
};

struct flow_entry {
	struct endpoint ends[2];
	__u64 bytes;
	__s32 balance;
	__s64 skew;
	enum sample_kind kind;
	__u8 mac[6];
	_Bool live;
	__u8 reserved0;
};
_Static_assert(sizeof(struct flow_entry) == 56, "flow_entry");

struct sample_event {
	__u32 kind;
	__u32 sequence;
	__u32 length;
	__u8 data[];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow_key);
	__type(value, struct flow_entry);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SAMPLE_COUNTER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

const volatile __u32 verdict = TC_ACT_OK;
/* Every n-th record is given up instead of submitted; 0: none. */
const volatile __u32 discard_every = 0;
__u32 next_sequence;
/* BTF holds only types that a map, a variable or a function's signature reaches. */
const struct sample_event *unused_sample_event __attribute__((unused));
const enum sample_counter *unused_sample_counter __attribute__((unused));

static __always_inline void count(enum sample_counter which)
{
	__u32 key = which;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		++*value;
}

/* One record a packet: its number, and up to 16 bytes of it. */
SEC("tc")
int sample_record(struct __sk_buff *skb)
{
	struct sample_event *event;

	count(SAMPLE_PACKETS);
	__u32 sequence = __sync_fetch_and_add(&next_sequence, 1);

	event = bpf_ringbuf_reserve(&events, sizeof(*event) + 16, 0);
	if (!event) {
		count(SAMPLE_LOST);
		return verdict;
	}
	event->kind = KIND_PACKET;
	event->sequence = sequence;
	event->length = skb->len;
	__builtin_memset(event->data, 0, 16);
	bpf_skb_load_bytes(skb, 0, event->data, 14);
	if (discard_every && sequence % discard_every == 0) {
		bpf_ringbuf_discard(event, 0);
		count(SAMPLE_DISCARDED);
	} else {
		bpf_ringbuf_submit(event, 0);
		count(SAMPLE_RECORDS);
	}
	return verdict;
}

/* Turns addresses around, marks the packet and remembers the device, to be seen by a test run. */
SEC("tc")
int sample_swap(struct __sk_buff *skb)
{
	__u8 ethernet[14];
	__u8 turned[14];
	__u32 key = 0;

	if (bpf_skb_load_bytes(skb, 0, ethernet, 14))
		return TC_ACT_SHOT;
	__builtin_memcpy(turned, ethernet + 6, 6);
	__builtin_memcpy(turned + 6, ethernet, 6);
	__builtin_memcpy(turned + 12, ethernet + 12, 2);
	bpf_skb_store_bytes(skb, 0, turned, 14, 0);
	__u64 *seen = bpf_map_lookup_elem(&shared, &key);
	if (seen)
		*seen = skb->ifindex;
	skb->mark += 1;
	skb->cb[0] = bpf_ntohs(skb->protocol);
	return TC_ACT_PIPE;
}

/* Drops everything: attached instead of sample_record, the difference shows. */
SEC("tc")
int sample_drop(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

/* Only to keep these types in BTF, through maps that are in use. */
SEC("tc")
int sample_touch(struct __sk_buff *skb)
{
	struct flow_key key = { .seed = skb->mark };
	struct flow_entry *entry = bpf_map_lookup_elem(&flows, &key);
	__u32 id = skb->mark;

	if (entry)
		entry->bytes += skb->len;
	bpf_map_lookup_elem(&recent, &id);
	return TC_ACT_OK;
}

/* The shared functions of packages/dataplane/bpf on arguments that stand behind the Ethernet header. */
struct flow_hash_arguments {
	__be32 client, vip;
	__be16 client_port, vip_port;
	__u32 seed;
};

SEC("tc")
int sample_flow_hash(struct __sk_buff *skb)
{
	struct flow_hash_arguments of;

	if (bpf_skb_load_bytes(skb, 14, &of, sizeof(of)))
		return TC_ACT_SHOT;
	skb->mark = flow_hash(of.client, of.client_port, of.vip, of.vip_port, of.seed);
	return TC_ACT_OK;
}

struct identity_arguments {
	struct siphash_key key;
	struct identity_message message;
} __attribute__((packed));

SEC("tc")
int sample_identity_mac(struct __sk_buff *skb)
{
	struct identity_arguments of;
	struct siphash_key key;
	struct identity_message message;

	if (bpf_skb_load_bytes(skb, 14, &of, sizeof(of)))
		return TC_ACT_SHOT;
	key = of.key;
	message = of.message;
	__u64 mac = identity_mac(&key, &message);
	skb->cb[0] = mac;
	skb->cb[1] = mac >> 32;
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
