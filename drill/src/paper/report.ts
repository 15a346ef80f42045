/** The results as one HTML page that needs nothing else: pictures, tables, and how it was measured. */

import { calibrationRows } from './calibration.ts';
import { bars, escaped, failoverCurve, waterfall } from './charts.ts';
import type { Circumstances, Results } from './folder.ts';
import { commandOf, planOf, SLOWEST } from './plan.ts';
import { actions } from './reference.ts';
import { architectures, type ClientKind, type PaperRun } from './run.ts';
import { judge, overallOf, type SummaryCell, summarize } from './summary.ts';
import { actionTitles, faultRows, noticedRows, scaleNote, tableRows, tableTitle } from './tables.ts';

/** Both colour schemes keep at least 4.5:1 for text. */
const STYLE = `
:root { color-scheme: light dark; --ground: #fbf9f4; --surface: #fff; --ink: #211f1b; --soft: #625c51; --line: #ddd6c8;
  --ours: #1c6b5a; --traditional: #6f7f99; --paper: #c9bfa8; --failover: #c4551a; --alarm: #a3262f; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171a; --surface: #1d2024; --ink: #ece8df; --soft: #aaa498;
  --line: #383c42; --ours: #55b89e; --traditional: #8d9dba; --paper: #5d574b; --failover: #f0884a; --alarm: #ff8f8f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 Inter, system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 40px 24px 80px; }
h1 { font: 600 34px/1.2 Fraunces, Georgia, serif; margin: 0 0 8px; }
h2 { font: 600 22px/1.3 Fraunces, Georgia, serif; margin: 48px 0 12px; }
p, li { max-width: 78ch; }
#figure { margin: -24px; padding: 24px; }
.soft { color: var(--soft); }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 20px; }
.grid-of { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 540px), 1fr)); gap: 16px; }
.scroll { overflow-x: auto; }
svg { max-width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font: 13px Inter, system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .strong { font-weight: 650; } svg .small { font-size: 11.5px; fill: var(--soft); } svg .alarm { fill: var(--alarm); }
.bar.ours { fill: var(--ours); } .bar.traditional { fill: var(--traditional); } .bar.paper { fill: var(--paper); }
.bar.failover { fill: var(--failover); } .bar.met { fill: var(--failover); }
svg .bar.moved { stroke: var(--ink); stroke-width: 1.2; } svg .small.moved { fill: var(--ink); font-weight: 650; }
svg .grid { stroke: var(--line); } svg .mark { stroke: var(--alarm); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .noticed { stroke: var(--failover); stroke-width: 1; stroke-dasharray: 1 3; }
svg .curve { fill: none; stroke-width: 2.5; } svg .curve.ours { stroke: var(--ours); }
svg .curve.traditional { stroke: var(--traditional); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
caption { text-align: left; font-weight: 650; padding-bottom: 8px; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.key { display: flex; flex-wrap: wrap; gap: 6px 20px; padding: 0; margin: 0 0 16px; list-style: none; font-size: 14px; }
.key i { display: inline-block; width: 14px; height: 14px; border-radius: 3px; margin-right: 7px; vertical-align: -2px; }
`;

const key = [
  ['paper', 'the paper, without a failure'],
  ['traditional', 'traditional (HAProxy), here'],
  ['ours', 'Resplice, here'],
  ['failover', 'what the failure adds'],
]
  .map(([kind, words]) => `<li><i style="background: var(--${kind})"></i>${words}</li>`)
  .join('');

function table(caption: string, rows: readonly (readonly string[])[]): string {
  const [head, ...body] = rows;
  if (!head) return '';
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map(each => `<${tag}${tag === 'th' ? ' scope="col"' : ''}>${escaped(each)}</${tag}>`).join('')}</tr>`;
  return `<div class="card scroll" tabindex="0" role="region" aria-label="${escaped(caption)}"><table><caption>${escaped(caption)}</caption>
