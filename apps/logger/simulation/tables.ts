import { readFileSync } from 'node:fs';
import type { TimeoutBounds } from '../src/detector/index.ts';
import { recorded } from './recorded.ts';
import { type Outcome, simulate } from './simulate.ts';
import { type Workload, workloads } from './workloads.ts';

const SEED = 1;

interface Candidate {
  deviations: number;
  peakFactor: number;
  floor: number;
}

export const candidates: readonly Candidate[] = [
  { deviations: 4, peakFactor: 0, floor: 200 },
  { deviations: 4, peakFactor: 0, floor: 400 },
  { deviations: 12, peakFactor: 0, floor: 400 },
  { deviations: 4, peakFactor: 1.5, floor: 400 },
  { deviations: 4, peakFactor: 2, floor: 200 },
  { deviations: 4, peakFactor: 2, floor: 400 },
  { deviations: 4, peakFactor: 2, floor: 800 },
];

/** The bounds of a time-out class that a site does not describe, with another floor. */
export function boundsWith(floor: number): TimeoutBounds {
  const bounds = { floor, start: 10_000, cap: 60_000 };
  return { first: bounds, rest: bounds };
}

const NONE = '–';
/** Transactions a cell: half of what suspicions are told of. */
const TRANSACTIONS = 50_000;

/** Two instances of the demonstration site behind nginx: pages, small answers, POSTs, downloads, uploads, slow answers. */
const TRACE = new URL('traces/demo-site.jsonl', import.meta.url);

type Source = Workload & { transactions?: number };

/** Of everything that the document tells of. */
export function allSources(): readonly Source[] {
  return [...workloads, recorded('recorded: the demonstration site', readFileSync(TRACE, 'utf8'))];
}

/** @param sources with how many transactions they have, if they do not go on for ever */
export function tables(sources: readonly Source[] = allSources()): string {
  const outcomes = sources.map(source =>
    candidates.map(({ deviations, peakFactor, floor }) =>
      simulate(source, { deviations, peakFactor }, boundsWith(floor), {
        transactions: source.transactions ?? TRANSACTIONS,
        seed: SEED,
      }),
    ),
  );
  const of = (cell: (outcome: Outcome) => string) =>
    table([
      ['transactions', ...candidates.map(titleOf)],
      ...sources
        .map(({ name }, row) => [name, ...outcomes[row]!.map(cell)])
        .filter(row => row.some(each => each !== NONE && each !== row[0])),
    ]);
  return `Suspicions of a server that lives, per 100,000 transactions (k, p, floor):

${of(({ falseSuspicions }) => String(Math.round(falseSuspicions)))}

From the death of a server to its suspicion while the response's first byte is awaited, ms, median (99th percentile):

${of(({ first }) => percentiles(first))}

The same within a response, of which all that was sent is acknowledged:

${of(({ rest }) => percentiles(rest))}`;
}

/** A document whose tables are these; they stand between `<!-- tables -->` and `<!-- /tables -->`. */
export function renderDetection(document: string, made: string): string {
  const between = /(<!-- tables -->\n).*?(<!-- \/tables -->)/s;
  if (!between.test(document)) throw new Error('DETECTION.md has no place for tables');
  return document.replace(between, (_, open: string, close: string) => `${open}\n${made}\n\n${close}`);
}

function titleOf({ deviations, peakFactor, floor }: Candidate): string {
  return `${deviations}, ${peakFactor === 0 ? NONE : peakFactor}, ${floor} ms`;
}

function percentiles(values: readonly number[]): string {
  if (values.length === 0) return NONE;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))]!);
  return `${at(0.5)} (${at(0.99)})`;
}

/** With columns as wide as their widest cell, which is how the formatter leaves them. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
  const lines = rows.map(row => row.map((cell, column) => cell.padEnd(widths[column]!)));
  lines.splice(
    1,
    0,
    widths.map(width => '-'.repeat(width)),
  );
  return lines.map(cells => `| ${cells.join(' | ')} |`).join('\n');
}
