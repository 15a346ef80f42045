// What is done to components that are containers, and undone: by the container engine's own means where it has them.

import { chownSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { LabError } from '@resplice/engines';
import {
  drainedOf,
  isFaulted,
  isolatedFrom,
  isWithin,
  type Lab,
  nameOf,
  noteFault,
  pointsOf,
  requireLab,
  requireNeighbours,
  requirePoint,
  type Target,
  writeLabState,
} from '@resplice/engines/lab';
import type { Host } from '@resplice/topology';
import { runDirectory } from '../paths.ts';
import { followSettings } from './following.ts';
import { untilHealthy } from './health.ts';
import { fileIn, stoppedIn } from './inspection.ts';
import { divide } from './ports.ts';
import { type Project, serviceOf, servicesOf } from './project.ts';

const healDeadlineMs = 30_000;

function servicesIn({ host, process }: Target): string[] {
  return process ? [serviceOf(host, process.name)] : servicesOf(host);
}

/** What a crash kills: of a back end its processes, whose kernel stays. */
function mortalIn(target: Target): string[] {
  const [owner, ...beside] = servicesIn(target);
  return beside.length > 0 ? beside : [owner!];
}

/** Of every component that nothing was done to. */
export function soundServices({ state, topology }: Lab): string[] {
  return topology.hosts.filter(({ name }) => !isFaulted(state, name)).flatMap(servicesOf);
}

/** @returns the epoch milliseconds at which it had taken effect, as all of these. The lab's lock must be held. */
export async function crash(lab: Lab, project: Project, target: Target): Promise<number> {
  const name = nameOf(target);
  noteFault(lab, { kind: 'crash', target: name });
  await project.kill(mortalIn(target));
  const at = Date.now();
  // Of the frozen nobody is left to thaw.
  lab.state.faults = lab.state.faults.filter(each => each.kind !== 'freeze' || !isWithin(each, name));
  writeLabState(lab.place, lab.state);
  return at;
}

export async function freeze(lab: Lab, project: Project, target: Target): Promise<number> {
  const running = await project.inspect(servicesIn(target));
  if (![...running.values()].some(({ State }) => State.Running))
    throw new LabError(
      'usage',
      `nothing runs in ${nameOf(target)} that could be frozen; see: ./resplice status`,
    );
  noteFault(lab, { kind: 'freeze', target: nameOf(target) });
  await project.pause(servicesIn(target));
  return Date.now();
}

export async function cut(lab: Lab, project: Project, host: Host): Promise<number> {
  noteFault(lab, { kind: 'cut', target: host.name });
  await project.disconnect(host);
  return Date.now();
}

export async function isolate(lab: Lab, project: Project, host: Host, from: Host): Promise<number> {
  requireNeighbours(lab, host, from);
  noteFault(lab, { kind: 'isolate', target: host.name, from: from.name });
  await divide('apart', lab, project, host, from);
  return Date.now();
}

/** The service whose process stops itself at points. */
function stoppedServiceOf(host: Host): string {
  return serviceOf(host, host.role === 'backend' ? 'webmail' : 'proxy');
}

/** Stops itself there when it next gets there (SIGSTOP). */
export async function freezeAt(lab: Lab, project: Project, target: Target, point: string): Promise<number> {
  requirePoint(target, point);
  const { host } = target;
  const service = stoppedServiceOf(host);
  const seen = (await project.inspect([service])).get(service);
  if (!seen?.State.Running) throw new LabError('unhealthy', `${host.name} does not run`);
  noteFault(lab, { kind: 'freeze', target: host.name, point });
  const file = fileIn(seen, `${runDirectory}/${point}`);
  writeFileSync(file, '');
  // Whoever gets there removes it, and is not root on every host.
  const { uid, gid } = statSync(dirname(file));
  chownSync(file, uid, gid);
  return Date.now();
}

/** Points that nobody has reached stop nobody any more, and who was stopped there goes on. */
async function disarm(project: Project, hosts: readonly Host[]): Promise<void> {
  const armed = hosts.filter(host => pointsOf(host).length > 0);
  const seen = await project.inspect(armed.map(stoppedServiceOf));
  for (const host of armed) {
    const container = seen.get(stoppedServiceOf(host));
    if (!container?.State.Running) continue;
    for (const point of pointsOf(host))
      rmSync(fileIn(container, `${runDirectory}/${point}`), { force: true });
    for (const { pid } of stoppedIn(container)) process.kill(pid, 'SIGCONT');
  }
}

export interface Healing {
  readonly target?: string | undefined;
  readonly found: Target | undefined;
}

/** Undoes every fault of the target, or of all; returns when healthy. @returns when the last thing was undone */
export async function heal(lab: Lab, project: Project, { target, found }: Healing): Promise<number> {
  const { state, topology } = lab;
  const undone = state.faults.filter(fault => target === undefined || isWithin(fault, target));
  const standing = state.faults.filter(fault => !undone.includes(fault));
  const hosts = found ? [found.host] : topology.hosts;
  await project.unpause(found ? servicesIn(found) : hosts.flatMap(servicesOf));
  if (!found?.process) {
    await disarm(project, hosts);
    for (const host of hosts) {
      if (undone.some(({ kind, target: of }) => kind === 'cut' && of === host.name))
        await project.connect(host);
      const apart = isolatedFrom(lab, host, standing);
      for (const other of isolatedFrom(lab, host, undone)) {
        if (!apart.includes(other)) await divide('together', lab, project, host, other);
      }
    }
  }
  const drained = drainedOf(state.faults).length;
  state.faults = standing;
  writeLabState(lab.place, state);
  // Before anybody waits for it: who is to be empty says that it is not ready.
  if (drainedOf(standing).length < drained) await followSettings(requireLab(lab.place), project);
  const at = Date.now();
  const sound = [...new Set([...soundServices(lab), ...(found ? servicesIn(found) : [])])];
  await project.untilRecovered(sound, healDeadlineMs);
  await project.start(sound, healDeadlineMs);
  // A container that was started again has other ports.
  for (const host of hosts) {
    for (const other of isolatedFrom(lab, host, standing)) await divide('apart', lab, project, host, other);
  }
  await untilHealthy(lab.place, project);
  return at;
}
