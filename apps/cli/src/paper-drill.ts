/** `./resplice drill paper`: from flags to a folder of results, and from its runs to tables, pictures and an exit code. */
import { randomInt } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PaperOptions, PaperRun, ResultsFolder, RunKey } from '@resplice/drill/paper';
import { LabError, requireMachine } from '@resplice/engines';
import { oneOf, wholeNumber } from './arguments.ts';
import { exitCode } from './exit-code.ts';
import { printJson, say, showProgress } from './output.ts';
import { withStopSignal } from './stop-signal.ts';
import { repository } from './test-plan.ts';

/** As they were given; undefined: not at all. */
export interface PaperFlags {
  readonly client: string | undefined;
  readonly links: string | undefined;
  readonly full: boolean | undefined;
  readonly scale: string | undefined;
  readonly repeat: string | undefined;
  readonly seed: string | undefined;
  readonly resume: string | undefined;
  readonly write: boolean | undefined;
  readonly json: boolean | undefined;
}

const codes = { pass: exitCode.pass, fail: exitCode.fail, inconclusive: exitCode.inconclusive } as const;

type Drill = typeof import('@resplice/drill/paper');

function scaleFrom(text: string): number {
  const value = Number(text);
  if (!/^\d*\.?\d+$/.test(text) || value <= 0 || value > 1) {
    throw new LabError('usage', `--scale: "${text}" is not a number above 0 and up to 1`);
  }
  return value;
}

function optionsFrom(flags: PaperFlags, { clientKinds, columns, full, quick }: Drill): PaperOptions {
  const base = flags.full ? full : quick;
  const shorts = columns.map(({ short }) => short);
  const linkOf = (short: string): string =>
    columns.find(each => each.short === oneOf('--links', short.trim(), shorts))!.link;
  const repeat = flags.repeat === undefined ? undefined : wholeNumber('--repeat', flags.repeat, 1, 100);
  const scale = flags.scale === undefined ? undefined : scaleFrom(flags.scale);
  const client = oneOf('--client', flags.client ?? 'both', [...clientKinds, 'both']);
  return {
    ...base,
    clients: client === 'both' ? base.clients : [client],
    links: flags.links === undefined ? base.links : [...new Set(flags.links.split(',').map(linkOf))],
    ...(repeat === undefined ? {} : { repeat, repeatOnSlowest: repeat }),
    ...(scale === undefined ? {} : { scale, scaleOnSlowest: scale }),
    seed: flags.seed === undefined ? randomInt(2 ** 32) : wholeNumber('--seed', flags.seed, 0, 2 ** 32 - 1),
  };
}

/** As it can be given again, with everything that was left to chance or to defaults. */
function commandOf(flags: PaperFlags, options: PaperOptions): string {
  const { client, links, full, scale, repeat } = flags;
  const given = [
    full ? '--full' : undefined,
    client && `--client ${client}`,
    links && `--links ${links}`,
    scale && `--scale ${scale}`,
    repeat && `--repeat ${repeat}`,
    `--seed ${options.seed}`,
  ];
  return `./resplice drill paper ${given.filter(each => each !== undefined).join(' ')}`;
}

/** `results/<date>`, or the first that is free behind it. */
function newFolder(at: Date): string {
  const base = join(repository, 'results', at.toISOString().slice(0, 10));
  for (let number = 1; ; number++) {
    const path = number === 1 ? base : `${base}-${number}`;
    if (!existsSync(path)) return path;
  }
}

function openFolder(flags: PaperFlags, drill: Drill): ResultsFolder {
  if (flags.resume === undefined) {
    const options = optionsFrom(flags, drill);
    const at = new Date();
    const circumstances = drill.describeCircumstances(commandOf(flags, options), at);
    return drill.ResultsFolder.create(newFolder(at), { version: 1, options, circumstances });
  }
  const { resume: _, write, json, ...others } = flags;
  const extra = Object.entries(others).filter(([, value]) => value !== undefined);
  if (extra.length > 0) {
    const names = extra.map(([name]) => `--${name}`).join(', ');
    throw new LabError('usage', `${names}: what is resumed goes by its own options; leave it out`);
  }
  try {
    return drill.ResultsFolder.open(flags.resume);
  } catch (error) {
    throw new LabError('usage', `--resume: ${(error as Error).message}`, { cause: error });
  }
}

export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

function runLine({ verdict, reason, seconds, noticed, reloads }: PaperRun): string {
  const took = seconds === null ? '' : `, ${seconds.toFixed(2)} s`;
  const trouble = noticed.length > 0 ? `, ${noticed[0]!.what} noticed, ${reloads} reloads` : '';
  return `${verdict}${took}${trouble}${reason === null ? '' : ` (${reason})`}`;
}

/** @returns the exit code @throws LabError usage, capability, unhealthy, interrupted */
export async function paperDrill(flags: PaperFlags): Promise<number> {
  const drill = await import('@resplice/drill/paper');
  const folder = openFolder(flags, drill);
  requireMachine();
  say(`results in ${folder.path}, seed ${folder.setting.options.seed}`);
  let turn: RunKey | undefined;
  await withStopSignal(signal =>
    drill.makeRuns(folder, {
      signal,
      progress: showProgress,
      begun: (key, number, of, left) => {
        turn = key;
        showProgress(`${number}/${of} ${drill.keyOf(key)}; ${duration(left)} left`);
      },
      done: (run, number, of) => say(`${number}/${of} ${drill.keyOf(turn ?? run)}: ${runLine(run)}`),
    }),
  );
  const { results } = folder;
  for (const line of drill.textReport(results)) process.stderr.write(`${line}\n`);
  await writeReports(folder, drill);
  if (flags.write) {
    const page = join(repository, 'docs/RESULTS.md');
    writeFileSync(page, drill.resultsPage(results));
    say(`wrote ${page}`);
  }
  const judged = drill.judge(results);
  const verdict = drill.overallOf(judged);
  if (flags.json) {
    printJson({
      version: 1,
      folder: folder.path,
      setting: results.setting,
      cells: drill.summarize(results),
      judged,
      verdict,
    });
  }
  const kept = judged.filter(each => each.verdict === 'pass').length;
  say(
    `drill paper: ${verdict}; ${kept} of ${judged.length} promises kept, ${results.runs.length} runs (seed ${results.setting.options.seed})`,
  );
  return codes[verdict];
}

async function writeReports(folder: ResultsFolder, drill: Drill): Promise<void> {
  const html = drill.htmlReport(folder.results);
  say(`wrote ${folder.write('report.html', html)}`);
  folder.write('tables.md', drill.resultsPage(folder.results));
  for (const colourScheme of ['light', 'dark'] as const) {
    folder.write(`figure-${colourScheme}.png`, await drill.pictureOf(html, { colourScheme }));
  }
}
