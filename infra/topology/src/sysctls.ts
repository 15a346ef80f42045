import type { Role, Sysctl } from './host.ts';

function sysctl(path: string, value: number | string, optional = false): Sysctl {
  return { path, value: String(value), optional };
}

/** `all` and `default`, so they must be set before the host's links are made: a link copies `default` at birth. */
function everyInterface(family: 'ipv4' | 'ipv6', key: string, value: number, optional = false): Sysctl[] {
  return ['all', 'default'].map(which => sysctl(`net/${family}/conf/${which}/${key}`, value, optional));
}

const everywhere: readonly Sysctl[] = [
  // Packets from the VIP enter by interfaces that lead nowhere near it.
  ...everyInterface('ipv4', 'rp_filter', 0),
  ...everyInterface('ipv4', 'send_redirects', 0),
  ...everyInterface('ipv6', 'disable_ipv6', 1, true),
];

const forwarding: readonly Sysctl[] = [sysctl('net/ipv4/ip_forward', 1)];
/** Said as well: a namespace is born as its machine is, and one with a container engine forwards. */
const ending: readonly Sysctl[] = [sysctl('net/ipv4/ip_forward', 0)];

/** Congestion control is pinned to the route instead: a namespace may not choose an algorithm that its machine restricts. */
const backend: readonly Sysctl[] = [
  ...ending,
  // A cookie SYN-ACK lacks window scale and SACK.
  sysctl('net/ipv4/tcp_syncookies', 0, true),
  // Repeated SYNs within 500 ms would go unanswered (ARCHITECTURE §2.3).
  sysctl('net/ipv4/tcp_invalid_ratelimit', 0, true),
];

/** Who holds the VIP beside others must not name it in its ARP questions: the balancer would learn it from them. */
const holder: readonly Sysctl[] = everyInterface('ipv4', 'arp_announce', 2);

/** Who holds the VIP and forwards answers with it as source would take them for forged. */
export const balancerWithVip: readonly Sysctl[] = everyInterface('ipv4', 'accept_local', 1);

const byRole: Readonly<Record<Role, readonly Sysctl[]>> = {
  client: ending,
  link: ending,
  lb: forwarding,
  proxy: forwarding,
  logger: forwarding,
  router: forwarding,
  backend,
  auxlogger: forwarding,
  smtp: ending,
  db: ending,
};

export function sysctlsOf(role: Role, holdsVip: boolean): readonly Sysctl[] {
  return [...everywhere, ...byRole[role], ...(holdsVip ? holder : [])];
}

/** The fabric's bridges only switch: no firewall hook may look into their frames, and they need no IPv6. */
export const fabricSysctls: readonly Sysctl[] = [
  ...everyInterface('ipv6', 'disable_ipv6', 1, true),
  sysctl('net/bridge/bridge-nf-call-iptables', 0, true),
  sysctl('net/bridge/bridge-nf-call-arptables', 0, true),
];
