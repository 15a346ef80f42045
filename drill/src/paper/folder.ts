/** A folder of results: what was to be measured, on what, and each run as soon as it is over. An interrupted one goes on. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '@resplice/figures';
import type { PaperOptions } from './plan.ts';
import { keyOf, type PaperRun, type RunKey } from './run.ts';

export interface Circumstances extends Machine {
  /** ISO 8601, of the first run. */
  readonly at: string;
  readonly command: string;
}

export interface Setting {
  readonly version: 1;
  readonly options: PaperOptions;
  readonly circumstances: Circumstances;
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
  readonly setting: Setting;
  readonly #runs: Map<string, PaperRun>;

  private constructor(path: string, setting: Setting, runs: readonly PaperRun[]) {
    this.path = path;
    this.setting = setting;
    this.#runs = new Map(runs.map(run => [keyOf(run), run]));
  }

  /** @throws Error when there is one already */
  static create(path: string, setting: Setting): ResultsFolder {
    if (existsSync(join(path, SETTING)))
      throw new Error(`${path} holds results already; to go on with them: --resume ${path}`);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, SETTING), `${JSON.stringify(setting, null, 2)}\n`);
    return new ResultsFolder(path, setting, []);
  }

  /** @throws Error when there are none, or a line is not one that this version writes */
  static open(path: string): ResultsFolder {
    const file = join(path, SETTING);
    if (!existsSync(file)) throw new Error(`${path}: no results there (no ${SETTING})`);
    const setting = JSON.parse(readFileSync(file, 'utf8')) as Setting;
    if (setting.version !== 1) throw new Error(`${file}: version ${setting.version}, this program knows 1`);
    return new ResultsFolder(path, setting, readRuns(join(path, RUNS)));
  }

  has(key: RunKey): boolean {
    return this.#runs.has(keyOf(key));
  }

  add(run: PaperRun): void {
    appendFileSync(join(this.path, RUNS), `${JSON.stringify(run)}\n`);
    this.#runs.set(keyOf(run), run);
  }

  get results(): Results {
    return { setting: this.setting, runs: [...this.#runs.values()] };
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
      if (run.version !== 1) throw new Error(`${path}:${index + 1}: version ${run.version}, not 1`);
      return run;
    });
}
