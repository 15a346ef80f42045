#pragma once
#include "exits.h"
#include "icmp.h"
#include "listener.h"
#include "splice.h"

// A miss is not worth a question to the peers: the back end sends again what did not get through, and so does the router. Nor
// is the entry touched, since anybody can send this.
static __always_inline int path_mtu_to_backend(struct __sk_buff *skb, const struct packet *packet)
{
	struct path_mtu message;
	__u32 length;
	enum icmp_kind kind = read_path_mtu(skb, packet, &message, &length);
	if (kind == ICMP_OTHER)
		return leave(PROXY_FRONT_OTHER_PROTOCOL, TC_ACT_SHOT);
	if (kind == ICMP_MALFORMED)
		return leave(PROXY_FRONT_MALFORMED, TC_ACT_SHOT);
	struct connection connection = { .client = message.quote.ip.daddr,
					 .vip = message.quote.ip.saddr,
					 .client_port = message.quote.destination_port,
					 .vip_port = message.quote.source_port };
	if (!is_listener(connection.vip, connection.vip_port))
		return leave(PROXY_FRONT_CLOSED_PORT, TC_ACT_SHOT);
	struct splice *splice = bpf_map_lookup_elem(&splices, &connection);
	if (!splice)
		return leave(PROXY_FRONT_PATH_MTU_STRAY, TC_ACT_SHOT);
	if (translate_path_mtu(skb, &message, length, packet->destination, splice->backend, splice->backend_port,
			       splice->delta))
		return leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT);
	return leave(PROXY_FRONT_PATH_MTU, TC_ACT_OK);
}
