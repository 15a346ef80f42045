import {
  fabricSysctls,
  type Host,
  type Interface,
  type Route,
  type Sysctl,
  type Topology,
} from '@resplice/topology';
import { command } from './command.ts';
import { alreadyGone, type BatchOptions, batch } from './namespaces.ts';
import { netnsOf, netnsPathOf, type Place } from './place.ts';

/** The namespace that holds every bridge: the lab's switch. */
export const fabric = 'fabric';

/** A host's ports share a link group in the fabric, so that one request removes them together. 0 is the default group. */
function groupOf(topology: Topology, host: Host): number {
  return topology.hosts.indexOf(host) + 1;
}

function settings(sysctls: readonly Sysctl[]): string {
  return sysctls
    .map(({ path, value, optional }) =>
      optional
        ? `{ echo ${value} > /proc/sys/${path}; } 2>/dev/null || echo "note: ${path} cannot be set here, left as it is" >&2`
        : `echo ${value} > /proc/sys/${path} || exit 1`,
    )
    .join('\n');
}

/**
 * One process per host: it sets the sysctls from inside the namespace (they follow the writer), then turns into
 * `ip -batch`. @returns notes about settings that this kernel does not have
 */
async function configure(
  netnsPath: string,
  sysctls: readonly Sysctl[],
  lines: readonly string[],
): Promise<string[]> {
  const script = `${settings(sysctls)}\nexec ip -batch -`;
  const { stderr } = await command('nsenter', [`--net=${netnsPath}`, '--', 'sh', '-c', script], {
    input: lines.map(line => `${line}\n`).join(''),
  });
  return stderr.split('\n').filter(line => line.startsWith('note: '));
}

function linkLines(
  place: Place,
  group: number,
  { device, address, prefixLength, mac, port }: Interface,
): string[] {
  return [
    `link add ${device} address ${mac} type veth peer name ${port} netns ${netnsOf(place, fabric)} group ${group}`,
    ...(address === undefined ? [] : [`addr add ${address}/${prefixLength} dev ${device}`]),
    `link set ${device} up`,
  ];
}

function routeLine({ destination, via, congestionControl }: Route): string {
  const where = via === 'blackhole' ? `blackhole ${destination}` : `${destination} via ${via}`;
  return `route replace ${where}${congestionControl ? ` congctl ${congestionControl}` : ''}`;
}

export function configureFabric(place: Place, topology: Topology): Promise<string[]> {
  const bridges = [...new Set(topology.links.map(({ bridge }) => bridge))].flatMap(bridge => [
    `link add ${bridge} type bridge stp_state 0 mcast_snooping 0`,
    `link set ${bridge} up`,
  ]);
  return configure(netnsPathOf(place, fabric), fabricSysctls, bridges);
}

/** Links (made new), addresses, routes and sysctls of one host whose namespace exists; nobody hears it yet. */
export function makeLinks(place: Place, topology: Topology, host: Host): Promise<string[]> {
  const group = groupOf(topology, host);
  return configure(netnsPathOf(place, host.name), host.sysctls, [
    'link set lo up',
    ...host.held.map(address => `addr replace ${address}/32 dev lo`),
    ...host.interfaces.flatMap(each => linkLines(place, group, each)),
    ...host.routes.map(routeLine),
  ]);
}

/** Makes the host's ports part of their bridges. */
export async function plugIn(place: Place, topology: Topology, host: Host): Promise<void> {
  await batch(
    'ip',
    topology.links
      .filter(link => link.host === host.name)
      .map(({ port, bridge }) => `link set ${port} master ${bridge} up`),
    { netns: netnsOf(place, fabric) },
  );
}

export async function connectHost(place: Place, topology: Topology, host: Host): Promise<string[]> {
  const notes = await makeLinks(place, topology, host);
  await plugIn(place, topology, host);
  return notes;
}

/** Takes the host's links away at both ends, and with them whatever is attached to them. Harmless when it has none. */
export async function removeLinks(place: Place, topology: Topology, host: Host): Promise<void> {
  await batch('ip', [`link del group ${groupOf(topology, host)}`], {
    netns: netnsOf(place, fabric),
    tolerate: alreadyGone,
  });
}

const portState = { silent: 0, forwarding: 3 } as const;

/**
 * The bridge's ports go silent, or speak again. The host sees no change of carrier: like a switch that has died
 * behind a media converter, and unlike `ip link set down`, which would tell its kernel.
 */
export async function setPorts(
  place: Place,
  host: Host,
  state: keyof typeof portState,
  options: Pick<BatchOptions, 'tolerate'> = {},
): Promise<void> {
  await batch(
    'bridge',
    host.interfaces.map(({ port }) => `link set dev ${port} state ${portState[state]}`),
    { netns: netnsOf(place, fabric), ...options },
  );
}
