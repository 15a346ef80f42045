import type { Namespace } from './namespace.ts';

export interface NetemSupport {
  readonly netem: boolean;
  /** Linux 6.7 and its tc repeat a run by its seed. */
  readonly seeded: boolean;
}

const trial = 'qdisc add dev lo root netem delay 1ms';

async function tries(namespace: Namespace, line: string): Promise<boolean> {
  try {
    await namespace.batch('tc', [line]);
    return true;
  } catch {
    return false;
  }
}

/** Finds out by trying, on the namespace's loopback device, which is left as it was. */
export async function netemSupport(namespace: Namespace): Promise<NetemSupport> {
  let netem = await tries(namespace, trial);
  if (!netem) {
    // It may be a module that nobody has loaded; without modules, or without modprobe, this fails.
    await namespace.run('modprobe', ['sch_netem']).catch(() => {});
    netem = await tries(namespace, trial);
  }
  if (!netem) return { netem, seeded: false };
  try {
    const asked = await tries(namespace, 'qdisc change dev lo root netem delay 1ms seed 4711');
    const shown = asked ? await namespace.run('tc', ['qdisc', 'show', 'dev', 'lo']) : '';
    return { netem, seeded: shown.includes('seed 4711') };
  } finally {
    await namespace.batch('tc', ['qdisc del dev lo root']);
  }
}