<thead>${line(head, 'th')}</thead><tbody>${body.map(cells => line(cells, 'td')).join('')}</tbody></table></div>`;
}

function barTitle({ action, column, link, client, scale }: SummaryCell): string {
  const who = client === 'paper' ? '' : ', Chromium';
  const note = scaleNote(client, action, scale);
  return `${actionTitles[action]}, ${column ?? link}${who}${note ? ` (${note})` : ''}`;
}

function barsOf(cells: readonly SummaryCell[]): string[] {
  return cells
    .filter(each => [each.ours, each.traditional].some(of => of.noFailure && of.failover['backend-crash']))
    .map(cell => bars(cell, barTitle(cell)));
}

/** All failovers after a back end's faults: with one less the median without. */
function failovers(results: Results, client: ClientKind, architecture: PaperRun['architecture']): number[] {
  return summarize(results)
    .filter(each => each.client === client)
    .flatMap(cell => {
      const { noFailure } = cell[architecture];
      if (!noFailure) return [];
      return results.runs.flatMap(run =>
        run.client === client &&
        run.architecture === architecture &&
        run.action === cell.action &&
        run.link === cell.link &&
        run.fault.startsWith('backend-') &&
        run.seconds !== null &&
        run.verdict === 'complete'
          ? [run.seconds - noFailure.median]
          : [],
      );
    });
}

/** Of each architecture one run of the client with a crash: of action 1, if there is one. */
function examples({ runs }: Results, client: ClientKind): PaperRun[] {
  const crashed = runs
    .filter(run => run.client === client && run.fault === 'backend-crash' && run.fired !== null)
    .filter(({ requests }) => requests.length > 0)
    .sort((a, b) => a.action.localeCompare(b.action));
  const [first] = crashed;
  if (!first) return [];
  const same = crashed.filter(run => run.action === first.action && run.link === first.link);
  return architectures.flatMap(architecture => same.find(run => run.architecture === architecture) ?? []);
}

function waterfallTitle({ architecture, action, link, client }: PaperRun): string {
  const who = client === 'paper' ? 'a client like the paper’s' : 'Chromium';
  return `${architecture === 'ours' ? 'Resplice' : 'Traditional'}: ${actionTitles[action]}, ${link}, ${who}`;
}

function waterfalls(results: Results): string[] {
  return results.setting.options.clients
    .flatMap(client => examples(results, client))
    .map(run => waterfall(run, waterfallTitle(run)));
}

function curves(results: Results): string[] {
  return results.setting.options.clients.flatMap(client => {
    const [traditional, ours] = [
      failovers(results, client, 'traditional'),
      failovers(results, client, 'ours'),
    ];
    if (traditional.length + ours.length === 0) return [];
    const who = client === 'paper' ? 'a client like the paper’s' : 'Chromium';
    return [failoverCurve(traditional, ours, `Share of failovers that took at most so long, ${who}`)];
  });
}

const cards = (pictures: readonly string[]): string =>
  `<div class="grid-of">${pictures.map(each => `<div class="card">${each}</div>`).join('')}</div>`;

function sessionLine(session: Circumstances): string {
  const { at, processor, cores, memoryGiB, kernel, system, versions } = session;
  const programs = Object.entries(versions).map(([program, version]) => `${program} ${version}`);
  return `From ${at.slice(0, 10)}: ${processor}, ${cores} cores, ${memoryGiB} GiB, Linux ${kernel}, ${system}; ${programs.join(', ')}.`;
}

function madeLine({ setting, runs }: Results): string {
  const planned = planOf(setting.options).length;
  return runs.length < planned ? `${runs.length} of ${planned} runs so far.` : `${planned} runs.`;
}

/** What is said of how it was measured; also in docs/RESULTS.md. */
export function methodLines({ setting, runs }: Results): string[] {
  const { options, sessions } = setting;
  const emulators = [...new Set(runs.map(({ emulator }) => emulator))].join(', ');
  const rtts = options.links.flatMap(link => {
    const found = runs.filter(run => run.link === link).map(({ measuredRttMs }) => measuredRttMs);
    return found.length === 0
      ? []
      : [`${link} ${Math.min(...found).toFixed(1)}…${Math.max(...found).toFixed(1)} ms`];
  });
  const scales = [...new Set(runs.filter(run => run.client === 'paper').map(({ scale }) => scale))].sort();
  return [
    ...sessions.map(sessionLine),
    `Seed ${options.seed}. ${madeLine({ setting, runs })}`,
    `Links: emulated (${emulators}); measured, bare connection set-ups: ${rtts.join(', ')}.`,
    'Calibrated: the links’ parameters and, for the client like the paper’s, number, size and server time of the objects. The paper gives neither; they are a fit of its columns without failure, not its test bed. For Chromium the pages are as they are, and the server takes 500 ms for the login screen and 136 ms for each page of action 2.',
    ...(scales.some(each => each !== 1)
      ? [
          `Scaled: ${scales.map(each => `${each}`).join(', ')} of the paper’s number of objects; such figures stand beside the paper’s, but are not compared with them.`,
        ]
      : []),
    ...(options.links.includes(SLOWEST)
      ? [
          'The paper’s figures are as printed. One has lost its sign: in Table 3, WAN-IN, the new architecture’s failover of 1.13 s is a difference of −1.13 s.',
        ]
      : []),
    'The person in front of the screen reloads 1.4 s after an error, or after 10 s in which nothing moves, and logs in again if need be: the same on both architectures.',
    'Failover: with a failure less the median without. Medians (lowest…highest). Overhead: ours less the traditional one, without failure; percent of the means, with a bootstrap interval of 95 %.',
  ];
}

/** The picture for a first look: what is on top of the page. */
export const FIGURE_ID = 'figure';

export function htmlReport(results: Results): string {
  const cells = summarize(results);
  const judged = judge(results);
  const missed = judged.filter(({ verdict }) => verdict !== 'pass');
  const main = cells.filter(({ client }) => client === (results.setting.options.clients[0] ?? 'paper'));
  const otherBars = barsOf(cells.filter(each => !main.includes(each)));
  const lines = methodLines(results);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The paper’s tables, measured · Resplice</title>
<style>${STYLE}</style>
</head>
<body><main>
<section id="${FIGURE_ID}">
<h1>A server dies in the middle of a page</h1>
<p class="soft">How long people wait for what they wanted. <code>${escaped(commandOf(results.setting.options))}</code></p>
<ul class="key">${key}</ul>
${cards(barsOf(main))}
</section>
${otherBars.length > 0 ? `<h2>The same with a browser of today</h2>${cards(otherBars)}` : ''}
<h2>Runs, request by request</h2>
<p class="soft">Each line is a request, and # its connection where these are used again. Orange: what met the failure. Dotted: where the person
noticed something.</p>
${cards(waterfalls(results))}
<h2>All failovers of back ends</h2>
${cards(curves(results))}
<h2>Tables 2 and 3</h2>
${results.setting.options.clients.flatMap(client => actions.map(action => table(tableTitle(action, client), tableRows(results, action, client)))).join('\n<p></p>\n')}
<h2>The calibration</h2>
<p class="soft">The sequential client without a failure, traditional architecture: what the links and pages were fitted to.</p>
${table('Seconds', calibrationRows(results))}
<h2>Failover by fault</h2>
<p class="soft">For a proxy’s failure the paper has no figures.</p>
${results.setting.options.clients.map(client => table(`Seconds, ${client}`, faultRows(results, client))).join('\n<p></p>\n')}
<h2>What people noticed</h2>
${table('Over all runs', noticedRows(results))}
<h2>What was promised</h2>
<p>${judged.length - missed.length} of ${judged.length} kept: ${overallOf(judged)}.</p>
${missed.length > 0 ? `<ul>${missed.map(({ what, verdict, said }) => `<li>${verdict}: ${escaped(what)}: ${escaped(said)}</li>`).join('')}</ul>` : ''}
<h2>How it was measured</h2>
${lines.map(line => `<p>${escaped(line)}</p>`).join('')}
</main></body>
</html>
`;
}
