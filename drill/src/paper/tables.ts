/** Tables 2 and 3 in the paper's layout: its figures, ours below them, and the difference; for a terminal and for a page. */
import { columnWidths } from '@resplice/figures';
import type { Results } from './folder.ts';
import { type Action, actions, printed, scaled, weights } from './reference.ts';
import {
  type Architecture,
  architectures,
  type ClientKind,
  type FaultName,
  faultNames,
  type PaperRun,
} from './run.ts';
import type { Spread } from './statistics.ts';
import { type Measured, type RealFault, type SummaryCell, summarize } from './summary.ts';

/** Three significant digits, as the paper prints them; never more than hundredths. */
export function figure(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 99.95 ? 1 : 2;
  // No minus before what is rounded to nothing.
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace('-', '−');
}

function signed(value: number): string {
  const text = figure(value);
  return text.startsWith('−') || Number(text) === 0 ? text : `+${text}`;
}

export function withSpread(spread: Spread | null | undefined): string {
  if (!spread) return '–';
  const { n, median, low, high } = spread;
  return n === 1 ? figure(median) : `${figure(median)} (${figure(low)}…${figure(high)})`;
}

function against(spread: Spread | null | undefined, paper: number): string {
  return spread ? signed(spread.median - paper) : '–';
}

const heading = [
  '',
  '',
  'n',
  'traditional: no failure',
  'with failure',
  'failover',
  'ours: no failure',
  'with failure',
  'failover',
  'overhead',
];

/** The paper's failure is a back end's crash. */
const papersFault: RealFault = 'backend-crash';

function three({ noFailure, withFailure, failover }: Measured): (Spread | null | undefined)[] {
  return [noFailure, withFailure[papersFault], failover[papersFault]];
}

function overheadText({ overhead }: SummaryCell): string {
  if (!overhead) return '–';
  const { seconds, percent, interval } = overhead;
  const sure = interval ? `, ${figure(interval.low)}…${figure(interval.high)} %` : '';
  return `${figure(seconds.median)} (${figure(percent)} %${sure})`;
}

function rowsOf(cell: SummaryCell): string[][] {
  const { action, column, scale, link } = cell;
  const shown = [...three(cell.traditional), ...three(cell.ours)];
  const label = scale === 1 ? 'measured' : `measured, scale ${scale}`;
  const n = String(cell.traditional.noFailure?.n ?? cell.ours.noFailure?.n ?? 0);
  const own = [label, n, ...shown.map(withSpread), overheadText(cell)];
  if (!column) return [[link, ...own]];
  const { traditional, ours, overhead } = printed[action].cells[column];
  const papers = [traditional, ours].flatMap(each => [each.noFailure, each.withFailure, each.failover]);
  const percent = overhead.percent === null ? '' : ` (${overhead.percent} %)`;
  const paper = [column, 'paper', '', ...papers.map(figure), `${figure(overhead.seconds)}${percent}`];
  if (scale !== 1) return [paper, ['', ...own]];
  const difference = shown.map((spread, index) => against(spread, papers[index]!));
  return [paper, ['', ...own], ['', 'difference', '', ...difference, '']];
}

/** One of the paper's tables, by one of the clients. */
export function tableRows(results: Results, action: Action, client: ClientKind): string[][] {
  const cells = summarize(results).filter(each => each.action === action && each.client === client);
  return cells.length === 0 ? [] : [heading, ...cells.flatMap(rowsOf)];
}

const faultTitles: Readonly<Record<FaultName, string>> = {
  none: 'none',
  'backend-crash': 'back end crashed',
  'backend-cut': 'back end cut off',
  'proxy-crash': 'proxy crashed',
  'proxy-cut': 'proxy cut off',
};

/** Failover by fault: for a proxy's the paper has no figures. */
export function faultRows(results: Results, client: ClientKind): string[][] {
  const faults = faultNames.filter((fault): fault is RealFault => fault !== 'none');
  const rows = summarize(results)
    .filter(each => each.client === client)
    .flatMap(({ action, link, column, ...cell }) =>
      architectures.map(architecture => [
        actionTitles[action],
        column ?? link,
        architecture,
        ...faults.map(fault => withSpread(cell[architecture].failover[fault])),
      ]),
    );
  return rows.length === 0 ? [] : [['', 'link', '', ...faults.map(each => faultTitles[each])], ...rows];
}

export const actionTitles: Readonly<Record<Action, string>> = { action1: 'Action 1', action2: 'Action 2' };

function count(runs: readonly PaperRun[], of: (run: PaperRun) => number): string {
  return String(runs.reduce((sum, run) => sum + of(run), 0));
}

/** What people in front of each architecture noticed of the faults, over all runs. */
export function noticedRows({ runs }: Results): string[][] {
  const rows = architectures.flatMap((architecture: Architecture) =>
    faultNames.flatMap(fault => {
      const these = runs.filter(run => run.architecture === architecture && run.fault === fault);
      if (these.length === 0) return [];
      return [
        [
          architecture,
          faultTitles[fault],
          String(these.length),
          count(these, run => run.noticed.filter(({ what }) => what === 'error').length),
          count(these, run => run.noticed.filter(({ what }) => what === 'silence').length),
          count(these, ({ reloads }) => reloads),
          count(these, ({ repeatedLogins }) => repeatedLogins),
          count(these, ({ wrongAnswers }) => wrongAnswers),
          count(these, ({ deliveries }) => (deliveries !== null && deliveries !== 1 ? 1 : 0)),
          count(these, ({ verdict }) => (verdict === 'failed' ? 1 : 0)),
          count(these, ({ verdict }) => (verdict === 'inconclusive' ? 1 : 0)),
        ],
      ];
    }),
  );
  if (rows.length === 0) return [];
  const head = ['', 'fault', 'runs', 'errors', 'silences', 'reloads', 'logins again', 'wrong bytes'];
  return [[...head, 'letters lost or twice', 'given up', 'inconclusive'], ...rows];
}

export function textColumns(rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const widths = columnWidths(rows);
  return rows.map(row =>
    row
      .map((text, column) => (column < 2 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}

export function tableTitle(action: Action, client: ClientKind): string {
  const { number, title } = printed[action];
  const who = client === 'paper' ? 'a client like the paper’s' : 'Chromium';
  return `Table ${number}. ${title} (${who}), seconds`;
}

/** Which objects a scale leaves, in words; undefined: all. */
export function scaleNote(client: ClientKind, action: Action, scale: number): string | undefined {
  if (client !== 'paper' || scale === 1) return undefined;
  return `scale ${scale}: ${scaled(weights[action], scale).objects} of ${weights[action].objects} objects`;
}

/** For a terminal. */
export function textReport(results: Results): string[] {
  const { clients } = results.setting.options;
  const tables = clients.flatMap(client => [
    ...actions.flatMap(action => {
      const rows = tableRows(results, action, client);
      return rows.length === 0 ? [] : [tableTitle(action, client), ...textColumns(rows), ''];
    }),
    ...titled(`Failover by fault (${client}), seconds`, faultRows(results, client)),
  ]);
  return [...tables, ...titled('What people noticed', noticedRows(results))];
}

function titled(title: string, rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0 ? [] : [title, ...textColumns(rows), ''];
}
