/** docs/STORM.md: the storms of every arm side by side. */
import { compact, markdownTable } from '@resplice/figures';
import type { StormResult } from '../storm/storm.ts';
import { grouped } from '../storm/table.ts';
import { ArmPage, type ArmRun, type KeptRuns, machineText, madeRows, nameOfArm } from './arm-page.ts';

export interface KeptStorm extends StormResult, ArmRun {}

/** A storm of fewer letters proves little: with so many every point is aimed at three times and more. */
export const LEAST_SENDS = 500;

type Row = readonly [title: string, value: (storm: KeptStorm) => string];

const whole = (ms: number): string => ms.toFixed(0);
/** A count, with the letters' numbers where there are few. */
const listed = (numbers: readonly number[]): string =>
  numbers.length === 0 || numbers.length > 5
    ? String(numbers.length)
    : `${numbers.length} (${numbers.join(', ')})`;

const outcomes: readonly Row[] = [
  ['**verdict**', ({ verdict }) => `**${verdict}**`],
  ['letters posted', ({ letters }) => String(letters.begun)],
  ['whose authors were told that they are sent', ({ letters }) => String(letters.confirmed)],
  ['whose authors got an error or nothing', ({ brokenSends }) => String(brokenSends.length)],
  ['lost: confirmed, not in every recipient’s inbox', ({ letters }) => listed(letters.lost)],
  ['twice in an inbox or in Sent', ({ letters }) => listed(letters.twice)],
  ['in somebody else’s folder', ({ letters }) => listed(letters.astray)],
  ['with other people, words or files', ({ letters }) => listed(letters.altered)],
  ['delivered, and not in Sent', ({ letters }) => listed(letters.unkept)],
  ['delivered, though the author was not told', ({ letters }) => listed(letters.unconfirmed)],
  ['still on their way in the end', ({ pending }) => String(pending)],
  ['pages that came whole', ({ pages }) => String(pages.whole)],
  ['pages that did not', ({ pages }) => String(pages.broken.length)],
  ['people logged in in the end', ({ sessions, people }) => `${sessions.alive} of ${people}`],
  ['times that somebody was found logged out', ({ sessions }) => String(sessions.logOuts)],
  [
    'a letter took: median, p99, longest',
    ({ sendMs }) => `${[sendMs.median, sendMs.p99, sendMs.max].map(whole).join(', ')} ms`,
  ],
];

function outcomeRows({ runs }: KeptRuns<KeptStorm>): string[][] {
  return [
    ['', ...runs.map(({ arm }) => nameOfArm(arm))],
    ...outcomes.map(([title, value]) => [title, ...runs.map(value)]),
  ];
}

/** What was done to back ends, and at which of its points a letter was then. */
function faultRows({ runs }: KeptRuns<KeptStorm>): string[][] {
  const points = [...new Set(runs.flatMap(run => Object.keys(run.points)))];
  const kinds = [...new Set(runs.flatMap(({ faults }) => faults.map(({ kind }) => kind)))].sort();
  const count = ({ faults }: KeptStorm, kind: string, point: string | null): string =>
    String(faults.filter(each => each.kind === kind && each.point === point).length);
  const rows = kinds.flatMap(kind => {
    const at = [null, ...points].filter(point => runs.some(run => count(run, kind, point) !== '0'));
    return at.map(point => [
      `${kind}${point === null ? '' : `, ${point}`}`,
      ...runs.map(run => count(run, kind, point)),
    ]);
  });
  return [['', ...runs.map(({ arm }) => nameOfArm(arm))], ...rows];
}

function remarks({ runs }: KeptRuns<KeptStorm>): string[] {
  const told = runs.flatMap(({ arm, brokenSends, pages }) =>
    grouped([...brokenSends.map(({ why }) => why), ...pages.broken]).map(
      ({ count, reason }) => `- ${nameOfArm(arm)}, ${count} ×: ${reason}`,
    ),
  );
  return told.length === 0 ? ['Nothing.'] : told;
}

function render(kept: KeptRuns<KeptStorm>): string {
  const first = kept.runs[0]!;
  const { link, proxies, backends, people, seed } = first;
  return `${[
    '# Storms of letters, measured',
    '',
    '<!-- Written by a run of the drill with --write: do not edit. A test renders it anew from storm.json. -->',
    '',
    'People write letters in the webmail while the back ends that serve them crash, are cut off and freeze, at random and at named',
    'points of a letter’s way; in the end the mailboxes are held against what was posted. [How it goes](../drill/README.md#storms); all',
    'values are in [storm.json](storm.json). On every arm it is the same webmail, SMTP server and database. With Resplice it has the',
    '[back-end kit](KIT.md), and the back-end logger before the SMTP server; on other arms sessions are in the database.',
    '',
    `${machineText(first)}; link ${link}, ${proxies} proxies, ${backends} back ends, ${people} people, seed ${seed}.`,
    '',
    ...markdownTable(madeRows(kept.runs)),
    '',
    '## What became of the letters',
    '',
    'Nobody presses a button twice.',
    '',
    ...markdownTable(outcomeRows(kept)),
    '',
    '## What was done to back ends',
    '',
    'With a point: a letter was there when it was done.',
    '',
    ...markdownTable(faultRows(kept)),
    '',
    '## What people met',
    '',
    ...remarks(kept),
  ].join('\n')}\n`;
}

function check({ sends }: KeptStorm): void {
  if (sends < LEAST_SENDS) throw new RangeError(`storms of ${LEAST_SENDS} letters and more are kept`);
}

export const stormPage = new ArmPage<KeptStorm>({
  page: 'STORM.md',
  data: 'storm.json',
  setting: ({ link, proxies, backends, people, sends, seed }) => [
    link,
    proxies,
    backends,
    people,
    sends,
    seed,
  ],
  check,
  json: run => JSON.stringify(run, compact),
  render,
});
