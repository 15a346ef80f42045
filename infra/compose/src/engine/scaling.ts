// More members, or fewer, of a lab that is up. Its containers stay as they are: those that run learn of the others by replacing
// their daemons, one after the other, while the kernel goes on with what is pinned, and so with every connection.

import type { UpOptions, Watcher } from '@resplice/engines';
import {
  adminGet,
  isWithin,
  type Lab,
  noteDrain,
  readDaemonStatus,
  requireLab,
  topologyOf,
  untilEmpty,
  withLabLock,
  writeLabState,
} from '@resplice/engines/lab';
import { type DaemonProcess, type Host, hostsOf, type Role } from '@resplice/topology';
import { signals } from '../container.ts';
import { configHash } from '../part.ts';
import { adminSocket } from '../paths.ts';
import { followSettings, settingsOf } from './following.ts';
import { untilHealthy, untilNothing } from './health.ts';
import { fileIn, inspectHosts } from './inspection.ts';
import { followMembers, hasKit } from './kits.ts';
import { Project, serviceOf, servicesOf } from './project.ts';

const replaceDeadlineMs = 30_000;
const startDeadlineMs = 60_000;

type Numbers = Pick<UpOptions, 'proxies' | 'backends'>;

function mostOf(all: readonly Numbers[]): Numbers {
  return {
    proxies: Math.max(...all.map(({ proxies }) => proxies)),
    backends: Math.max(...all.map(({ backends }) => backends)),
  };
}

export function projectOf({ proxies, backends, site = 'demo' }: Lab['state']): Project {
  return new Project({ proxies, backends, site });
}

/** Packets are sent to those only whom everybody behind them knows. */
const rolesInOrder: readonly Role[] = ['auxlogger', 'backend', 'logger', 'proxy'];

/** Starts a daemon anew in its container; returns when it is ready, with the configuration that is known now. */
async function replaceDaemon({ state, topology }: Lab, host: Host, daemon: DaemonProcess): Promise<void> {
  const project = projectOf(state);
  const service = serviceOf(host, daemon.name);
  const wanted = configHash(topology, host, daemon);
  await project.signal([service], signals.replace);
  await untilNothing(replaceDeadlineMs, async () => {
    const seen = (await project.inspect([service])).get(service);
    if (!seen?.State.Running) return `${host.name}/${daemon.name} does not run`;
    const answer = await adminGet(fileIn(seen, adminSocket), '/status', 1000).catch(() => undefined);
    const status = answer && readDaemonStatus(answer.body);
    if (status?.ready && status.config?.sha256 === wanted) return '';
    return `${host.name}/${daemon.name} is not ready`;
  });
}

async function replaceDaemons(lab: Lab, hosts: readonly Host[], { progress }: Watcher): Promise<void> {
  for (const host of hosts) {
    for (const process of host.processes) {
      if (process.kind !== 'daemon') continue;
      progress?.(`${host.name}/${process.name} learns who there is`);
      await replaceDaemon(lab, host, process);
    }
  }
}

/** Returns when nothing is left of what the component had. */
async function empty(place: Lab['place'], component: string, watcher: Watcher): Promise<void> {
  await withLabLock(place, async () => {
    const lab = requireLab(place);
    noteDrain(lab, component);
    await followSettings(requireLab(place), projectOf(lab.state), watcher);
  });
  const look = ({ state, topology }: Lab) => inspectHosts(projectOf(state), topology.hosts);
  await untilEmpty(place, component, Number.POSITIVE_INFINITY, watcher, look);
}

function forgetFaults({ place, state }: Lab, components: readonly string[]): void {
  state.faults = state.faults.filter(fault => !components.some(each => isWithin(fault, each)));
  writeLabState(place, state);
}

/** Those that are part of a lab with so many proxies and back ends. */
function isKept({ proxies, backends }: Numbers): (host: Host) => boolean {
  return ({ role, number }) =>
    (role !== 'proxy' || number <= proxies) && (role !== 'backend' || number <= backends);
}

/** Whether nothing was done to the lab but what making it one of so many does itself. */
export function isSoundFor({ topology, state }: Lab, numbers: Numbers): boolean {
  const leaving = topology.hosts.filter(host => !isKept(numbers)(host)).map(({ name }) => name);
  return state.faults.every(({ kind, target }) => kind === 'drain' && leaving.includes(target));
}

/** Those of the hosts that run as a whole. */
async function runningOf(project: Project, hosts: readonly Host[]): Promise<Host[]> {
  const seen = await project.inspect(hosts.flatMap(servicesOf));
  return hosts.filter(host => servicesOf(host).every(service => seen.get(service)?.State.Running));
}

/**
 * Makes the lab one of so many, or goes on with that. Who is to go is emptied before, however long that takes.
 * @throws LabError unhealthy, usage, interrupted: the lab is up all the same, and trying again goes on
 */
export async function scale(before: Lab, numbers: Numbers, watcher: Watcher): Promise<void> {
  const { place } = before;
  const kept = isKept(numbers);
  const leaving = before.topology.hosts.filter(host => !kept(host));
  for (const { name } of leaving) await empty(place, name, watcher);
  await withLabLock(place, async () => {
    const lab = requireLab(place);
    forgetFaults(
      lab,
      leaving.map(({ name }) => name),
    );
    const scaling = mostOf([lab.state, numbers, lab.state.scaling ?? numbers]);
    Object.assign(lab.state, numbers, { scaling });
    writeLabState(place, lab.state);
    const most = { ...lab.state, ...scaling };
    const surplus = topologyOf(most).hosts.filter(host => !kept(host));
    // Before the others learn: a proxy that knew of fewer hosts than one which still hears these would think itself cut off.
    if (surplus.length > 0) await projectOf(most).remove(surplus.flatMap(servicesOf));
    const next = requireLab(place);
    const project = projectOf(next.state);
    await project.settle(settingsOf(next));
    const { hosts } = next.topology;
    const staying = await runningOf(project, hosts);
    const coming = hosts.filter(host => !staying.includes(host));
    const members = hostsOf(next.topology, 'backend').map(({ name }) => name);
    // Before anybody new: it would be refused, and think itself alone.
    for (const host of staying.filter(hasKit)) {
      watcher.progress?.(`${host.name}'s kit learns who there is`);
      await followMembers(project, host, members);
    }
    for (const role of rolesInOrder) {
      await replaceDaemons(
        next,
        staying.filter(host => host.role === role),
        watcher,
      );
    }
    if (coming.length > 0) {
      watcher.progress?.(`starting ${coming.map(({ name }) => name).join(', ')}`);
      await project.start(coming.flatMap(servicesOf), startDeadlineMs);
    }
    await replaceDaemons(next, hostsOf(next.topology, 'lb'), watcher);
    await untilHealthy(place, project);
    next.state.scaling = undefined;
    writeLabState(place, next.state);
  });
}
