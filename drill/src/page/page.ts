/** docs/MATRIX.md: every arm's run side by side. */
import { markdownTable } from '@resplice/figures';
import { type Component, type MomentName, momentNames, type Workload, workloads } from '../cell.ts';
import type { CellResult } from '../result.ts';
import { type KeptMatrix, type KeptRun, matrixIn, matrixJson } from './kept.ts';
import { type Outcome, outcomeLegend, outcomeOf, outcomeText } from './outcome.ts';

const armNames: Readonly<Record<string, string>> = {
  resplice: 'Resplice',
  haproxy: 'HAProxy',
  nginx: 'nginx',
  forward: 'kernel forwarding',
};

function nameOfArm(arm: string): string {
  return armNames[arm] ?? arm;
}

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

function runRows({ runs }: KeptMatrix): string[][] {
  const rows = runs.map(({ arm, at, command, repeat, machine: { versions } }) => [
    nameOfArm(arm),
    at.slice(0, 10),
    String(repeat),
    Object.entries(versions)
      .map(([program, version]) => `${program} ${version}`)
      .join(', '),
    `\`${command}\``,
  ]);
  return [['', 'made', 'runs of each cell', 'versions', 'by'], ...rows];
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
  const [first] = runs;
  if (!first) throw new RangeError('there is no run to show');
  const { machine, link, proxies, backends } = first;
  const { processor, cores, memoryGiB, kernel, system } = machine;
  return [
    `${processor}, ${cores} cores, ${memoryGiB} GiB, Linux ${kernel}, ${system}; link ${link}, ${proxies} proxies, ${backends} back ends.`,
  ];
}

/** @throws RangeError when there is no run */
export function matrixPage(given: KeptMatrix): string {
  // From the values as they are kept, or it would not be the same when it is rendered from them.
  const matrix = matrixIn(matrixJson(given));
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
    ...markdownTable(runRows(matrix)),
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
