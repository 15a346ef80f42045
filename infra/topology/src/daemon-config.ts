import { auxiliaryPorts, mailDatabase, relayed } from './auxiliary.ts';
import { addressOn, type DaemonProcess, type Host, interfaceOn } from './host.ts';
import { type NetworkName, networks } from './network.ts';
import { serverCheck } from './server-config.ts';
import { applicationPort, hostsOf, type Topology } from './topology.ts';

/** Where one daemon finds its key, keeps its pins and listens for its administrator. */
export interface DaemonPaths {
  readonly keyFile: string;
  readonly pinDirectory: string;
  readonly adminSocket: string;
  /** Where files stop a proxy at a point of a set-up. */
  readonly breakpoints: string;
  /** Directory for what must outlive the daemon. */
  readonly data: string;
}

export type DaemonConfig = Readonly<Record<string, unknown>>;

/** `kit` and `identity` are TCP: among the back ends' kits and loggers of both roles, and the agent's answers to its own kit. */
export const ports = { control: 7000, probe: 7001, kit: 7002, identity: 7003 } as const;

/** Three misses of 20 ms: a dead proxy is out of the table after some 60 ms (ARCHITECTURE §6). */
export const probe = { intervalMs: 20, misses: 3 } as const;

/** One number a daemon, unique over all roles: it is the sender's id in sealed datagrams. */
export function daemonId(host: Host): number {
  const bases = {
    proxy: 0,
    lb: 100,
    logger: 200,
    backend: 300,
    link: 400,
    auxlogger: 500,
    db: 600,
    client: undefined,
    router: undefined,
    smtp: undefined,
  };
  const base = bases[host.role];
  if (base === undefined) throw new Error(`${host.name} runs no daemon`);
  return base + host.number;
}

function proxiesOn(topology: Topology, network: NetworkName) {
  return hostsOf(topology, 'proxy').map(host => ({
    name: host.name,
    id: daemonId(host),
    address: addressOn(host, network),
  }));
}

/** Only where it is said: most daemons are never told. */
function drainingOf(topology: Topology, host: Host) {
  return topology.drained.includes(host.name) ? { draining: true } : {};
}

function vips({ vip, rules }: Topology) {
  return rules.listeners.map(({ port }) => ({ address: vip.address, port }));
}

function backendsOf(topology: Topology) {
  return hostsOf(topology, 'backend').map(backend => ({
    name: backend.name,
    id: backend.number,
    address: addressOn(backend, 'back'),
    port: applicationPort,
  }));
}

function deviceAndAddress(host: Host, network: NetworkName) {
  return { device: interfaceOn(host, network).device, address: addressOn(host, network) };
}

function device(host: Host, network: NetworkName) {
  return { device: interfaceOn(host, network).device };
}

function lb(topology: Topology, host: Host): DaemonConfig {
  return {
    vips: vips(topology),
    wan: device(host, 'wan'),
    front: deviceAndAddress(host, 'front'),
    proxies: proxiesOn(topology, 'front'),
    steering: topology.steering,
    probePort: ports.probe,
    probe,
  };
}

function proxy(topology: Topology, host: Host): DaemonConfig {
  const { listeners, pools, limits } = topology.rules;
  return {
    front: deviceAndAddress(host, 'front'),
    middle: deviceAndAddress(host, 'middle'),
    listeners: listeners.map(listener => ({ ...listener, address: topology.vip.address })),
    pools,
    peers: proxiesOn(topology, 'middle').filter(peer => peer.name !== host.name),
    balancers: hostsOf(topology, 'lb').map(host => ({
      name: host.name,
      id: daemonId(host),
      address: addressOn(host, 'front'),
    })),
    logger: hostsOf(topology, 'logger').map(host => ({
      name: host.name,
      id: daemonId(host),
      address: addressOn(host, 'middle'),
    }))[0],
    backends: backendsOf(topology),
    controlPort: ports.control,
    probePort: ports.probe,
    maxConnections: limits.connections,
    limits: {
      headBytes: limits.headBytes,
      headTimeoutMs: limits.headTimeout,
      connectTimeoutMs: limits.connectTimeout,
    },
    ...drainingOf(topology, host),
  };
}

