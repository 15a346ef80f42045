/** The matrix for people: a row a component, fault and kind of work, a column a moment. */
import { styleText } from 'node:util';
import { type MomentName, momentNames } from './cell.ts';
import type { CellResult, MatrixResult } from './result.ts';
import type { Verdict } from './verdict.ts';

const marks: Readonly<Record<Verdict, string>> = {
  pass: '✔',
  fail: '✘',
  inconclusive: '?',
  'not applicable': '·',
};
const colours = { pass: 'green', fail: 'red', inconclusive: 'yellow', 'not applicable': 'gray' } as const;

/** What became of the client, in a word. */
function wordOf({ verdict, addedStallMs, runs }: CellResult): string {
  if (verdict === 'not applicable' || verdict === 'inconclusive') return '';
  const telling = runs.find(run => run.verdict === verdict) ?? runs[0];
  if (telling?.executions && telling.executions > 1) return `×${telling.executions}`;
  if (telling?.failure) return telling.failure;
  if (telling?.status && telling.status !== 200) return String(telling.status);
  if (telling?.afterwards) return `then ${telling.afterwards}`;
  if (!addedStallMs) return '';
  const { median, max } = addedStallMs;
  return runs.length > 1 ? `${median.toFixed(0)}/${max.toFixed(0)}` : median.toFixed(0);
}

interface Rendered {
  readonly text: string;
  readonly verdict?: Verdict;
}

function rendered(cell: CellResult | undefined): Rendered {
  if (!cell) return { text: '' };
  return { text: `${marks[cell.verdict]} ${wordOf(cell)}`.trimEnd(), verdict: cell.verdict };
}

function rowsOf(cells: readonly CellResult[]): Rendered[][] {
  const groups = Map.groupBy(cells, ({ component, fault, workload }) => `${component} ${fault} ${workload}`);
  let last = '';
  return [...groups.values()].map(group => {
    const { component, fault, workload } = group[0]!;
    const at = (moment: MomentName) => rendered(group.find(each => each.moment === moment));
    const heading = `${component} ${fault}`;
    const shown = heading === last ? '' : heading;
    last = heading;
    return [{ text: shown }, { text: workload }, ...momentNames.map(at)];
  });
}

function lines(rows: readonly (readonly Rendered[])[], colour: boolean): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.text.length)));
  return rows.map(row =>
    row
      .map(({ text, verdict }, column) => {
        const padded = text.padEnd(widths[column]!);
        return colour && verdict ? styleText(colours[verdict], padded, { validateStream: false }) : padded;
      })
      .join('  ')
      .trimEnd(),
  );
}

const legend = [
  '✔ kept, ✘ broken, ? inconclusive, · not applicable. Figures: added stall, ms (median/max). Words: how the connection broke, "then":',
  'after the answer; 502, 503: refused on the open connection; ×2: executed twice. update: a POST, which must run once.',
];

/** @param colour whether the marks are coloured */
export function textTable(
  { cells }: Pick<MatrixResult, 'cells'>,
  { colour = false }: { colour?: boolean } = {},
): string[] {
  if (cells.length === 0) return [];
  const heading = ['', '', ...momentNames].map(text => ({ text }));
  return [...lines([heading, ...rowsOf(cells)], colour), '', ...legend];
}

/** A line for one cell that is done. */
export function cellLine(result: CellResult): string {
  const { cell, verdict, reason, addedStallMs } = result;
  const stall = addedStallMs ? `, added stall ${addedStallMs.median.toFixed(0)} ms` : '';
  return `${marks[verdict]} ${cell}: ${verdict}${stall}${reason === null ? '' : ` (${reason})`}`;
}

/** What the drill ends with. */
export function summaryLine({ arm, link, seed, counts, verdict }: MatrixResult): string {
  const parts = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
  return `drill matrix: ${verdict}; ${parts.join(', ')} (arm ${arm}, link ${link}, seed ${seed})`;
}
