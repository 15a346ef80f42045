import type { ServerName } from './arm.ts';
import type { NetworkName } from './network.ts';

/**
 * What a host is in the picture of ARCHITECTURE §1; a `router` stands in the logger's place in the other arms. A `link` is the
 * emulated line between client and balancer: a host that carries frames and has no address. The last three serve the webmail.
 */
export type Role =
  | 'client'
  | 'link'
  | 'lb'
  | 'proxy'
  | 'logger'
  | 'router'
  | 'backend'
  | 'auxlogger'
  | 'smtp'
  | 'db';

/** Daemons of ours, by their folder under `apps/`; `link` and `postgres` are infra/tc-netem-wrapper's and infra/postgres'. */
export type DaemonName = 'link' | 'lb' | 'proxy' | 'logger' | 'backend-agent' | 'responder' | 'postgres';
/** All our programs. */
export type AppName = DaemonName | 'demo' | 'webmail' | 'smtp';

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
  readonly name: Exclude<DaemonName, 'backend-agent'> | 'agent' | 'auxlogger';
  readonly app: DaemonName;
}

/** What of the lab's own key only some processes know; each lab's are others. */
export type SecretName = 'database' | 'delegation' | 'sessions';

interface Surroundings {
  readonly environment: Readonly<Record<string, string>>;
  /** Variables that hold secrets. */
  readonly secrets?: Readonly<Record<string, SecretName>>;
}

/** What the back ends serve: ours (`webmail`, `demo`) or the user's command (`app`). Started again when it exits. */
export interface SiteProcess extends Surroundings {
  readonly kind: 'site';
  readonly name: 'webmail' | 'demo' | 'app';
}

/** A server that back ends need, and that is no daemon. Started again when it exits. */
export interface ServiceProcess extends Surroundings {
  readonly kind: 'service';
  readonly name: 'smtp';
  /** Where it listens when it is ready. */
  readonly port: number;
}

/** A server of somebody else's in the proxies' place, with a configuration file that we write. */
export interface ServerProcess {
  readonly kind: 'server';
  readonly name: ServerName;
}

export type HostProcess = DaemonProcess | SiteProcess | ServiceProcess | ServerProcess;

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