function logger(topology: Topology, host: Host): DaemonConfig {
  return {
    role: 'front',
    vips: vips(topology),
    middle: deviceAndAddress(host, 'middle'),
    back: deviceAndAddress(host, 'back'),
    proxies: proxiesOn(topology, 'middle'),
    backends: backendsOf(topology),
    auxiliaries: hostsOf(topology, 'auxlogger').map(each => ({
      name: each.name,
      address: addressOn(each, 'back'),
    })),
    maxConnections: topology.rules.limits.connections,
    listeners: topology.rules.listeners,
    pools: topology.rules.pools,
    headBytes: topology.rules.limits.headBytes,
    headTimeoutMs: topology.rules.limits.headTimeout,
    timeoutClasses: topology.rules.timeoutClasses,
    recovery: topology.rules.recovery,
    draining: hostsOf(topology, 'backend')
      .map(({ name }) => name)
      .filter(name => topology.drained.includes(name)),
    steering: topology.steering,
    controlPort: ports.control,
    probePort: ports.probe,
    probe,
  };
}

function agent(topology: Topology, host: Host): DaemonConfig {
  return {
    ...deviceAndAddress(host, 'back'),
    app: { port: applicationPort },
    // The logger opens connections in clients' names, too, when they move.
    proxies: [
      ...proxiesOn(topology, 'middle'),
      ...hostsOf(topology, 'logger').map(each => ({
        name: each.name,
        id: daemonId(each),
        address: addressOn(each, 'back'),
      })),
    ],
    probePort: ports.probe,
    maxConnections: topology.rules.limits.connections,
    ...drainingOf(topology, host),
  };
}

function responder(): DaemonConfig {
  return { server: serverCheck, probePort: ports.probe };
}

/** Half of the round trip in each direction; both have the rate, the queue and the loss. */
function link({ link: { rttMs, rateMbit, lossPercent, queuePackets } }: Topology, host: Host): DaemonConfig {
  const [near, far] = host.interfaces;
  return {
    near: near!.device,
    far: far!.device,
    shape: {
      delay: rttMs / 2,
      rate: rateMbit === null ? null : rateMbit * 1e6,
      loss: lossPercent,
      queue: { packets: queuePackets },
    },
  };
}

/** Only those who need it may ask: back ends, and who stands beside it. */
function postgres(_: Topology, host: Host): DaemonConfig {
  return {
    listen: { address: addressOn(host, 'aux'), port: auxiliaryPorts.database },
    database: mailDatabase.name,
    role: mailDatabase.role,
    admits: [networks.back.subnet, networks.aux.subnet],
  };
}

function auxlogger(topology: Topology, host: Host): DaemonConfig {
  return {
    role: 'auxiliary',
    backends: backendsOf(topology).map(({ name, address }) => ({ name, address })),
    services: relayed,
    commits: {
      listen: { address: addressOn(host, 'back'), port: ports.kit },
      from: hostsOf(topology, 'logger').map(({ name }) => name),
    },
  };
}

const own = { link, lb, proxy, logger, agent, responder, postgres, auxlogger };

/** The JSON that a daemon reads with `--config`; its schema lives in the daemon's own app. */
export function daemonConfig(
  topology: Topology,
  host: Host,
  { name }: DaemonProcess,
  paths: DaemonPaths,
): DaemonConfig {
  return {
    name: host.name,
    id: daemonId(host),
    keyFile: paths.keyFile,
    pinDirectory: paths.pinDirectory,
    admin: { socket: paths.adminSocket },
    logLevel: 'info',
    ...own[name](topology, host),
    ...(name === 'proxy' ? { breakpoints: paths.breakpoints } : {}),
    ...(name === 'postgres' ? { directory: paths.data } : {}),
    ...(name === 'auxlogger' ? { logDirectory: paths.data } : {}),
  };
}
