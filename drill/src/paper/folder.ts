/** A folder of results: what was to be measured, on what, and each run as soon as it is over. An interrupted one goes on. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Machine } from '@resplice/figures';
import { type PaperOptions, withLinks } from './plan.ts';
import { keyOf, type PaperRun, type RunKey } from './run.ts';

export interface Circumstances extends Machine {
  /** ISO 8601, of the beginning. */
  readonly at: string;
}

export interface Setting {
  readonly version: 2;
  readonly options: PaperOptions;
  /** Of the first run, and whenever others were found when it went on. */
  readonly sessions: readonly Circumstances[];
}

/** Everything that is said about a folder derives from this. */
export interface Results {
  readonly setting: Setting;
  readonly runs: readonly PaperRun[];
}

const SETTING = 'setting.json';
const RUNS = 'runs.jsonl';

export class ResultsFolder {
  readonly path: string;
  readonly #runs: Map<string, PaperRun>;
  #setting: Setting;

  private constructor(path: string, setting: Setting, runs: readonly PaperRun[]) {
    this.path = path;
    this.#setting = setting;
    this.#runs = new Map(runs.map(run => [keyOf(run), run]));
  }

  /** @throws Error when there is one already */
  static create(path: string, setting: Setting): ResultsFolder {
    if (existsSync(join(path, SETTING)))
      throw new Error(`${path} holds results already; to go on with them: --resume ${path}`);
    mkdirSync(path, { recursive: true });
    const folder = new ResultsFolder(path, setting, []);
    folder.#keep(setting);
    return folder;
  }

  /** Those results and no others, whatever is there. */
  static replace(path: string, { setting, runs }: Results): ResultsFolder {
    rmSync(path, { recursive: true, force: true });
    const folder = ResultsFolder.create(path, setting);
    for (const run of runs) folder.add(run);
    return folder;
  }

  /** @throws Error when there are none, or a line is not one that this version writes */
  static open(path: string): ResultsFolder {
    const file = join(path, SETTING);
    if (!existsSync(file)) throw new Error(`${path}: no results there (no ${SETTING})`);
    const setting = JSON.parse(readFileSync(file, 'utf8')) as Setting;
    if (setting.version !== 2) throw new Error(`${file}: version ${setting.version}, this program knows 2`);
    return new ResultsFolder(path, setting, readRuns(join(path, RUNS)));
  }

  get setting(): Setting {
    return this.#setting;
  }

  /** Another session goes on here. @param links that are to be there too */
  goOn(circumstances: Circumstances, links: readonly string[] = []): void {
    const { options, sessions } = this.#setting;
    const { at: _, ...now } = circumstances;
    const isKnown = sessions.some(({ at, ...then }) => isDeepStrictEqual(then, now));
    this.#keep({
      ...this.#setting,
      options: withLinks(options, links),
      sessions: isKnown ? sessions : [...sessions, circumstances],
    });
  }

  /** Whether it is still to be made: a run whose fault missed is not one. */
  lacks(key: RunKey): boolean {
    const run = this.#runs.get(keyOf(key));
    return run === undefined || run.verdict === 'inconclusive';
  }

  add(run: PaperRun): void {
    appendFileSync(join(this.path, RUNS), `${JSON.stringify(run)}\n`);
    this.#runs.set(keyOf(run), run);
  }

  get results(): Results {
    return { setting: this.#setting, runs: [...this.#runs.values()] };
  }

  /** Whoever is killed meanwhile leaves the old one. */
  #keep(setting: Setting): void {
    const path = join(this.path, SETTING);
    writeFileSync(`${path}.new`, `${JSON.stringify(setting, null, 2)}\n`);
    renameSync(`${path}.new`, path);
    this.#setting = setting;
  }

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }
}

function readRuns(path: string): PaperRun[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  // Killed in the middle of a line: that run was not kept, and what follows must not be glued to it.
  if (whole.length < text.length) writeFileSync(path, whole);
  return whole
    .split('\n')
    .filter(line => line !== '')
    .map((line, index) => {
      const run = JSON.parse(line) as PaperRun;
      if (run.version !== 2) throw new Error(`${path}:${index + 1}: version ${run.version}, not 2`);
      return run;
    });
}
