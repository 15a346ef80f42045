import { type Host, type HostProcess, hostNamed, type Topology } from '@resplice/topology';
import { LabError, notUp } from './errors.ts';
import {
  componentOf,
  type Fault,
  type LabState,
  readLabState,
  topologyOf,
  writeLabState,
} from './lab-state.ts';
import type { Place } from './place.ts';

/** A lab that exists, as its file describes it at this moment. */
export interface Lab {
  readonly place: Place;
  readonly state: LabState;
  readonly topology: Topology;
}

export function findLab(place: Place): Lab | undefined {
  const state = readLabState(place);
  return state && { place, state, topology: topologyOf(state) };
}

/** @throws LabError not-up */
export function requireLab(place: Place): Lab {
  const lab = findLab(place);
  if (lab?.state.phase !== 'up') throw notUp();
  return lab;
}

/** @throws LabError usage, naming the components that exist */
export function requireHost({ topology }: Lab, name: string): Host {
  const host = hostNamed(topology, name);
  if (host) return host;
  const names = topology.hosts.map(each => each.name).join(', ');
  throw new LabError('usage', `no component is named "${name}"; there are ${names}`);
}

export interface Target {
  readonly host: Host;
  /** Undefined: the whole component. */
  readonly process: HostProcess | undefined;
}

/** `COMPONENT` or `COMPONENT/PROCESS` */
export function nameOf({ host, process }: Target): string {
  return process ? `${host.name}/${process.name}` : host.name;
}

/** Reads a target that must be a component, for faults of its links. @throws LabError usage */
export function requireComponent(lab: Lab, fault: 'cut' | 'isolate', target: string): Host {
  const { host, process } = requireTarget(lab, target);
  if (process) throw new LabError('usage', `a process has no links to cut; try: ${fault} ${host.name}`);
  return host;
}

/** Reads `COMPONENT` or `COMPONENT/PROCESS`. @throws LabError usage, naming what exists */
export function requireTarget(lab: Lab, target: string): Target {
  const component = componentOf(target);
  const host = requireHost(lab, component);
  if (target === component) return { host, process: undefined };
  const name = target.slice(component.length + 1);
  const found = host.processes.find(each => each.name === name);
  if (found) return { host, process: found };
  const names = host.processes.map(each => each.name).join(', ') || 'none';
  throw new LabError('usage', `${component} has no process named "${name}"; there is ${names}`);
}

/** Notes a fault before it is made, so that `heal` finds it even if we die in the middle. */
export function noteFault({ place, state }: Lab, noted: Omit<Fault, 'at'>): void {
  const { kind, target, from } = noted;
  state.faults = state.faults.filter(
    fault => fault.kind !== kind || fault.target !== target || fault.from !== from,
  );
  state.faults.push({ ...noted, at: Date.now() });
  writeLabState(place, state);
}
