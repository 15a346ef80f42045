// A container's first process: the host's network, its processes, or one of them beside somebody else's network.

import { constants } from 'node:os';
import { hostNamed } from '@resplice/topology';
import { deploymentIn, topologyFor } from './deployment.ts';
import { startPart } from './part.ts';
import { plug } from './plug.ts';

/** What a container can hold of a host, beside its processes. */
export const networkPart = 'network';

/**
 * Runs until a part ends or a signal comes; the engine decides what follows.
 * @param component as the topology names it
 * @param parts `network`, then names of processes
 */
export async function runContainer(component: string, parts: readonly string[]): Promise<void> {
  const topology = topologyFor(deploymentIn(process.env));
  const host = hostNamed(topology, component);
  if (!host) throw new RangeError(`no component is named "${component}"`);
  const fail = (error: Error) => {
    process.stderr.write(`${component}: ${error.message}\n`);
    process.exit(1);
  };
  let stop = (_: NodeJS.Signals): void => process.exit(0);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal));
  if (parts.includes(networkPart)) await plug(host, fail);
  const children = parts.filter(part => part !== networkPart).map(part => startPart(topology, host, part));
  if (children.length > 0) stop = signal => children.forEach(child => void child.kill(signal));
  for (const child of children) {
    child.once('error', fail);
    child.once('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal!]));
  }
}
