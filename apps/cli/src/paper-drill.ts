/** `./resplice drill paper`: from flags to a folder of results, and from its runs to tables, pictures and an exit code. */
import { randomInt } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PaperOptions, PaperRun, Results, ResultsFolder, RunKey } from '@resplice/drill/paper';
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

function linksFrom(text: string, { columns }: Drill): string[] {
  const shorts = columns.map(({ short }) => short);
  const linkOf = (short: string): string =>
    columns.find(each => each.short === oneOf('--links', short.trim(), shorts))!.link;
  return [...new Set(text.split(',').map(linkOf))];
}

function optionsFrom(flags: PaperFlags, drill: Drill): PaperOptions {
  const base = flags.full ? drill.full : drill.quick;
  const repeat = flags.repeat === undefined ? undefined : wholeNumber('--repeat', flags.repeat, 1, 100);
  const scale = flags.scale === undefined ? undefined : scaleFrom(flags.scale);
  const client = oneOf('--client', flags.client ?? 'both', [...drill.clientKinds, 'both']);
  return {
    ...base,
    clients: client === 'both' ? base.clients : [client],
    links: flags.links === undefined ? base.links : linksFrom(flags.links, drill),
    ...(repeat === undefined ? {} : { repeat, repeatOnSlowest: repeat }),
    ...(scale === undefined ? {} : { scale, scaleOnSlowest: scale }),
    seed: flags.seed === undefined ? randomInt(2 ** 32) : wholeNumber('--seed', flags.seed, 0, 2 ** 32 - 1),
  };
}

/** `results/<date>`, or the first that is free behind it. */
function newFolder(at: Date): string {
  const base = join(repository, 'results', at.toISOString().slice(0, 10));
  for (let number = 1; ; number++) {
    const path = number === 1 ? base : `${base}-${number}`;
    if (!existsSync(path)) return path;
  }
}

function requireFull({ write }: PaperFlags, { faults }: PaperOptions, { full }: Drill): void {
  if (write && faults.length < full.faults.length) {
    throw new LabError('usage', '--write: docs/RESULTS.md is written from a run with --full');
  }
}

function openFolder(flags: PaperFlags, drill: Drill): ResultsFolder {
  const at = new Date();
  if (flags.resume === undefined) {
    const options = optionsFrom(flags, drill);
    requireFull(flags, options, drill);
    const sessions = [drill.describeCircumstances(at)];
    return drill.ResultsFolder.create(newFolder(at), { version: 2, options, sessions });
  }
  const { resume: _, links, write, json, ...others } = flags;
  const extra = Object.entries(others).filter(([, value]) => value !== undefined);
  if (extra.length > 0) {
    const names = extra.map(([name]) => `--${name}`).join(', ');
    throw new LabError('usage', `${names}: what is resumed goes by its own options; leave it out`);
  }
  const wanted = links === undefined ? [] : linksFrom(links, drill);
  try {
    const folder = drill.ResultsFolder.open(flags.resume);
    requireFull(flags, folder.setting.options, drill);
    folder.goOn(drill.describeCircumstances(at), wanted);
    return folder;
  } catch (error) {
    if (error instanceof LabError) throw error;
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
  const { options } = folder.setting;
  requireMachine();
  const links = flags.links === undefined ? options.links : linksFrom(flags.links, drill);
  say(`results in ${folder.path}, seed ${options.seed}`);
  const lacking = missing(folder, drill);
  const now = lacking.filter(({ link }) => links.includes(link));
  say(`${now.length} runs, about ${duration(drill.secondsLeft(now, [], 0, options))}`);
  let turn: RunKey | undefined;
  await withStopSignal(signal =>
    drill.makeRuns(folder, links, {
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
  const picture = await writeReports(folder, drill);
  if (flags.write) writeDocuments(results, picture, drill);
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
  const left = missing(folder, drill).length;
  if (left > 0) say(`${left} runs are still to be made: ./resplice drill paper --resume ${folder.path}`);
  say(
    `drill paper: ${verdict}; ${kept} of ${judged.length} promises kept, ${results.runs.length} runs (seed ${options.seed})`,
  );
  return codes[verdict];
}

function missing(folder: ResultsFolder, drill: Drill): RunKey[] {
  return drill.planOf(folder.setting.options).filter(key => folder.lacks(key));
}

/** @returns the light picture */
async function writeReports(folder: ResultsFolder, drill: Drill): Promise<Buffer> {
  const html = drill.htmlReport(folder.results);
  say(`wrote ${folder.write('report.html', html)}`);
  folder.write(
    'tables.md',
    drill.resultsPage(folder.results, { runs: 'runs.jsonl', picture: 'figure-light.png' }),
  );
  const [light, dark] = [
    await drill.pictureOf(html, { colourScheme: 'light' }),
    await drill.pictureOf(html, { colourScheme: 'dark' }),
  ];
  folder.write('figure-light.png', light);
  folder.write('figure-dark.png', dark);
  return light;
}

/** The page for readers, what it was made of, and its picture. */
function writeDocuments(results: Results, picture: Buffer, drill: Drill): void {
  const docs = join(repository, 'docs');
  const kept = drill.ResultsFolder.replace(join(docs, drill.document.folder), drill.keptOf(results));
  writeFileSync(join(docs, drill.document.picture), picture);
  const page = join(docs, drill.document.page);
  writeFileSync(page, drill.resultsPage(kept.results, drill.document));
  say(`wrote ${page}`);
}
