import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host, HostProcess } from '@resplice/topology';
import { removePins } from './bpf-filesystem.ts';
import { LabError } from './errors.ts';
import { makeLinks, plugIn, removeLinks, setPorts } from './host-network.ts';
import { isolatedFrom, isolateHosts, requireNeighbours, reuniteHosts } from './isolation.ts';
import { type Lab, nameOf, noteFault, type Target } from './lab.ts';
import { type Fault, hasFault, isWithin, writeLabState } from './lab-state.ts';
import { type LaunchContext, launch } from './launch.ts';
import { alreadyGone, inodesOf } from './namespaces.ts';
import { componentDirectoryOf, netnsOf } from './place.ts';
import { pointsOf, requirePoint } from './points.ts';
import {
  isAlive,
  killFamily,
  killNamespaces,
  livingFamilies,
  outlive,
  type ProcessEntry,
  pidsInNamespaces,
  processEntry,
  stopUntilStill,
  thaw,
} from './process-table.ts';

/** A back end's crash leaves its kernel running; any other component goes as a whole machine (CLI.md). */
function dropsAsMachine(host: Host): boolean {
  return host.role !== 'backend';
}

/** What lives of the target: of a component everything in its place, whoever started it. */
function livingIn({ place, state }: Lab, { host, process }: Target): ProcessEntry[] {
  const known = state.processes[host.name] ?? {};
  if (process) return livingFamilies([known[process.name]].filter(each => each !== undefined));
  const inside = pidsInNamespaces(inodesOf([netnsOf(place, host.name)]));
  const entries = [...livingFamilies(Object.values(known)), ...inside.map(processEntry)];
  return entries.filter(entry => entry !== undefined);
}

async function killHost({ place }: Lab, host: Host): Promise<void> {
  await killNamespaces(inodesOf([netnsOf(place, host.name)]));
}

/**
 * The machine is gone. Its links fall silent first: its kernel must not get to tell anybody, with a FIN, an RST or
 * an ICMP error, that its processes died.
 */
async function dropMachine(lab: Lab, host: Host): Promise<void> {
  const { place, topology } = lab;
  await setPorts(place, host, 'silent', { tolerate: alreadyGone });
  await killHost(lab, host);
  await removeLinks(place, topology, host);
  removePins(place, host.name);
}

/** SIGKILL; returns the epoch milliseconds at which it had taken effect. The lab's lock must be held. */
export async function crash(lab: Lab, target: Target): Promise<number> {
  const { host, process } = target;
  const { place, state } = lab;
  noteFault(lab, { kind: 'crash', target: nameOf(target) });
  if (!process) await (dropsAsMachine(host) ? dropMachine(lab, host) : killHost(lab, host));
  else {
    const identity = state.processes[host.name]?.[process.name];
    if (identity) await killFamily(identity);
  }
  const at = Date.now();
  // Of the frozen nobody is left to thaw. Not sooner: a crash that is interrupted may leave them frozen.
  state.faults = state.faults.filter(each => each.kind !== 'freeze' || !isWithin(each, nameOf(target)));
  writeLabState(place, state);
  return at;
}

/** The host's links fall silent; its processes live on. The lab's lock must be held. */
export async function cut(lab: Lab, host: Host): Promise<number> {
  noteFault(lab, { kind: 'cut', target: host.name });
  // A machine that is gone has no ports left to silence.
  if (!(hasFault(lab.state, 'crash', host.name) && dropsAsMachine(host))) {
    await setPorts(lab.place, host, 'silent');
  }
  return Date.now();
}

/** SIGSTOP to the target, and to all that it started; its kernel goes on. The lab's lock must be held. */
export async function freeze(lab: Lab, target: Target): Promise<number> {
  const name = nameOf(target);
  if (livingIn(lab, target).length === 0)
    throw new LabError('usage', `nothing runs in ${name} that could be frozen; see: ./resplice status`);
  noteFault(lab, { kind: 'freeze', target: name });
  await stopUntilStill(() => livingIn(lab, target));
  return Date.now();
}

