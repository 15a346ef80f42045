#pragma once
// One counter per exit of each program. A program returns through leave(), so that every verdict says why.
// Names that begin with NEVER_ (after the program's prefix) mark exits that no healthy deployment takes: drills assert that they stay zero.
#define COUNTERS(EXITS, COUNT)                                                                                 \
	struct {                                                                                               \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                       \
		__type(key, enum EXITS);                                                                       \
		__type(value, __u64);                                                                          \
		__uint(max_entries, COUNT);                                                                    \
	} counters SEC(".maps");                                                                               \
	static __always_inline int leave(enum EXITS exit, int verdict)                                         \
	{                                                                                                      \
		__u64 *counter = bpf_map_lookup_elem(&counters, &exit);                                        \
		if (counter)                                                                                   \
			(*counter)++;                                                                          \
		return verdict;                                                                                \
	}
