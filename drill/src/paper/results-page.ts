/** docs/RESULTS.md: written from a run's results, which it carries, so that a test can render it anew. */
import { compact, jsonIn, markdownTable } from '@resplice/figures';
import type { Results } from './folder.ts';
import { actions } from './reference.ts';
import { methodLines } from './report.ts';
import type { PaperRun } from './run.ts';
import { judge, overallOf } from './summary.ts';
import { faultRows, noticedRows, tableRows, tableTitle } from './tables.ts';

/** What the page is rendered from: all of a run but its requests, one by one. */
type KeptRun = Omit<PaperRun, 'requests'>;

function kept(results: Results): string {
  const runs: KeptRun[] = results.runs.map(({ requests: _, ...run }) => run);
  return JSON.stringify({ setting: results.setting, runs }, compact);
}

/** The results that a page was rendered from. @throws Error when it holds none */
export function resultsIn(page: string): Results {
  const values = jsonIn(page);
  if (values === undefined) throw new Error('the page holds no results');
  const { setting, runs } = values as { setting: Results['setting']; runs: KeptRun[] };
  return { setting, runs: runs.map(run => ({ ...run, requests: [] })) };
}

export function resultsPage(given: Results): string {
  const json = kept(given);
  // From the values as the page holds them, or it would not be the same when it is rendered from them.
  const results = resultsIn(`\`\`\`json\n${json}\n\`\`\``);
  const judged = judge(results);
  const missed = judged.filter(({ verdict }) => verdict !== 'pass');
  const { clients } = results.setting.options;
  const section = (title: string, rows: string[][]): string[] =>
    rows.length === 0 ? [] : [`### ${title}`, '', ...markdownTable(rows), ''];
  return `${[
    '# The paper’s tables, measured',
    '',
    '<!-- Written by a run of the drill with --write: do not edit. A test renders it anew from the values at its end. -->',
    '',
    `\`${results.setting.circumstances.command}\`.`,
    '',
    ...methodLines(results).flatMap(line => [line, '']),
    '## Tables 2 and 3',
    '',
    ...clients.flatMap(client =>
      actions.flatMap(action => section(tableTitle(action, client), tableRows(results, action, client))),
    ),
    '## Failover by fault',
    '',
    ...clients.flatMap(client => section(`Seconds, ${client}`, faultRows(results, client))),
    '## What people noticed',
    '',
    ...markdownTable(noticedRows(results)),
    '',
    '## What was promised',
    '',
    `${judged.length - missed.length} of ${judged.length} kept: **${overallOf(judged)}**.`,
    '',
    ...missed.map(({ what, verdict, said }) => `- ${verdict}: ${what}: ${said}`),
    ...(missed.length > 0 ? [''] : []),
    '## Values',
    '',
    '```json',
    json,
    '```',
  ].join('\n')}\n`;
}