/** Stops itself there when it next gets there (SIGSTOP). The lab's lock must be held. */
export function freezeAt(lab: Lab, { host, process }: Target, point: string): number {
  requirePoint({ host, process }, point);
  noteFault(lab, { kind: 'freeze', target: host.name, point });
  writeFileSync(join(componentDirectoryOf(lab.place, host.name), point), '');
  return Date.now();
}

/** Points that nobody has reached stop nobody any more. */
function disarm({ place }: Lab, host: Host): void {
  for (const point of pointsOf(host))
    rmSync(join(componentDirectoryOf(place, host.name), point), { force: true });
}

/** The two hear each other no more; everybody else hears both. The lab's lock must be held. */
export async function isolate(lab: Lab, host: Host, from: Host): Promise<number> {
  requireNeighbours(lab, host, from);
  noteFault(lab, { kind: 'isolate', target: host.name, from: from.name });
  await isolateHosts(lab.place, lab.topology, host, from);
  return Date.now();
}

/** Starts those of the host's processes that do not run. The lab's lock must be held. */
export async function startMissing(
  lab: Lab,
  context: LaunchContext,
  host: Host,
  processes: readonly HostProcess[] = host.processes,
): Promise<void> {
  const { place, state } = lab;
  state.processes[host.name] ??= {};
  const known = state.processes[host.name]!;
  for (const process of processes) {
    const identity = known[process.name];
    // Who was just asked to stop may be found alive here, and gone a moment later.
    if (identity) await outlive(identity);
    if (!identity || !isAlive(identity)) known[process.name] = await launch(context, host, process);
  }
  writeLabState(place, state);
}

/** Plugs in a machine that was gone, or had its links cut; `standing` are the faults that stay. */
async function reconnect(lab: Lab, host: Host, standing: readonly Fault[]): Promise<void> {
  const { place, topology, state } = lab;
  if (hasFault(state, 'crash', host.name) && dropsAsMachine(host)) {
    // A crash that was interrupted may have left half of it.
    await removeLinks(place, topology, host);
    await makeLinks(place, topology, host);
    // Its ports are new, and those who were isolated from it must not hear its first word.
    for (const other of isolatedFrom(lab, host, standing)) await isolateHosts(place, topology, host, other);
    await plugIn(place, topology, host);
  } else if (hasFault(state, 'cut', host.name)) {
    await setPorts(place, host, 'forwarding');
  }
}

async function reviveHost(lab: Lab, context: LaunchContext, host: Host): Promise<void> {
  const { place, topology, state } = lab;
  const own = state.faults.filter(each => isWithin(each, host.name));
  const standing = state.faults.filter(each => !own.includes(each));
  await reconnect(lab, host, standing);
  // The two may be isolated from the other side as well.
  const stillApart = isolatedFrom(lab, host, standing);
  for (const other of isolatedFrom(lab, host, own)) {
    if (!stillApart.includes(other)) await reuniteHosts(place, topology, host, other);
  }
  disarm(lab, host);
  if (own.some(each => each.kind === 'freeze')) thaw(livingIn(lab, { host, process: undefined }));
  await startMissing(lab, context, host);
  state.faults = standing;
}

async function reviveProcess(lab: Lab, context: LaunchContext, host: Host, what: HostProcess): Promise<void> {
  const target = { host, process: what };
  const { state } = lab;
  // A component that is frozen as a whole keeps it frozen.
  const thaws = hasFault(state, 'freeze', nameOf(target)) && !hasFault(state, 'freeze', host.name);
  if (thaws) thaw(livingIn(lab, target));
  await startMissing(lab, context, host, [what]);
  state.faults = state.faults.filter(fault => fault.target !== nameOf(target));
}

/** Undoes every fault of the target, and starts what died without one. The lab's lock must be held. */
export async function revive(lab: Lab, context: LaunchContext, { host, process }: Target): Promise<void> {
  if (process) await reviveProcess(lab, context, host, process);
  else await reviveHost(lab, context, host);
  writeLabState(lab.place, lab.state);
}
