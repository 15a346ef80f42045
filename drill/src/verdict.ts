/** From what was seen in a run to a verdict, and from runs to that of a cell. Pure. */
import type { FailureKind } from '@resplice/e2e/fixtures/exchange.ts';
import { median } from '@resplice/figures';
import type { Workload } from './cell.ts';
import type { Promised, PromiseKind } from './promise.ts';

export type Verdict = 'pass' | 'fail' | 'inconclusive' | 'not applicable';

/** What became of the request. `wrong` says in what way an answer is not the right one. */
export type Outcome =
  | { readonly kind: 'answered'; readonly status: number; readonly wrong: string | null }
  | { readonly kind: 'broken'; readonly failure: FailureKind; readonly message: string };

export interface Evidence {
  /** Why the fault cannot have met its moment; null: it has. */
  readonly missed: string | null;
  readonly outcome: Outcome;
  /** Why the same connection was of no use afterwards; null: it served. */
  readonly afterwards: string | null;
  /** How often the request was executed, over all back ends; null: nobody can tell. */
  readonly executions: number | null;
}

export interface Judgement {
  readonly verdict: Verdict;
  /** Null when it passed. */
  readonly reason: string | null;
}

const passed: Judgement = { verdict: 'pass', reason: null };
const failed = (reason: string): Judgement => ({ verdict: 'fail', reason });

function told(outcome: Outcome): string {
  if (outcome.kind === 'broken') return `${outcome.failure}: ${outcome.message}`;
  return outcome.wrong ?? `answered ${outcome.status}`;
}

/** Why this is not transparent; undefined: it is. */
function noticed({ outcome, afterwards, executions }: Evidence, workload: Workload): string | undefined {
  if (outcome.kind === 'broken' || outcome.wrong !== null) return told(outcome);
  if (workload === 'update' && executions === 0) return 'answered, but never executed';
  return afterwards ?? undefined;
}

function isRefusal({ outcome, afterwards }: Evidence): boolean {
  const refused = outcome.kind === 'answered' && (outcome.status === 502 || outcome.status === 503);
  return refused && afterwards === null;
}

function allows(kind: PromiseKind, evidence: Evidence): boolean {
  const { outcome } = evidence;
  if (kind === 'refused') return isRefusal(evidence);
  return kind === 'reset' && outcome.kind === 'broken' && outcome.failure === 'reset';
}

/** One run. */
export function judge(kind: PromiseKind, workload: Workload, evidence: Evidence): Judgement {
  const { missed, executions } = evidence;
  if (missed !== null) return { verdict: 'inconclusive', reason: missed };
  if (executions !== null && executions > 1) {
    return failed(`executed ${executions} times (${told(evidence.outcome)})`);
  }
  const reason = noticed(evidence, workload);
  return reason === undefined || allows(kind, evidence) ? passed : failed(reason);
}

/** From so many runs on their median counts; below, one of them may have met a doubled time-out, and twice the bar is allowed. */
const ENOUGH_RUNS = 5;

/**
 * All runs of a cell: it fails if one does, else it is inconclusive if one is, else its median stall decides.
 *
 * @param addedMs added stalls of the runs that had an answer
 */
export function judgeCell(
  { barMs }: Promised,
  runs: readonly Judgement[],
  addedMs: readonly number[],
): Judgement {
  const worst = runs.find(each => each.verdict === 'fail') ?? runs.find(each => each.verdict !== 'pass');
  if (worst) return worst;
  if (barMs === null || addedMs.length === 0) return passed;
  const allowed = addedMs.length >= ENOUGH_RUNS ? barMs : 2 * barMs;
  const stall = median(addedMs);
  if (stall <= allowed) return passed;
  return failed(`added stall ${stall.toFixed(0)} ms, at most ${allowed.toFixed(0)} ms allowed`);
}

/** Of a whole run; what does not apply decides nothing. */
export function overall(verdicts: readonly Verdict[]): 'pass' | 'fail' | 'inconclusive' {
  if (verdicts.includes('fail')) return 'fail';
  return verdicts.includes('inconclusive') || !verdicts.includes('pass') ? 'inconclusive' : 'pass';
}
