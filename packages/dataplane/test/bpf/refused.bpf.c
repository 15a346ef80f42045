// SPDX-License-Identifier: GPL-2.0
/* Reads behind the packet without a check: the verifier must refuse it, and the error must say so. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int refused_reader(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data;

	return data[100];
}

char LICENSE[] SEC("license") = "GPL";
