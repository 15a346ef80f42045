import { setTimeout as delay } from 'node:timers/promises';
import { hostsOf } from '@resplice/topology';
import { connectionsOf } from './connections.ts';
import type { DrainReport, Watcher } from './engine.ts';
import { LabError } from './errors.ts';
import type { HostInspection } from './inspection.ts';
import { type Lab, requireLab, requireTarget } from './lab.ts';
import { hasFault, isFaulted, writeLabState } from './lab-state.ts';
import type { Place } from './place.ts';

const pollMs = 100;

/**
 * Notes that the component is to be empty. The lab's lock must be held.
 * @throws LabError usage unless it is a proxy or back end of ours, and another one is sound
 */
export function noteDrain(lab: Lab, target: string): void {
  const { host, process } = requireTarget(lab, target);
  const { arm } = lab.topology;
  if (arm !== 'resplice') throw new LabError('usage', `the arm ${arm} cannot be drained`);
  if (process || (host.role !== 'proxy' && host.role !== 'backend'))
    throw new LabError('usage', `only a proxy or a back end as a whole can be drained, not ${target}`);
  if (hasFault(lab.state, 'drain', host.name)) return;
  const others = hostsOf(lab.topology, host.role).filter(
    ({ name }) => name !== host.name && !isFaulted(lab.state, name),
  );
  if (others.length === 0)
    throw new LabError('usage', `${host.name} cannot be drained: no other one is sound that could take over`);
  lab.state.faults.push({ kind: 'drain', target: host.name, at: Date.now() });
  writeLabState(lab.place, lab.state);
}

type Left = Pick<DrainReport, 'connections' | 'unprotected'>;

/** Undefined: nobody tells, be it that somebody who must has not answered. */
async function leftAtBackend(
  lab: Lab,
  name: string,
  all: readonly HostInspection[],
): Promise<Left | undefined> {
  const reports = all.flatMap(({ processes }) => processes.flatMap(({ status }) => status?.draining ?? []));
  const report = reports.find(({ backend }) => backend === name);
  if (!report) return undefined;
  // What passes the logger unread only the proxies know.
  const unknown = (await connectionsOf(lab.topology, all)).filter(
    ({ backend, reason, state }) =>
      backend === name && state === 'unprotected' && reason === 'the logger does not know it',
  );
  return {
    connections: report.connections + unknown.length,
    unprotected: report.unprotected + unknown.length,
  };
}

/** A proxy is empty when nobody sends packets there any more, and what it was setting up is done. */
function leftAtProxy(name: string, all: readonly HostInspection[]): Left | undefined {
  const statuses = (component: (inspection: HostInspection) => boolean) =>
    all.filter(component).flatMap(({ processes }) => processes.flatMap(({ status }) => status ?? []));
  const tables = statuses(() => true).flatMap(({ table }) => table ?? []);
  const [own] = statuses(({ host }) => host.name === name);
  // Of one that does not run, nothing is left.
  const setups = own?.metrics.setups ?? 0;
  if (tables.length === 0 || tables.some(({ live }) => live.includes(name))) return undefined;
  return { connections: setups, unprotected: 0 };
}

/** What is seen of every component. */
export type Look = (lab: Lab) => Promise<readonly HostInspection[]>;

/**
 * Waits until nothing is left of what a drained component had.
 *
 * @param deadlineMs Infinity: as long as it takes
 * @throws LabError interrupted
 */
export async function untilEmpty(
  place: Place,
  target: string,
  deadlineMs: number,
  { signal, progress }: Watcher,
  look: Look,
): Promise<DrainReport> {
  const at = Date.now();
  const { host } = requireTarget(requireLab(place), target);
  let told = '';
  for (;;) {
    const lab = requireLab(place);
    const all = await look(lab);
    const left =
      host.role === 'proxy' ? leftAtProxy(host.name, all) : await leftAtBackend(lab, host.name, all);
    const report = { kind: 'drain', target, at, ...(left ?? { connections: 0, unprotected: 0 }) } as const;
    if (left?.connections === 0) return { ...report, emptyAt: Date.now() };
    if (Date.now() - at > deadlineMs) return { ...report, emptyAt: null };
    if (signal?.aborted)
      throw new LabError(
        'interrupted',
        `interrupted; ${target} stays out until: ./resplice fault heal ${target}`,
      );
    const text = left
      ? `${left.connections} connections left, ${left.unprotected} of them not to be moved`
      : 'waiting for word';
    if (text !== told) progress?.(`${target}: ${text}`);
    told = text;
    await delay(pollMs);
  }
}
