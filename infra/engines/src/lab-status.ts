import type { Arm, Role } from '@resplice/topology';
import { type Connection, connectionsOf } from './connections.ts';
import type { EngineName } from './engine.ts';
import { type HostInspection, inspect } from './inspection.ts';
import type { Lab } from './lab.ts';
import { type Fault, hasFault, isWithin } from './lab-state.ts';
import { netnsOf } from './place.ts';
import { type SiteStatus, siteStatusOf } from './site-status.ts';

export type ComponentState = 'up' | 'degraded' | 'down' | 'draining';

export interface ComponentStatus {
  readonly name: string;
  readonly role: Role;
  readonly state: ComponentState;
  /** Where it is: below /run/netns, or the container's name. */
  readonly netns: string;
  readonly addresses: readonly string[];
  /** Those that run, by name. */
  readonly processes: Readonly<Record<string, number>>;
  readonly metrics: Readonly<Record<string, number>>;
  /** Faults made and not healed: on the component, or on `component/process`. */
  readonly faults: readonly Omit<Fault, 'at'>[];
}

export interface LabStatus extends SiteStatus {
  readonly state: 'up';
  readonly engine: EngineName;
  readonly arm: Arm;
  readonly link: {
    readonly name: string;
    /** `none`, `tc-netem`, `tap`; `unknown` while its process does not answer. */
    readonly emulator: string;
    readonly rttMs: number;
    readonly rateMbit: number | null;
    readonly lossPercent: number;
  };
  readonly vip: { readonly address: string; readonly port: number; readonly url: string };
  readonly client: { readonly netns: string };
  readonly components: readonly ComponentStatus[];
  readonly connections: readonly Connection[];
}

function stateOf({ state }: Lab, { host, processes }: HostInspection): ComponentState {
  if (hasFault(state, 'crash', host.name)) return 'down';
  const running = processes.filter(each => each.pid !== undefined);
  if (processes.length > 0 && running.length === 0) return 'down';
  // It says itself that it is not ready for more.
  const isDrained = hasFault(state, 'drain', host.name);
  const broken = state.faults.some(fault => fault.kind !== 'drain' && isWithin(fault, host.name));
  if (isDrained && !broken && running.length === processes.length) return 'draining';
  const sound = processes.every(each => each.reason === undefined) && !broken;
  return sound ? 'up' : 'degraded';
}

function componentStatus(lab: Lab, inspection: HostInspection, placeOf: PlaceOf): ComponentStatus {
  const { host, processes } = inspection;
  const pids = processes.flatMap(({ process, pid }) => (pid === undefined ? [] : [[process.name, pid]]));
  return {
    name: host.name,
    role: host.role,
    state: stateOf(lab, inspection),
    netns: placeOf(host.name),
    addresses: [...host.interfaces.flatMap(each => each.address ?? []), ...host.held],
    processes: Object.fromEntries(pids),
    metrics: Object.assign({}, ...processes.map(each => each.status?.metrics ?? {})),
    faults: lab.state.faults.filter(fault => isWithin(fault, host.name)).map(({ at: _, ...fault }) => fault),
  };
}

function linkStatus({ topology }: Lab, inspections: readonly HostInspection[]): LabStatus['link'] {
  const { name, rttMs, rateMbit, lossPercent } = topology.link;
  const line = inspections.find(({ host }) => host.role === 'link');
  const emulator = line ? (line.processes[0]?.status?.emulator ?? 'unknown') : 'none';
  return { name, emulator, rttMs, rateMbit, lossPercent };
}

/** How a component's place is called. */
type PlaceOf = (component: string) => string;

/** The lab as `status --json` shows it (CLI.md). */
export async function statusOf(lab: Lab): Promise<LabStatus> {
  return statusFrom(lab, await inspect(lab), component => netnsOf(lab.place, component));
}

/** The same from what an engine has seen itself. */
export async function statusFrom(
  lab: Lab,
  inspections: readonly HostInspection[],
  placeOf: PlaceOf,
): Promise<LabStatus> {
  const { vip } = lab.topology;
  return {
    state: 'up',
    engine: lab.state.engine ?? 'netns',
    arm: lab.topology.arm,
    link: linkStatus(lab, inspections),
    vip,
    client: { netns: placeOf('client-1') },
    components: inspections.map(inspection => componentStatus(lab, inspection, placeOf)),
    connections: await connectionsOf(lab.topology, inspections),
    ...siteStatusOf(lab, inspections),
  };
}
