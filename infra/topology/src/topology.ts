import type { Site } from '@resplice/site-config';
import { type Arm, serverOf } from './arm.ts';
import { auxiliaryHosts, wayToTheAuxiliaries, webmailEnvironment } from './auxiliary.ts';
import { type ClientLink, lan } from './client-link.ts';
import type { Host, HostProcess, Interface, Role, Route, SiteProcess } from './host.ts';
import { hostWith } from './make-host.ts';
import { addressIn, machineOn, type Network, networks, vip } from './network.ts';
import { demoSite, plainSite, webmailSite, withoutJournals } from './site.ts';
import { balancerWithVip } from './sysctls.ts';

export interface TopologyOptions {
  /** 1..16 */
  readonly proxies: number;
  /** 1..16 */
  readonly backends: number;
  /** What listens on port 8080 of each back end; `demo` if absent. */
  readonly site?: SiteName;
  /** Whether a connection's packets all take one proxy (`hash`), or each any proxy (`spray`). */
  readonly steering?: SteeringMode;
  /** `resplice` if absent. */
  readonly arm?: Arm;
  /** Whether back ends of the arm `resplice` are given what the kit needs; true if absent. In other arms they never are. */
  readonly kit?: boolean;
  /** Listeners, pools and limits; if absent, the site's own. */
  readonly rules?: Site | undefined;
  /** The client's; `lan` if absent. */
  readonly link?: ClientLink;
  /** Proxies and back ends that are to be empty; none if absent. */
  readonly drained?: readonly string[];
  /** `apart` if absent. */
  readonly vip?: VipPlace;
}

/**
 * Where the clients find the tier: at an address that no host holds, or at the balancer's own one in their network, which is the
 * only kind that a container engine can publish. The latter is for our own tier alone.
 */
export type VipPlace = 'apart' | 'balancer';

/** `webmail` and `demo` are ours; `command` is the user's. */
export type SiteName = 'webmail' | 'demo' | 'command';

export const steeringModes = ['hash', 'spray'] as const;
export type SteeringMode = (typeof steeringModes)[number];

export interface Link {
  readonly host: string;
  readonly device: string;
  readonly bridge: string;
  readonly port: string;
}

export interface Topology {
  readonly networks: readonly Network[];
  readonly hosts: readonly Host[];
  readonly links: readonly Link[];
  readonly steering: SteeringMode;
  readonly arm: Arm;
  /** Whether back ends are given what the kit needs. */
  readonly kit: boolean;
  readonly link: ClientLink;
  readonly rules: Site;
  /** Proxies and back ends that are to be empty. */
  readonly drained: readonly string[];
  /** With the first listener's port. */
  readonly vip: { readonly address: string; readonly port: number; readonly url: string };
}

export const most = { proxies: 16, backends: 16 } as const;

/** The port on which every back end's application listens. */
export const applicationPort = 8080;

const balancersOwn = addressIn('wan', 1);
const vips: Readonly<Record<VipPlace, { readonly address: string; readonly subnet: string }>> = {
  apart: vip,
  balancer: { address: balancersOwn, subnet: `${balancersOwn}/32` },
};

/** Nothing to the VIP is ever routed on: it would loop between balancer and proxy (ARCHITECTURE §2). */
function noWayToTheVip(place: VipPlace): Route {
  return { destination: vips[place].subnet, via: 'blackhole' };
}

/** Where the client is plugged in when a link divides it from the rest of its network. */
const nearBridge = 'access';

function client(link: ClientLink): Host {
  const way = { destination: 'default', via: addressIn('wan', 1) };
  const host = hostWith('client', 1, [['wan', 2]], [way], []);
  if (link === lan) return host;
  return { ...host, interfaces: host.interfaces.map(each => ({ ...each, bridge: nearBridge })) };
}

/** The line between client and balancer, if it is to be emulated; its two ends are on one network. */
function lineOf(link: ClientLink): Host[] {
  if (link === lan) return [];
  const host = hostWith(
    'link',
    1,
    [
      ['wan', 253],
      ['wan', 254],
    ],
    [],
    [{ kind: 'daemon', name: 'link', app: 'link' }],
  );
  const [near, far] = host.interfaces.map(each => ({ ...each, address: undefined })) as [
    Interface,
    Interface,
  ];
  return [
    {
      ...host,
      interfaces: [
        { ...near, device: 'near0', bridge: nearBridge },
        { ...far, device: 'far0' },
      ],
    },
  ];
}

/** In the arm `forward` the kernel routes to the VIP instead, by the first proxy to the first back end. */
function wayToTheVip(arm: Arm, via: string, place: VipPlace): Route {
  return arm === 'forward' ? { destination: vip.subnet, via } : noWayToTheVip(place);
}

function balancer(arm: Arm, place: VipPlace): Host {
  const host = hostWith(
    'lb',
    1,
    [
      ['wan', 1],
      ['front', 1],
    ],
    [wayToTheVip(arm, addressIn('front', 11), place)],
    arm === 'forward' ? [] : [{ kind: 'daemon', name: 'lb', app: 'lb' }],
  );
  if (place === 'apart') return host;
  // Clients come from outside, too, by the machine that the network is on; and what proxies answer has our own address as source.
  const routes = [{ destination: 'default', via: machineOn('wan') }];
  return { ...host, routes, sysctls: [...host.sysctls, ...balancerWithVip] };
}

