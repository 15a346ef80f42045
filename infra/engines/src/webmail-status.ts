// What is kept for back ends that may die: journals and sessions by their kits, dialogues by the auxiliary logger.

import { fileURLToPath } from 'node:url';
import { hostsOf } from '@resplice/topology';
import { command } from './command.ts';
import type { AuxiliaryService } from './daemon-status.ts';
import { inspect } from './inspection.ts';
import type { Lab } from './lab.ts';
import { kitFilesOf, netnsPathOf } from './place.ts';

/** A back end's kit, as it sees itself. */
export interface KitStatus {
  readonly backend: string;
  /** Who holds its journal now; null: nobody. */
  readonly alternate: string | null;
  /** Whether it works without an alternate, unprotected. */
  readonly degraded: boolean;
  /** Records: `own` are with the alternate, `held` are others'; `bytes` of both. */
  readonly journals: { readonly own: number; readonly held: number; readonly bytes: number };
  /** Of all back ends, as far as this one knows. */
  readonly sessions: { readonly live: number; readonly destroyed: number };
  /** Requests that are run now. */
  readonly running: number;
}

export interface AuxiliaryStatus {
  readonly component: string;
  readonly services: readonly AuxiliaryService[];
}

export interface WebmailStatus {
  readonly kits: readonly KitStatus[];
  readonly auxiliaries: readonly AuxiliaryStatus[];
}

const probe = fileURLToPath(new URL('kit-probe.ts', import.meta.url));

/** Undefined when it does not answer: its back end's state says why. */
async function kitOf({ place }: Lab, backend: string): Promise<KitStatus | undefined> {
  const { code, stdout } = await command(
    'nsenter',
    [
      `--net=${netnsPathOf(place, backend)}`,
      '--',
      process.execPath,
      probe,
      kitFilesOf(place, backend).config,
    ],
    { anyExit: true },
  );
  return code === 0 ? kitFrom(backend, stdout) : undefined;
}

/** @param stdout of `kit-probe.ts` */
export function kitFrom(backend: string, stdout: string): KitStatus | undefined {
  if (stdout === '') return undefined;
  const { alternate, degraded, journals, sessions, running } = JSON.parse(stdout);
  return { backend, alternate, degraded, journals, sessions, running };
}

/** Null in a lab whose back ends have no kit. */
export async function webmailStatusOf(lab: Lab): Promise<WebmailStatus | null> {
  const { topology } = lab;
  const auxiliaries = hostsOf(topology, 'auxlogger');
  if (!topology.kit || auxiliaries.length === 0) return null;
  const inspections = await inspect(lab, [...hostsOf(topology, 'backend'), ...auxiliaries]);
  const runs = inspections.filter(
    ({ host, processes }) =>
      host.role === 'backend' && processes.some(each => each.process.kind === 'site' && !each.reason),
  );
  const kits = await Promise.all(runs.map(({ host }) => kitOf(lab, host.name)));
  return {
    kits: kits.filter(each => each !== undefined),
    auxiliaries: inspections
      .filter(({ host }) => host.role === 'auxlogger')
      .map(({ host, processes }) => ({
        component: host.name,
        services: processes.flatMap(each => each.status?.services ?? []),
      })),
  };
}
