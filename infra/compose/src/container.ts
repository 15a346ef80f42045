// A container's first process: the host's network, its processes, or one of them beside somebody else's network.

import { hostNamed } from '@resplice/topology';
import { knownTopology } from './known-deployment.ts';
import { Part } from './part.ts';
import { plug } from './plug.ts';

/** What a container can hold of a host, beside its processes. */
export const networkPart = 'network';

/** What the first process does when it gets them; SIGTERM and SIGINT end it. */
export const signals = {
  /** Daemons take over what of the deployment may change while they run. */
  follow: 'SIGHUP',
  /** The processes are replaced by new ones; network and pinned programs stay, and with them connections. */
  replace: 'SIGUSR2',
} as const satisfies Record<string, NodeJS.Signals>;

/**
 * Runs until a part ends or a signal comes; the engine decides what follows.
 * @param component as the topology names it
 * @param parts `network`, then names of processes
 */
export async function runContainer(component: string, parts: readonly string[]): Promise<void> {
  const host = hostNamed(knownTopology(), component);
  if (!host) throw new RangeError(`no component is named "${component}"`);
  const fail = (error: Error) => {
    process.stderr.write(`${component}: ${error.message}\n`);
    process.exit(1);
  };
  const processes = parts
    .filter(part => part !== networkPart)
    .map(name => new Part(component, name, { ended: code => process.exit(code), failed: fail }));
  const each = (work: (part: Part) => void): void => {
    try {
      processes.forEach(work);
    } catch (error) {
      // What it runs with is sound; the next start tells.
      process.stderr.write(`${component}: ${(error as Error).message}\n`);
    }
  };
  let isUp = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (!isUp || processes.length === 0) process.exit(0);
      each(part => part.stop(signal));
    });
  }
  // Before it is up, each reads what is known then anyway.
  process.on(signals.follow, () => isUp && each(part => part.follow()));
  process.on(signals.replace, () => isUp && each(part => part.replace()));
  if (parts.includes(networkPart)) await plug(host, fail);
  isUp = true;
  for (const part of processes) part.start();
}