/** What runs in a proxy's place. The responder tells the balancer whether the server beside it is well. */
function proxyProcesses(arm: Arm): readonly HostProcess[] {
  const server = serverOf(arm);
  if (server) {
    return [
      { kind: 'server', name: server },
      { kind: 'daemon', name: 'responder', app: 'responder' },
    ];
  }
  return arm === 'resplice' ? [{ kind: 'daemon', name: 'proxy', app: 'proxy' }] : [];
}

function proxy(number: number, arm: Arm, place: VipPlace): Host {
  return hostWith(
    'proxy',
    number,
    [
      ['front', 10 + number],
      ['middle', 10 + number],
    ],
    [
      { destination: 'default', via: addressIn('front', 1) },
      { destination: networks.back.subnet, via: addressIn('middle', 1) },
      wayToTheVip(arm, addressIn('middle', 1), place),
    ],
    proxyProcesses(arm),
    serverOf(arm) ? [vip.address] : [],
  );
}

/** Between proxies and back ends: the front-end logger, or in the other arms a router that nothing of ours runs on. */
function middle(arm: Arm): Host {
  const isLogger = arm === 'resplice';
  return hostWith(
    isLogger ? 'logger' : 'router',
    1,
    [
      ['middle', 1],
      ['back', 1],
    ],
    // The logger's BPF picks the live proxy; this route exists only so that the kernel agrees to forward at all.
    [
      { destination: 'default', via: addressIn('middle', 11) },
      ...(arm === 'forward' ? [wayToTheVip(arm, addressIn('back', 11), 'apart')] : []),
    ],
    isLogger ? [{ kind: 'daemon', name: 'logger', app: 'logger' }] : [],
  );
}

function siteProcess(number: number, arm: Arm, kit: boolean, site: SiteName): SiteProcess {
  // Nothing translates ports in the arm `forward`: there the application listens on the VIP's.
  const port = arm === 'forward' ? vip.port : applicationPort;
  const environment = { PORT: String(port), BACKEND_ID: `backend-${number}` };
  if (site !== 'webmail') return { kind: 'site', name: site === 'demo' ? 'demo' : 'app', environment };
  const own = webmailEnvironment(arm, kit);
  return { kind: 'site', name: 'webmail', ...own, environment: { ...environment, ...own.environment } };
}

function backend(number: number, arm: Arm, kit: boolean, site: SiteName): Host {
  return hostWith(
    'backend',
    number,
    [['back', 10 + number]],
    [
      // This kernel may default to BBR, which a switched connection's local ACKs mislead (ARCHITECTURE §2.3).
      { destination: 'default', via: addressIn('back', 1), congestionControl: 'cubic' },
      ...(site === 'webmail' ? [wayToTheAuxiliaries] : []),
    ],
    [
      ...(arm === 'resplice' ? [{ kind: 'daemon', name: 'agent', app: 'backend-agent' } as const] : []),
      siteProcess(number, arm, kit, site),
    ],
    arm === 'forward' ? [vip.address] : [],
  );
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

const rulesOf: Readonly<Record<SiteName, Site>> = {
  webmail: webmailSite,
  demo: demoSite,
  command: plainSite,
};

function requireCount(what: keyof typeof most, count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > most[what]) {
    throw new RangeError(`${what}: ${count} is not a whole number from 1 to ${most[what]}`);
  }
}

/**
 * The one description of the lab: hosts, links, addresses, routes, and what runs where. Pure.
 * @throws RangeError when a count is outside 1..16
 */
export function buildTopology(options: TopologyOptions): Topology {
  const {
    proxies,
    backends,
    site = 'demo',
    steering = 'hash',
    arm = 'resplice',
    kit: wanted = true,
    link = lan,
    drained = [],
    rules: given = rulesOf[site],
    vip: place = 'apart',
  } = options;
  if (place === 'balancer' && arm !== 'resplice') throw new RangeError(`the arm ${arm} needs a VIP apart`);
  const { address } = vips[place];
  const kit = wanted && arm === 'resplice';
  // In other arms nobody reads what is said of journals.
  const rules = wanted ? given : withoutJournals(given);
  const { port } = rules.listeners[0]!;
  requireCount('proxies', proxies);
  requireCount('backends', backends);
  const hosts = [
    client(link),
    ...lineOf(link),
    balancer(arm, place),
    ...upTo(proxies).map(number => proxy(number, arm, place)),
    middle(arm),
    ...upTo(backends).map(number => backend(number, arm, kit, site)),
    ...(site === 'webmail' ? auxiliaryHosts(arm) : []),
  ];
  const used = new Set(hosts.flatMap(host => host.interfaces.map(each => each.network)));
  return {
    networks: Object.values(networks).filter(({ name }) => used.has(name)),
    hosts,
    steering,
    arm,
    kit,
    rules,
    link,
    drained,
    links: hosts.flatMap(host =>
      host.interfaces.map(({ device, bridge, port }) => ({ host: host.name, device, bridge, port })),
    ),
    vip: { address, port, url: urlOf(port, address) },
  };
}

/** Where the clients find what a listener serves. */
export function urlOf(port: number, address: string = vip.address): string {
  return `http://${address}${port === 80 ? '' : `:${port}`}/`;
}

export function hostNamed(topology: Topology, name: string): Host | undefined {
  return topology.hosts.find(host => host.name === name);
}

export function hostsOf(topology: Topology, role: Role): readonly Host[] {
  return topology.hosts.filter(host => host.role === role);
}

/** Those of a role that carry connections when all are well: in the arm `forward` only the first, the others stand by idle. */
export function carriersOf(topology: Topology, role: Role): readonly Host[] {
  const all = hostsOf(topology, role);
  return topology.arm === 'forward' ? all.slice(0, 1) : all;
}
