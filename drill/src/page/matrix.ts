/** docs/MATRIX.md: every arm's run side by side. */
import { compact, markdownTable } from '@resplice/figures';
import {
  allCells,
  type Component,
  type MomentName,
  momentNames,
  nameOf,
  type Workload,
  workloads,
} from '../cell.ts';
import type { CellResult, MatrixResult } from '../result.ts';
import { ArmPage, type ArmRun, type KeptRuns, machineText, madeRows, nameOfArm } from './arm-page.ts';
import { type Outcome, outcomeLegend, outcomeOf, outcomeText } from './outcome.ts';

/** A whole run of one arm. */
export interface KeptRun extends MatrixResult, ArmRun {}
export type KeptMatrix = KeptRuns<KeptRun>;

function count(cells: readonly CellResult[], outcome: Outcome): number {
  return cells.filter(cell => outcomeOf(cell) === outcome).length;
}

/** Of the cells that can be made there. What is inconclusive is among them, and was not unnoticed. */
function share(cells: readonly CellResult[]): string {
  const possible = cells.length - count(cells, 'not applicable');
  const unnoticed = count(cells, 'unnoticed');
  if (possible === 0) return '–';
  return `${((100 * unnoticed) / possible).toFixed(0)} % (${unnoticed} of ${possible})`;
}

export function summaryRows({ runs }: KeptMatrix): string[][] {
  const rows = runs.map(({ arm, cells }) => [
    nameOfArm(arm),
    share(cells),
    share(cells.filter(({ component }) => component === 'proxy')),
    share(cells.filter(({ component }) => component === 'backend')),
    ...(['allowed', 'broken', 'inconclusive', 'not applicable'] as const).map(outcome =>
      String(count(cells, outcome)),
    ),
  ]);
  const head = ['', 'unnoticed', 'of proxies’ faults', 'of back ends’ faults'];
  return [[...head, 'as promised', 'broken', 'inconclusive', 'not applicable'], ...rows];
}

const sections: readonly (readonly [Component, string])[] = [
  ['proxy', 'Proxies'],
  ['backend', 'Back ends'],
];
const workloadNames: Readonly<Record<Workload, string>> = { read: 'reads', update: 'unprotected updates' };

/** A fault's rows, one an arm, a column a moment; moments at which such work never is have none. */
function faultRows(runs: readonly KeptRun[], component: Component, workload: Workload): string[][] {
  const chosen = runs.map(({ arm, cells }) => ({
    arm,
    cells: cells.filter(cell => cell.component === component && cell.workload === workload),
  }));
  const all = chosen.flatMap(({ cells }) => cells);
  const moments = momentNames.filter(moment => all.some(cell => cell.moment === moment));
  const faults = [...new Set(all.map(({ fault }) => fault))];
  const rows = faults.flatMap(fault =>
    chosen.map(({ arm, cells }, index) => {
      const at = (moment: MomentName): string => {
        const found = cells.find(cell => cell.fault === fault && cell.moment === moment);
        return found ? outcomeText(found) : '';
      };
      return [index === 0 ? fault : '', nameOfArm(arm), ...moments.map(at)];
    }),
  );
  return [['', '', ...moments], ...rows];
}

/** Of Resplice what was broken, of every arm what proves nothing: with the reason. */
function remarks({ runs }: KeptMatrix): string[] {
  const told = runs.flatMap(({ arm, cells }) =>
    cells
      .filter(({ verdict }) => verdict === 'inconclusive' || (verdict === 'fail' && arm === 'resplice'))
      .map(({ cell, verdict, reason }) => `- ${nameOfArm(arm)}, ${cell}: ${verdict}: ${reason}`),
  );
  return told.length === 0 ? ['Nothing.'] : told;
}

function circumstances({ runs }: KeptMatrix): string[] {
  const first = runs[0]!;
  const { link, proxies, backends } = first;
  return [`${machineText(first)}; link ${link}, ${proxies} proxies, ${backends} back ends.`];
}

function render(matrix: KeptMatrix): string {
  const tables = sections.flatMap(([component, title]) =>
    workloads.flatMap(workload => [
      `### ${title}, ${workloadNames[workload]}`,
      '',
      ...markdownTable(faultRows(matrix.runs, component, workload)),
      '',
    ]),
  );
  return `${[
    '# The fault matrix, measured',
    '',
    '<!-- Written by a run of the drill with --write: do not edit. A test renders it anew from matrix.json. -->',
    '',
    'Each fault of a proxy and of a back end at each moment of a request, on each arm, by the same program, judged by what',
    '[FAULTS.md](FAULTS.md) promises of Resplice. [How a run goes](../drill/README.md); all values are in [matrix.json](matrix.json).',
    '',
    ...circumstances(matrix),
    '',
    ...markdownTable(madeRows(matrix.runs, { 'runs of each cell': ({ repeat }) => String(repeat) })),
    '',
    '## How much goes unnoticed',
    '',
    'Share of the cells that can be made there. An inconclusive one is among them, and counts as noticed.',
    '',
    ...markdownTable(summaryRows(matrix)),
    '',
    '## Cell by cell',
    '',
    ...outcomeLegend,
    '',
    ...tables,
    '## What Resplice broke, and what proves nothing',
    '',
    ...remarks(matrix),
  ].join('\n')}\n`;
}

function checkWhole({ cells }: MatrixResult): void {
  const made = new Set(cells.map(({ cell }) => cell));
  const missing = allCells().find(cell => !made.has(nameOf(cell)));
  if (missing) throw new RangeError(`only whole runs are kept: ${nameOf(missing)} was not made`);
}

/** A line for a cell, so that two runs can be compared. */
function runJson({ cells, ...run }: KeptRun): string {
  const head = JSON.stringify(run, compact).slice(0, -1);
  return `${head},"cells":[\n${cells.map(cell => JSON.stringify(cell, compact)).join(',\n')}\n]}`;
}

export const matrixPage = new ArmPage<KeptRun>({
  page: 'MATRIX.md',
  data: 'matrix.json',
  setting: ({ link, proxies, backends, site }) => [link, proxies, backends, site],
  check: checkWhole,
  json: runJson,
  render,
});
