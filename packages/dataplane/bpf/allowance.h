#pragma once
#include <linux/types.h>

// A bound on how often something may be done, in one word: when everything that was taken will have been earned again, by
// CLOCK_MONOTONIC in ns. It is the token bucket's complement. Two CPUs that take at once may take one for the price of none
// or two; a bound need not be exact.

// Takes one if there is one. At most `burst` at once, and one every `interval` ns in the long run.
static __always_inline int take_one(__u64 *earned_ns, __u64 now, __u64 interval, __u64 burst)
{
	__u64 from = *earned_ns > now ? *earned_ns : now;
	if (from - now > (burst - 1) * interval)
		return 0;
	*earned_ns = from + interval;
	return 1;
}
