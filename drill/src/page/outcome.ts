/** What a cell's runs came to for the client, whatever was promised: what arms are compared by. Pure. */
import type { CellResult } from '../result.ts';
import type { Run } from '../run.ts';

/**
 * `unnoticed`: right, on the same connection, each effect once, in time, in every run. `allowed`: noticed, but no more than is promised
 * for that cell (a 502, a reset). `broken`: the promise was not kept. The other two are no answer.
 */
export type Outcome = 'unnoticed' | 'allowed' | 'broken' | 'inconclusive' | 'not applicable';

function isUnnoticed({ verdict, status, failure, afterwards }: Run): boolean {
  return verdict === 'pass' && status === 200 && failure === null && afterwards === null;
}

export function outcomeOf({ verdict, runs }: CellResult): Outcome {
  if (verdict === 'fail') return 'broken';
  if (verdict !== 'pass') return verdict;
  return runs.every(isUnnoticed) ? 'unnoticed' : 'allowed';
}

/** What the client met in a run, in a word; undefined: nothing but, perhaps, a pause. */
function metIn(run: Run): string | undefined {
  const { verdict, executions, failure, status, afterwards, reason } = run;
  if (isUnnoticed(run)) return undefined;
  if (verdict === 'inconclusive') return '?';
  if (executions !== null && executions > 1) return `ran ×${executions}`;
  if (failure !== null) return failure;
  if (status !== null && status !== 200) return String(status);
  if (executions === 0) return 'never ran';
  if (afterwards !== null) return `then ${afterwards}`;
  return reason === null ? undefined : 'wrong answer';
}

/** What the client met, with how often unless it was in every run. */
function metAll(runs: readonly Run[]): string[] {
  const counts = new Map<string, number>();
  for (const met of runs.map(metIn)) if (met !== undefined) counts.set(met, (counts.get(met) ?? 0) + 1);
  return [...counts].map(([met, count]) =>
    count === runs.length ? met : `${met} (${count} of ${runs.length})`,
  );
}

const marks: Readonly<Record<Outcome, string>> = {
  unnoticed: '✔',
  allowed: '○',
  broken: '✘',
  inconclusive: '?',
  'not applicable': '·',
};

/** For a table: mark, what the client met, added stall (median/worst) of the answers that there were. */
export function outcomeText(cell: CellResult): string {
  const { runs, addedStallMs: stall, verdict } = cell;
  const mark = marks[outcomeOf(cell)];
  // Stalls of runs beside those that tell nothing are no result.
  if (verdict === 'inconclusive' || verdict === 'not applicable') return mark;
  const stalled = stall
    ? [runs.length > 1 ? `${stall.median.toFixed(0)}/${stall.max.toFixed(0)}` : stall.max.toFixed(0)]
    : [];
  return `${mark} ${[...metAll(runs), ...stalled].join(', ')}`.trimEnd();
}

export const outcomeLegend = [
  '✔ unnoticed: the right bytes on the same connection, which stays of use, each effect once, and in time. ○ noticed, but no more than',
  'is promised there. ✘ the promise is broken, or the stall beyond its bar. ? inconclusive. · not applicable. Figures: added stall, ms',
  '(median/worst). Words: how the connection broke; 502 and the like: the status; "then": what came of the next request; ran ×2:',
  'executed twice; how many of the runs, unless all. update: a POST to a plain server, which must run once.',
];
