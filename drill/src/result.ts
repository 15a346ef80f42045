/** What a run of the matrix has found: plain data, as `--json` prints it. */
import type { SiteName } from '@resplice/topology';
import type { Cell } from './cell.ts';
import type { PromiseKind } from './promise.ts';
import type { Run } from './run.ts';
import type { Judgement, Verdict } from './verdict.ts';

export interface CellResult extends Cell, Judgement {
  /** `backend/crash/waiting/read` */
  readonly cell: string;
  readonly promise: PromiseKind;
  /** Of the runs that had an answer, in ms; null: none had. */
  readonly addedStallMs: { readonly median: number; readonly p99: number; readonly max: number } | null;
  /** Allowed as a median, ms; null: none is promised. */
  readonly barMs: number | null;
  readonly runs: readonly Run[];
}

export interface MatrixResult {
  readonly version: 1;
  readonly arm: string;
  readonly link: string;
  readonly proxies: number;
  readonly backends: number;
  readonly site: SiteName;
  readonly seed: number;
  readonly repeat: number;
  readonly cells: readonly CellResult[];
  readonly counts: Readonly<Record<Verdict, number>>;
  readonly verdict: 'pass' | 'fail' | 'inconclusive';
}

export function countsOf(cells: readonly Judgement[]): Record<Verdict, number> {
  const counts: Record<Verdict, number> = { pass: 0, fail: 0, inconclusive: 0, 'not applicable': 0 };
  for (const { verdict } of cells) counts[verdict]++;
  return counts;
}
