import { commonNetworks, type Host, interfaceOn, type Topology } from '@resplice/topology';
import { LabError } from './errors.ts';
import { fabric } from './host-network.ts';
import { type Lab, requireHost } from './lab.ts';
import type { Fault } from './lab-state.ts';
import { alreadyGone, type BatchOptions, batch } from './namespaces.ts';
import { netnsOf, type Place } from './place.ts';

/** A port of the fabric that lets some frames through no more. */
interface DeafPort {
  readonly port: string;
  /** `egress`: what is on its way to the port's host. `ingress`: what the host sends. */
  readonly direction: 'egress' | 'ingress';
  readonly neighbour: Host;
  readonly bytecode: string;
}

/**
 * Where two hosts of one network hear each other: what leaves a port towards its host still bears the MAC of the host that sent
 * it. Looking there, at both ends, catches broadcasts as well, the questions of ARP among them, which go to everybody.
 */
function portsOfNeighbours(a: Host, b: Host): DeafPort[] {
  return commonNetworks(a, b).flatMap(network => {
    const [ours, theirs] = [interfaceOn(a, network), interfaceOn(b, network)];
    const direction = 'egress' as const;
    return [
      { port: ours.port, direction, neighbour: b, bytecode: sourceFilter(theirs.mac) },
      { port: theirs.port, direction, neighbour: a, bytecode: sourceFilter(ours.mac) },
    ];
  });
}

/**
 * Between a proxy and a back end lies the logger, and there only addresses tell: what bears the other one's is dropped at both
 * ends, whichever name the sender used. A back end's answers in the VIP's name are not among it: they may take any proxy.
 */
function portsOfPath(a: Host, b: Host): DeafPort[] {
  const at = (host: Host, other: Host): DeafPort[] => {
    const addresses = other.interfaces.flatMap(each => each.address ?? []);
    return host.interfaces.flatMap(({ port }) => [
      { port, direction: 'egress' as const, neighbour: other, bytecode: addressFilter('source', addresses) },
      {
        port,
        direction: 'ingress' as const,
        neighbour: other,
        bytecode: addressFilter('destination', addresses),
      },
    ]);
  };
  return [...at(a, b), ...at(b, a)];
}

function portsBetween(a: Host, b: Host): DeafPort[] {
  return commonNetworks(a, b).length > 0 ? portsOfNeighbours(a, b) : portsOfPath(a, b);
}

/** Those who meet a host between them, as `portsOfPath` says. */
const paths = ['backend,proxy', 'backend,db', 'backend,smtp'];

/** Whether two hosts talk to each other, directly or by way of a logger. */
export function canBeIsolated(a: Host, b: Host): boolean {
  const path = paths.includes([a.role, b.role].sort().join());
  return a !== b && (path || commonNetworks(a, b).length > 0);
}

/** @throws LabError usage, naming whom the host talks to */
export function requireNeighbours({ topology }: Pick<Lab, 'topology'>, host: Host, from: Host): void {
  if (host === from) throw new LabError('usage', `${host.name} cannot be isolated from itself`);
  if (canBeIsolated(host, from)) return;
  const neighbours = topology.hosts.filter(each => canBeIsolated(host, each));
  throw new LabError(
    'usage',
    `${host.name} and ${from.name} do not talk to each other; ${host.name} can be isolated from ${neighbours.map(each => each.name).join(', ')}`,
  );
}

/** Those whom these faults isolate from the host, on whichever side it was named. */
export function isolatedFrom(lab: Lab, host: Host, faults: readonly Fault[]): Host[] {
  return faults.flatMap(({ kind, target, from }) => {
    if (kind !== 'isolate' || from === undefined) return [];
    if (target === host.name) return [requireHost(lab, from)];
    return from === host.name ? [requireHost(lab, target)] : [];
  });
}

/** One preference per neighbour, so that each filter is replaced and removed by itself. 0 is not one. */
function preferenceOf(topology: Topology, { neighbour }: DeafPort): number {
  return topology.hosts.findIndex(({ name }) => name === neighbour.name) + 1;
}

const drop = 2;
const goOn = 0xff_ff_ff_ff;

/**
 * Classic BPF: drop what comes from this MAC, whatever the protocol. `flower` and `u32` would say it more plainly,
 * but want modules that the lab needs for nothing else; BPF it has.
 */
export function sourceFilter(mac: string): string {
  const octets = mac.split(':').map(octet => Number.parseInt(octet, 16));
  const [head, tail] = [octets.slice(0, 4), octets.slice(4)].map(part =>
    part.reduce((value, octet) => value * 256 + octet, 0),
  );
  const instructions = [
    '32 0 0 6', // A = first four bytes of the source
    `21 0 3 ${head}`,
    '40 0 0 10', // A = its last two
    `21 0 1 ${tail}`,
    `6 0 0 ${drop}`,
    `6 0 0 ${goOn}`,
  ];
  return [instructions.length, ...instructions].join(',');
}

/** Classic BPF: drop IPv4 from, or to, one of these addresses. */
export function addressFilter(field: 'source' | 'destination', addresses: readonly string[]): string {
  const values = addresses.map(address =>
    address.split('.').reduce((value, part) => value * 256 + Number(part), 0),
  );
  const n = values.length;
  const instructions = [
    '40 0 0 12', // A = the frame's type
    `21 0 ${n + 1} ${0x0800}`,
    `32 0 0 ${field === 'source' ? 26 : 30}`,
    ...values.map((value, i) => `21 ${n - i} 0 ${value}`),
    `6 0 0 ${goOn}`,
    `6 0 0 ${drop}`,
  ];
  return [instructions.length, ...instructions].join(',');
}

/** Where the ports of the lab's switch are, if not in the caller's network. */
type Switch = Pick<BatchOptions, 'netns'>;

function switchOf(place: Place): Switch {
  return { netns: netnsOf(place, fabric) };
}

/** A and B hear each other no more; everybody else hears both. Repeating it is harmless. */
export function isolateHosts(place: Place, topology: Topology, a: Host, b: Host): Promise<void> {
  return isolateOn(switchOf(place), topology, a, b);
}

/** @param a with the ports and MACs that it has there, as `b` */
export async function isolateOn(where: Switch, topology: Topology, a: Host, b: Host): Promise<void> {
  const lines = portsBetween(a, b).flatMap(each => [
    `qdisc replace dev ${each.port} clsact`,
    `filter replace dev ${each.port} ${each.direction} pref ${preferenceOf(topology, each)} handle 1 protocol all bpf bytecode '${each.bytecode}' direct-action`,
  ]);
  // A machine that is gone has no ports: it gets its filters when it comes back.
  await batch('tc', lines, { ...where, tolerate: alreadyGone });
}

/** The kernel's words when there is no such filter, queueing discipline or port; tc adds a second line to its errors. */
const noFilter =
  /Cannot find (device|specified filter chain)|No such device|Parent Qdisc doesn't exist|Filter with specified priority\/protocol not found|We have an error talking to the kernel/;

/** Undoes `isolateHosts`, and nothing else. Harmless when there is nothing to undo. */
export function reuniteHosts(place: Place, topology: Topology, a: Host, b: Host): Promise<void> {
  return reuniteOn(switchOf(place), topology, a, b);
}

/** Undoes `isolateOn`. */
export async function reuniteOn(where: Switch, topology: Topology, a: Host, b: Host): Promise<void> {
  const lines = portsBetween(a, b).map(
    each => `filter del dev ${each.port} ${each.direction} pref ${preferenceOf(topology, each)}`,
  );
  await batch('tc', lines, { ...where, tolerate: noFilter });
}
