import { cellsMatching, runMatrix } from '@resplice/drill';
import { Lab } from '@resplice/e2e/fixtures/lab.ts';
import { downloadThrough, RECOVERY_MS } from '@resplice/e2e/fixtures/thousand.ts';
import { NetnsEngine, type Watcher } from '@resplice/engines';
import { quantile } from '@resplice/figures';

/** How long a client that is served by a back end that fails stands still. */
export interface Failover {
  /** A cell of the drill's, or what many connections did. */
  readonly what: string;
  readonly runs: number;
  /** Of runs for one connection, of connections for many: what is added to a stall without a fault, ms; null: nobody had an answer. */
  readonly addedStallMs: { readonly median: number; readonly p99: number; readonly max: number } | null;
  /** What the median may be, of many connections the maximum, ms; null: nothing is promised. */
  readonly barMs: number | null;
  readonly verdict: 'pass' | 'fail' | 'inconclusive' | 'not applicable';
  /** Null when it passed. */
  readonly reason: string | null;
}

const faults = ['crash', 'cut', 'freeze'] as const;
/** One connection, by moment; an upload can only be an update. */
const moments = ['upload/update', 'waiting/read', 'response/read', 'idle/read'];
/** A run for many connections stands for so many runs for one: it takes half a minute. */
const RUNS_A_CROWD = 25;

/** @param runs of each cell */
async function forOne(runs: number, seed: number, watcher: Watcher): Promise<Failover[]> {
  const patterns = faults.flatMap(fault => moments.map(moment => `backend/${fault}/${moment}`));
  const lab = {
    arm: 'resplice',
    link: undefined,
    proxies: 2,
    backends: 2,
    backendCommand: undefined,
  } as const;
  const begun = (cell: string, number: number, of: number) =>
    watcher.progress?.(`failover ${number} of ${of}: ${cell}, ${runs} times`);
  const { cells } = await runMatrix(
    { lab, cells: cellsMatching(patterns.join(',')), seed, repeat: runs, urlPath: '/' },
    { ...watcher, begun },
  );
  return cells.map(({ cell, runs: all, addedStallMs, barMs, verdict, reason }) => ({
    what: cell,
    runs: all.length,
    addedStallMs,
    barMs,
    verdict,
    reason,
  }));
}

/** A thousand downloads at once, of which one back end serves about half. */
async function forMany(fault: (typeof faults)[number], runs: number, watcher: Watcher): Promise<Failover> {
  const what = `1,000 downloads, ${fault}`;
  const lab = await Lab.up();
  const stalls: number[] = [];
  let reason: string | null = null;
  try {
    for (let run = 0; run < runs && reason === null; run++) {
      watcher.signal?.throwIfAborted();
      watcher.progress?.(`failover of ${what}, run ${run + 1} of ${runs}`);
      const isStruck = ({ backend }: { backend: string | null }) => backend === 'backend-1';
      try {
        const { stallsMs } = await downloadThrough(lab, isStruck, () =>
          new NetnsEngine()[fault]('backend-1'),
        );
        stalls.push(...stallsMs);
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
      await lab.heal();
    }
  } finally {
    await lab.down();
  }
  const all = (share: number) => quantile(stalls, share);
  const addedStallMs = stalls.length > 0 ? { median: all(0.5), p99: all(0.99), max: all(1) } : null;
  const isLate = addedStallMs !== null && addedStallMs.max > RECOVERY_MS;
  reason ??= isLate ? `the slowest stalled for ${addedStallMs.max.toFixed(0)} ms` : null;
  const verdict = reason === null ? 'pass' : reason.startsWith('inconclusive') ? 'inconclusive' : 'fail';
  return { what, runs, addedStallMs, barMs: RECOVERY_MS, verdict, reason };
}

/**
 * Fails a back end over and over, by the drill's means, in a lab of its own.
 *
 * @param runs of each fault at each moment, 1 or more
 * @throws LabError when a lab does not come up
 */
export async function measureFailovers(runs: number, seed: number, watcher: Watcher): Promise<Failover[]> {
  const found = await forOne(runs, seed, watcher);
  for (const fault of faults) found.push(await forMany(fault, Math.ceil(runs / RUNS_A_CROWD), watcher));
  return found;
}
