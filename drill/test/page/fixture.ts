import { allCells, nameOf } from '../../src/cell.ts';
import type { KeptRun } from '../../src/page/matrix.ts';
import type { CellResult } from '../../src/result.ts';
import { countsOf } from '../../src/result.ts';
import type { Run } from '../../src/run.ts';

export const run: Run = {
  verdict: 'pass',
  reason: null,
  target: 'backend-1',
  faultAt: 1,
  status: 200,
  failure: null,
  afterwards: null,
  executions: null,
  stallMs: 12,
};

export const inconclusive: Run = {
  ...run,
  verdict: 'inconclusive',
  reason: 'too late',
  status: null,
  stallMs: null,
};

/** What is other than in a cell of which nobody noticed anything. */
export type Changes = Readonly<Record<string, Partial<CellResult>>>;

/** A whole run of an arm. */
export function wholeRun(arm: string, changes: Changes = {}, over: Partial<KeptRun> = {}): KeptRun {
  const cells = allCells().map(
    (cell): CellResult => ({
      cell: nameOf(cell),
      ...cell,
      promise: 'transparent',
      verdict: 'pass',
      reason: null,
      addedStallMs: { median: 12.345678, p99: 12.345678, max: 12.345678 },
      barMs: 300,
      runs: [run],
      ...changes[nameOf(cell)],
    }),
  );
  return {
    version: 1,
    at: '2026-01-02T03:04:05.000Z',
    command: `./resplice drill matrix --arm ${arm} --write`,
    machine: {
      processor: 'a processor',
      cores: 2,
      memoryGiB: 24,
      kernel: '6.1',
      system: 'Debian',
      versions: { 'Node.js': '24.1.0' },
    },
    arm,
    link: 'lan',
    proxies: 2,
    backends: 2,
    site: 'demo',
    seed: 4_000_000_001,
    repeat: 1,
    cells,
    counts: countsOf(cells),
    verdict: 'pass',
    ...over,
  };
}
