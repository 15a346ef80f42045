// Has daemons in containers take over what was settled for them.

import { setTimeout as delay } from 'node:timers/promises';
import { LabError, type Watcher } from '@resplice/engines';
import { adminGet, drainedOf, hasTaken, inWaves, type Lab, readDaemonStatus } from '@resplice/engines/lab';
import type { DaemonProcess, Host } from '@resplice/topology';
import { signals } from '../container.ts';
import type { Settings } from '../deployment.ts';
import { configHash } from '../part.ts';
import { adminSocket } from '../paths.ts';
import { fileIn, stoppedIn } from './inspection.ts';
import { type Project, serviceOf } from './project.ts';

const pollMs = 20;
const deadlineMs = 10_000;

export function settingsOf({ state }: Pick<Lab, 'state'>): Settings {
  const rules = state.siteFile?.rules;
  return { drained: drainedOf(state.faults), ...(rules ? { rules } : {}) };
}

function daemonsOf({ processes }: Host): DaemonProcess[] {
  return processes.filter(each => each.kind === 'daemon');
}

/**
 * Settles what the lab's state says, and waits until every daemon that runs follows it.
 * @returns those that do so when they go on
 * @throws LabError unhealthy when one refuses or does not get done; interrupted
 */
export async function followSettings(
  lab: Lab,
  project: Project,
  { signal }: Watcher = {},
): Promise<string[]> {
  await project.settle(settingsOf(lab));
  const deadline = Date.now() + deadlineMs;
  const follow = async (host: Host, process: DaemonProcess): Promise<string | undefined> => {
    const name = `${host.name}/${process.name}`;
    const service = serviceOf(host, process.name);
    const seen = (await project.inspect([service])).get(service);
    if (!seen?.State.Running || seen.State.Paused) return name;
    await project.signal([service], signals.follow);
    if (stoppedIn(seen).length > 0) return name;
    const wanted = configHash(lab.topology, host, process);
    for (; Date.now() < deadline; await delay(pollMs)) {
      if (signal?.aborted) throw new LabError('interrupted', `interrupted while waiting for ${name}`);
      const answer = await adminGet(fileIn(seen, adminSocket), '/status', 1000).catch(() => undefined);
      if (answer && hasTaken(name, readDaemonStatus(answer.body).config, wanted)) return undefined;
    }
    throw new LabError('unhealthy', `${name} does not take its new configuration over`);
  };
  return inWaves(lab, host => daemonsOf(host).map(process => follow(host, process)));
}
