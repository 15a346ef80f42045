#pragma once
#include "config.h"
#include "cookie.h"
#include "exits.h"
#include "identity.h"
#include "reply.h"

#define CLIENT_WINDOW_SCALE 7 // announced to clients that offer the option; the agents rescale to it
#define CLIENT_WINDOW 64240 // announced before a server has been chosen: what a proxy is willing to hold back

static __always_inline int answer_syn(struct __sk_buff *skb, const struct packet *packet, struct proxy_config *config,
				      const struct connection *connection, int strict)
{
	struct syn_options syn = {};
	if (packet->payload)
		return leave(PROXY_FRONT_SYN_WITH_DATA, TC_ACT_SHOT);
	if (read_syn_options(skb, packet, &syn))
		return leave(PROXY_FRONT_MALFORMED, TC_ACT_SHOT);
	struct offer offer = { .mss_index = cookie_mss_index(syn.mss),
			       .window_scale = syn.window_scale,
			       .sack_permitted = syn.sack_permitted };
	if (strict)
		offer = NO_OFFER;
	__u8 options[REPLY_OPTIONS] = { OPTION_MSS, 4, config->mss >> 8, config->mss & 0xff, OPTION_NOP, OPTION_NOP,
					OPTION_NOP, OPTION_NOP, OPTION_NOP, OPTION_NOP, OPTION_NOP, OPTION_NOP };
	if (offer.sack_permitted) {
		options[4] = OPTION_SACK_PERMITTED;
		options[5] = 2;
	}
	if (offer.window_scale != NO_WINDOW_SCALE) {
		options[7] = OPTION_WINDOW_SCALE;
		options[8] = 3;
		options[9] = CLIENT_WINDOW_SCALE;
	}
	// No timestamps (they would have to be translated), no ECN echo, no Fast Open.
	__u32 p0 = make_cookie(&config->clock, connection, packet->sequence, &offer, strict);
	int verdict = send_reply(skb, packet, p0, packet->sequence + 1, FLAG_SYN | FLAG_ACK, CLIENT_WINDOW, options);
	return verdict < 0 ? leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT) : leave(PROXY_FRONT_SYN_ANSWERED, verdict);
}

// Whether a segment without payload belongs to a connection of which nothing is known but its cookie: the handshake's last ACK,
// a FIN before any byte, or the ACK of our FIN-ACK, which was one further.
static __always_inline int is_unused(const struct packet *packet, const struct proxy_config *config,
				     const struct connection *connection, int spliced, int valid, struct offer *offer)
{
	if (valid)
		return 1;
	return !spliced && !(packet->flags & FLAG_FIN) &&
	       check_cookie(&config->clock, connection, packet->sequence - 2, packet->acknowledgement - 2, offer, 0) ==
		       COOKIE_VALID;
}

// Nothing is remembered before there is a request; who closes without one gets a FIN-ACK made from the packet alone.
static __always_inline int leave_unused(struct __sk_buff *skb, const struct packet *packet)
{
	if (!(packet->flags & FLAG_FIN))
		return leave(PROXY_FRONT_HANDSHAKE_DONE, TC_ACT_SHOT);
	int verdict = send_reply(skb, packet, packet->acknowledgement, packet->sequence + 1, FLAG_FIN | FLAG_ACK,
				 CLIENT_WINDOW >> CLIENT_WINDOW_SCALE, 0);
	return verdict < 0 ? leave(PROXY_FRONT_NEVER_FAILED, TC_ACT_SHOT) : leave(PROXY_FRONT_CLOSED_UNUSED, verdict);
}
