/**
 * What stands between clients and back ends: this tier, or what it is compared with. `forward` is plain routing to a
 * back end that holds the VIP itself; `haproxy` and `nginx` stand in the proxies' place behind the same balancer.
 */
export const arms = ['resplice', 'forward', 'haproxy', 'nginx'] as const;
export type Arm = (typeof arms)[number];

/** Servers that others wrote, as Debian packages them. */
export type ServerName = Exclude<Arm, 'resplice' | 'forward'>;

/** The server that ends the clients' connections in the proxies' place, if the arm has one. */
export function serverOf(arm: Arm): ServerName | undefined {
  return arm === 'haproxy' || arm === 'nginx' ? arm : undefined;
}
