/** docs/RESULTS.md: written from runs that are kept beside it, so that a test can render it anew. */
import { compact, markdownTable } from '@resplice/figures';
import { calibrationRows } from './calibration.ts';
import type { Results } from './folder.ts';
import { commandOf } from './plan.ts';
import { actions } from './reference.ts';
import { methodLines } from './report.ts';
import { judge, overallOf } from './summary.ts';
import { faultRows, noticedRows, tableRows, tableTitle } from './tables.ts';

/** Where the page's values and its picture are, seen from it. */
export interface Beside {
  readonly runs: string;
  readonly picture: string;
}

/** Below docs/. */
export const document = {
  page: 'RESULTS.md',
  folder: 'paper',
  runs: 'paper/runs.jsonl',
  picture: 'images/paper.png',
} as const;

/** What is kept in the repository: all of a run but its requests, one by one. */
export function keptOf({ setting, runs }: Results): Results {
  const kept = runs.map(run => ({ ...run, requests: [] }));
  return { setting, runs: JSON.parse(JSON.stringify(kept, compact)) as Results['runs'] };
}

export function resultsPage(given: Results, { runs, picture }: Beside): string {
  // From the values as they are kept, or the page would not be the same when it is rendered from them.
  const results = keptOf(given);
  const judged = judge(results);
  const missed = judged.filter(({ verdict }) => verdict !== 'pass');
  const { clients } = results.setting.options;
  const section = (title: string, rows: string[][]): string[] =>
    rows.length === 0 ? [] : [`### ${title}`, '', ...markdownTable(rows), ''];
  return `${[
    '# The paper’s tables, measured',
    '',
    `<!-- Written by a run of the drill with --write: do not edit. A test renders it anew from ${runs}. -->`,
    '',
    `\`${commandOf(results.setting.options)}\`; [every run](${runs}).`,
    '',
    `![How long both actions take without a failure, and what the crash of a back end adds](${picture})`,
    '',
    ...methodLines(results).flatMap(line => [line, '']),
    '## Tables 2 and 3',
    '',
    ...clients.flatMap(client =>
      actions.flatMap(action => section(tableTitle(action, client), tableRows(results, action, client))),
    ),
    '## The calibration',
    '',
    'The sequential client without a failure, traditional architecture: what the links and pages were fitted to.',
    '',
    ...markdownTable(calibrationRows(results)),
    '',
    '## Failover by fault',
    '',
    'For a proxy’s failure the paper has no figures.',
    '',
    ...clients.flatMap(client => section(`Seconds, ${client}`, faultRows(results, client))),
    '## What people noticed',
    '',
    ...markdownTable(noticedRows(results)),
    '',
    '## What was promised',
    '',
    `${judged.length - missed.length} of ${judged.length} kept: **${overallOf(judged)}**.`,
    ...(missed.length > 0 ? [''] : []),
    ...missed.map(({ what, verdict, said }) => `- ${verdict}: ${what}: ${said}`),
  ].join('\n')}\n`;
}
