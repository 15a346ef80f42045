/** From runs to the cells of Tables 2 and 3, and to what was promised of them. Pure. */
import { parseLink } from '@resplice/topology';
import type { Results } from './folder.ts';
import { scaleOf, secondsOf } from './plan.ts';
import { type Action, columns, printed, weights } from './reference.ts';
import {
  type Architecture,
  type ClientKind,
  type FaultName,
  faultNames,
  keyOf,
  type PaperRun,
} from './run.ts';
import { differences, interval, type Spread, spreadOf } from './statistics.ts';

export type RealFault = Exclude<FaultName, 'none'>;

export interface Measured {
  readonly noFailure: Spread | null;
  readonly withFailure: Readonly<Partial<Record<RealFault, Spread>>>;
  /** With a failure less the median without. */
  readonly failover: Readonly<Partial<Record<RealFault, Spread>>>;
}

export interface SummaryCell {
  readonly client: ClientKind;
  readonly action: Action;
  readonly link: string;
  /** The paper's column; undefined: a link of one's own. */
  readonly column: (typeof columns)[number]['name'] | undefined;
  /** Of the number of objects; 1 for a browser, whose pages are as they are. */
  readonly scale: number;
  readonly traditional: Measured;
  readonly ours: Measured;
  /** Ours less the traditional one, without failure; percent of the latter's mean. */
  readonly overhead: {
    readonly seconds: Spread;
    readonly percent: number;
    /** Of `percent`, with 95 % confidence; null: too few runs. */
    readonly interval: { readonly low: number; readonly high: number } | null;
  } | null;
}

