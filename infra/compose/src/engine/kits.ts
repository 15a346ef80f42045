// What the kits of back ends in containers say of themselves. A kit tells only who stands beside it.

import { setTimeout as delay } from 'node:timers/promises';
import { command, type KitStatus, LabError } from '@resplice/engines';
import { kitFrom } from '@resplice/engines/lab';
import type { Host } from '@resplice/topology';
import { signals } from '../container.ts';
import { configFileOf } from '../paths.ts';
import { containerOf, type Project, serviceOf } from './project.ts';

const pollMs = 100;
const followDeadlineMs = 10_000;
const application = 'webmail';

/** Whether an application with the kit runs there. */
export function hasKit({ processes }: Host): boolean {
  return processes.some(({ kind, name }) => kind === 'site' && name === application);
}

/** @returns its whole status as JSON; undefined when it does not answer */
async function probe({ name }: Host): Promise<string | undefined> {
  const argv = ['node', '/resplice/infra/engines/src/kit-probe.ts', configFileOf('kit')];
  const { code, stdout } = await command('docker', ['exec', containerOf(`${name}-${application}`), ...argv], {
    anyExit: true,
  });
  return code === 0 && stdout !== '' ? stdout : undefined;
}

/** Undefined when it does not answer. */
export async function kitOf(host: Host): Promise<KitStatus | undefined> {
  const stdout = await probe(host);
  return stdout === undefined ? undefined : kitFrom(host.name, stdout);
}

/**
 * Has a kit learn who its peers are now; returns when it has.
 * @throws LabError unhealthy when it does not
 */
export async function followMembers(project: Project, host: Host, members: readonly string[]): Promise<void> {
  await project.signal([serviceOf(host, application)], signals.follow);
  const wanted = members.filter(name => name !== host.name).join();
  for (
    const deadline = performance.now() + followDeadlineMs;
    performance.now() < deadline;
    await delay(pollMs)
  ) {
    const stdout = await probe(host);
    if (stdout === undefined) continue;
    const { peers } = JSON.parse(stdout) as { peers: readonly { readonly name: string }[] };
    if (peers.map(({ name }) => name).join() === wanted) return;
  }
  throw new LabError('unhealthy', `${host.name}/${application}: its kit does not learn who its peers are`);
}
