import type { ServerName } from './arm.ts';
import type { NetworkName } from './network.ts';

/**
 * What a host is in the picture of ARCHITECTURE §1; a `router` stands in the logger's place in the other arms. A `link` is the
 * emulated line between client and balancer: a host that carries frames and has no address.
 */
export type Role = 'client' | 'link' | 'lb' | 'proxy' | 'logger' | 'router' | 'backend';

/** Our programs, by their folder under `apps/`; `link` is infra/tc-netem-wrapper's. */
export type AppName = 'link' | 'lb' | 'proxy' | 'logger' | 'backend-agent' | 'responder' | 'demo';

export interface Interface {
  /** As the host sees it: `<network>0`; a link's are `near0` and `far0`. */
  readonly device: string;
  readonly network: NetworkName;
  /** Undefined: it only carries frames. */
  readonly address: string | undefined;
  readonly prefixLength: number;
  readonly mac: string;
  /** What its other end is plugged into; a network that a link divides has two. */
  readonly bridge: string;
  /** The other end of the veth pair, a port of the bridge: `<component>-<n>`, at most 15 characters. */
  readonly port: string;
}

export interface Route {
  readonly destination: string;
  /** The next hop, or what happens instead of forwarding. */
  readonly via: string | 'blackhole';
  /** Congestion control pinned to the route. */
  readonly congestionControl?: string;
}

export interface Sysctl {
  /** Path below /proc/sys. */
  readonly path: string;
  readonly value: string;
  /** Absent or not namespaced on some kernels: skip it there, with a note. */
  readonly optional: boolean;
}

/** A daemon of ours: reads `--config FILE`, serves /healthz and /status on its Unix socket. */
export interface DaemonProcess {
  readonly kind: 'daemon';
  readonly name: 'link' | 'lb' | 'proxy' | 'logger' | 'agent' | 'responder';
  readonly app: Exclude<AppName, 'demo'>;
}

/** What the back ends serve: the built-in site (`demo`) or the user's command (`app`). Started again when it exits. */
export interface SiteProcess {
  readonly kind: 'site';
  readonly name: 'demo' | 'app';
  readonly environment: Readonly<Record<string, string>>;
}

/** A server of somebody else's in the proxies' place, with a configuration file that we write. */
export interface ServerProcess {
  readonly kind: 'server';
  readonly name: ServerName;
}

export type HostProcess = DaemonProcess | SiteProcess | ServerProcess;

export interface Host {
  /** The component's name, as in `proxy-1`. */
  readonly name: string;
  readonly role: Role;
  /** Counts from 1 within its role. */
  readonly number: number;
  readonly interfaces: readonly Interface[];
  /** Addresses that it holds beside those of its interfaces, on its loopback device. */
  readonly held: readonly string[];
  readonly routes: readonly Route[];
  readonly sysctls: readonly Sysctl[];
  readonly processes: readonly HostProcess[];
}

export function addressOn(host: Host, network: NetworkName): string {
  const { address } = interfaceOn(host, network);
  if (address === undefined) throw new Error(`${host.name} has no address on ${network}`);
  return address;
}

/** The networks on which both can be spoken to, in the order of the first one's interfaces. */
export function commonNetworks(a: Host, b: Host): NetworkName[] {
  const networksOf = ({ interfaces }: Host) =>
    interfaces.filter(each => each.address !== undefined).map(each => each.network);
  const theirs = networksOf(b);
  return networksOf(a).filter(network => theirs.includes(network));
}

export function interfaceOn(host: Host, network: NetworkName): Interface {
  const found = host.interfaces.find(candidate => candidate.network === network);
  if (!found) throw new Error(`${host.name} has no interface on ${network}`);
  return found;
}