function measured(runs: readonly PaperRun[], cell: Omit<Parameters<typeof secondsOf>[1], 'fault'>): Measured {
  const without = spreadOf(secondsOf(runs, { ...cell, fault: 'none' }));
  const faults = faultNames.filter((fault): fault is RealFault => fault !== 'none');
  const withFailure: Partial<Record<RealFault, Spread>> = {};
  const failover: Partial<Record<RealFault, Spread>> = {};
  for (const fault of faults) {
    const seconds = secondsOf(runs, { ...cell, fault });
    const spread = spreadOf(seconds);
    if (!spread) continue;
    withFailure[fault] = spread;
    if (without) failover[fault] = spreadOf(seconds.map(each => each - without.median))!;
  }
  return { noFailure: without, withFailure, failover };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function overheadOf(
  ours: readonly number[],
  traditional: readonly number[],
  seed: number,
): SummaryCell['overhead'] {
  const seconds = spreadOf(differences(ours, traditional));
  if (!seconds) return null;
  const base = mean(traditional);
  const found = interval(ours, traditional, seed);
  return {
    seconds,
    percent: (100 * (mean(ours) - base)) / base,
    interval: found && { low: (100 * found.low) / base, high: (100 * found.high) / base },
  };
}

/** In the order of the tables: by client, action, link. Cells without any run are left out. */
export function summarize({ setting: { options }, runs }: Results): SummaryCell[] {
  return options.clients.flatMap(client =>
    options.actions.flatMap(action =>
      options.links.flatMap(link => {
        const cell = { client, action, link };
        if (!runs.some(run => run.client === client && run.action === action && run.link === link)) return [];
        const seconds = (architecture: Architecture): number[] =>
          secondsOf(runs, { ...cell, architecture, fault: 'none' });
        return [
          {
            ...cell,
            column: columns.find(each => each.link === link)?.name,
            scale: client === 'paper' ? scaleOf(options, link) : 1,
            traditional: measured(runs, { ...cell, architecture: 'traditional' }),
            ours: measured(runs, { ...cell, architecture: 'ours' }),
            overhead: overheadOf(seconds('ours'), seconds('traditional'), options.seed),
          },
        ];
      }),
    ),
  );
}

/** What is allowed on a LAN, s; a proxy's death: docs/FAULTS.md. */
const onLan: Readonly<Record<RealFault, number>> = {
  'backend-crash': 0.1,
  'backend-cut': 0.4,
  'proxy-crash': 0.4,
  'proxy-cut': 0.4,
};
const MOST_OVERHEAD_PERCENT = 1;
/** One run may meet a doubled time-out, or a busy moment: with fewer than so many, twice the bar is allowed. */
const RUNS_FOR_THE_BAR = 5;

/** On a link: two round trips more, and the time to carry again what was in flight, which is one object. */
export function failoverBound(link: string, action: Action, fault: RealFault): number {
  const { rttMs, rateMbit } = parseLink(link);
  const again = rateMbit === null ? 0 : (weights[action].bytes * 8) / (rateMbit * 1e6);
  return onLan[fault] + (2 * rttMs) / 1000 + again;
}

export interface Judged {
  readonly what: string;
  readonly verdict: 'pass' | 'fail' | 'inconclusive';
  /** In words: what is, and what was to be. */
  readonly said: string;
}

function two(value: number): string {
  return value.toFixed(2);
}

function judgeFailover(cell: SummaryCell, fault: RealFault): Judged[] {
  const is = cell.ours.failover[fault];
  if (!is) return [];
  const bound = failoverBound(cell.link, cell.action, fault) * (is.n < RUNS_FOR_THE_BAR ? 2 : 1);
  const what = `${cell.client}, ${cell.action}, ${cell.link}: failover, ${fault}`;
  const allowed: Judged = {
    what,
    verdict: is.median <= bound ? 'pass' : 'fail',
    said: `${two(is.median)} s, at most ${two(bound)} s`,
  };
  if (!cell.column || fault.startsWith('proxy-')) return [allowed];
  const papers = printed[cell.action].cells[cell.column].ours;
  const below = papers.withFailure - papers.noFailure;
  return [
    allowed,
    {
      what: `${what}, beside the paper`,
      // The lost sign makes one of them negative: nobody can be below it.
      verdict: is.median < Math.max(below, papers.failover) ? 'pass' : 'fail',
      said: `${two(is.median)} s, the paper ${two(papers.failover)} s`,
    },
  ];
}

function judgeOverhead({ client, action, link, overhead }: SummaryCell): Judged[] {
  if (!overhead) return [];
  const { percent, interval: found } = overhead;
  // One pair of runs proves nothing either way: it is shown, and not judged.
  if (!found) return [];
  return [
    {
      what: `${client}, ${action}, ${link}: overhead`,
      verdict: found.high <= MOST_OVERHEAD_PERCENT ? 'pass' : 'fail',
      said: `${two(percent)} % (${two(found.low)} to ${two(found.high)}), at most ${MOST_OVERHEAD_PERCENT} %`,
    },
  ];
}

/** What somebody in front of our architecture noticed. */
export function judgeRun(run: PaperRun): Judged {
  const what = keyOf(run);
  if (run.verdict === 'inconclusive') return { what, verdict: 'inconclusive', said: run.reason ?? '' };
  const seen = [
    run.verdict === 'failed' && (run.reason ?? 'failed'),
    run.noticed.length > 0 && `${run.noticed.length} noticed: ${run.noticed[0]?.detail}`,
    run.reloads > 0 && `${run.reloads} reloads`,
    run.repeatedLogins > 0 && `${run.repeatedLogins} repeated logins`,
    run.deliveries !== null && run.deliveries !== 1 && `delivered ${run.deliveries} times`,
  ].filter(each => each !== false);
  return seen.length > 0
    ? { what, verdict: 'fail', said: seen.join(', ') }
    : { what, verdict: 'pass', said: 'nothing noticed' };
}

/** Everything that issue and paper ask of our architecture; and of the traditional one, that its faults fired. */
export function judge(results: Results): Judged[] {
  const cells = summarize(results);
  const faults = faultNames.filter((fault): fault is RealFault => fault !== 'none');
  return [
    ...results.runs
      .filter(run => run.architecture === 'ours' || run.verdict === 'inconclusive')
      .map(judgeRun),
    ...cells.flatMap(cell => faults.flatMap(fault => judgeFailover(cell, fault))),
    ...cells.flatMap(judgeOverhead),
  ];
}

export function overallOf(judged: readonly Judged[]): Judged['verdict'] {
  if (judged.some(({ verdict }) => verdict === 'fail')) return 'fail';
  const sure = judged.length > 0 && judged.every(({ verdict }) => verdict === 'pass');
  return sure ? 'pass' : 'inconclusive';
}
