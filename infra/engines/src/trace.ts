import { hostsOf } from '@resplice/topology';
import { adminGet } from './admin-client.ts';
import type { LoggedConnection } from './daemon-status.ts';
import { LabError } from './errors.ts';
import type { Lab } from './lab.ts';
import { processFilesOf } from './place.ts';

export interface TraceStep {
  /** Epoch milliseconds, with fractions. */
  readonly atMs: number;
  /** Which of the connection's moves it belongs to, from 1. */
  readonly move: number;
  readonly what: string;
}

/** What happened to one connection, as the logger knows it. */
export interface Trace {
  /** `address:port` */
  readonly client: string;
  readonly vip: string;
  /** Epoch milliseconds. */
  readonly openedMs: number;
  /** Null: it is over. */
  readonly connection: LoggedConnection | null;
  /** Older steps that the logger keeps no more. */
  readonly dropped: number;
  /** Oldest first; none: it has never left its back end. */
  readonly steps: readonly TraceStep[];
}

/**
 * The connection of `address:port`, or the newest one of an address.
 * @returns undefined if the logger does not know such a connection, with its sentence in `why`
 * @throws LabError usage when it is no address, or the arm has no logger; unhealthy when the logger does not answer
 */
export async function traceIn(
  lab: Lab,
  client: string,
  socketOf: (logger: string) => string = logger => processFilesOf(lab.place, logger, 'logger').socket,
): Promise<{ trace?: Trace; why: string }> {
  const [logger] = hostsOf(lab.topology, 'logger').filter(({ processes }) =>
    processes.some(({ name }) => name === 'logger'),
  );
  if (!logger) throw new LabError('usage', `the arm ${lab.topology.arm} has no logger that could trace`);
  const path = `/trace?client=${encodeURIComponent(client)}`;
  const { code, body } = await adminGet(socketOf(logger.name), path, 3000).catch(cause => {
    throw new LabError('unhealthy', `${logger.name} does not answer; see: ./resplice status`, { cause });
  });
  const why = String((body as { error?: unknown }).error ?? '');
  if (code === 400) throw new LabError('usage', why);
  return code === 200 ? { trace: body as Trace, why } : { why };
}
