/** A page of docs/ on which runs of several arms stand side by side, and the data beside it, from which a test renders it anew. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeMachine, type Machine, type Program } from '@resplice/figures';

const DOCS = join(import.meta.dirname, '../../../docs');

/** A run of one arm, and what it was made on. */
export interface ArmRun {
  readonly arm: string;
  /** ISO 8601. */
  readonly at: string;
  readonly command: string;
  readonly machine: Machine;
}

export interface KeptRuns<Run extends ArmRun> {
  readonly version: 1;
  /** One for an arm at most. */
  readonly runs: readonly Run[];
}

export interface ArmPageOptions<Run extends ArmRun> {
  /** Files in docs/. */
  readonly page: string;
  readonly data: string;
  /** What must be the same of runs that are shown side by side, besides the machine. */
  readonly setting: (run: Run) => unknown;
  /** Throws a RangeError unless it is one to be kept. */
  readonly check: (run: Run) => void;
  /** A run as it stands in the data. */
  readonly json: (run: Run) => string;
  /** The page, from runs as they come from the data. */
  readonly render: (kept: KeptRuns<Run>) => string;
}

export interface PageFiles {
  readonly page: string;
  readonly data: string;
}

/** In which arms are shown, and what they are called. */
const armNames = new Map([
  ['resplice', 'Resplice'],
  ['haproxy', 'HAProxy'],
  ['nginx', 'nginx'],
  ['forward', 'kernel forwarding'],
]);

/** Whose version matters, by arm. */
const programs: Readonly<Record<string, readonly Program[]>> = {
  haproxy: [['HAProxy', 'haproxy', '-v']],
  nginx: [['nginx', 'nginx', '-v']],
};

export function nameOfArm(arm: string): string {
  return armNames.get(arm) ?? arm;
}

function versionsText({ machine: { versions } }: ArmRun): string {
  return Object.entries(versions)
    .map(([program, version]) => `${program} ${version}`)
    .join(', ');
}

/** A table of how the runs were made. @param more columns before the versions, by their titles */
export function madeRows<Run extends ArmRun>(
  runs: readonly Run[],
  more: Readonly<Record<string, (run: Run) => string>> = {},
): string[][] {
  const columns: Readonly<Record<string, (run: Run) => string>> = {
    '': ({ arm }) => nameOfArm(arm),
    made: ({ at }) => at.slice(0, 10),
    ...more,
    versions: versionsText,
    by: ({ command }) => `\`${command}\``,
  };
  return [Object.keys(columns), ...runs.map(run => Object.values(columns).map(text => text(run)))];
}

/** For a page: the machine of all the runs. */
export function machineText({ machine: { processor, cores, memoryGiB, kernel, system } }: ArmRun): string {
  return `${processor}, ${cores} cores, ${memoryGiB} GiB, Linux ${kernel}, ${system}`;
}

export class ArmPage<Run extends ArmRun> {
  readonly #options: ArmPageOptions<Run>;

  constructor(options: ArmPageOptions<Run>) {
    this.#options = options;
  }

  /**
   * The earlier runs with this one in the place of its arm's. Nothing is kept from another machine, kernel or setting.
   *
   * @returns what is kept, and the arms that were not
   * @throws RangeError unless the run is one to be kept
   */
  withRun(earlier: KeptRuns<Run> | undefined, run: Run): { kept: KeptRuns<Run>; dropped: string[] } {
    this.#options.check(run);
    const others = (earlier?.runs ?? []).filter(({ arm }) => arm !== run.arm);
    const beside = others.filter(other => this.#setting(other) === this.#setting(run));
    const order = [...armNames.keys()];
    const runs = [...beside, run].sort((a, b) => order.indexOf(a.arm) - order.indexOf(b.arm));
    return {
      kept: { version: 1, runs },
      dropped: others.filter(other => !beside.includes(other)).map(({ arm }) => arm),
    };
  }

  /** As it stands in the data. */
  json({ version, runs }: KeptRuns<Run>): string {
    return `{"version":${version},"runs":[\n${runs.map(this.#options.json).join(',\n')}\n]}\n`;
  }

  /** @throws Error when it is not one that this version writes */
  read(json: string): KeptRuns<Run> {
    const kept = JSON.parse(json) as KeptRuns<Run>;
    if (kept.version !== 1)
      throw new Error(`${this.#options.data} has version ${kept.version}, this program knows 1`);
    return kept;
  }

  /** From the values as they are kept, or it would not be the same when it is rendered from them. @throws RangeError when there is no run */
  render(kept: KeptRuns<Run>): string {
    if (kept.runs.length === 0) throw new RangeError('there is no run to show');
    return this.#options.render(this.read(this.json(kept)));
  }

  /** @returns undefined: no run has been kept yet @throws Error when what is there cannot be read */
  kept(directory = DOCS): KeptRuns<Run> | undefined {
    const { data } = this.#filesIn(directory);
    return existsSync(data) ? this.read(readFileSync(data, 'utf8')) : undefined;
  }

  /**
   * Puts a run in its arm's place, and renders the page.
   *
   * @param command how it was asked for
   * @returns the files, and the arms whose runs could not stay beside it
   * @throws RangeError unless the run is one to be kept
   */
  write(
    result: Omit<Run, 'at' | 'command' | 'machine'>,
    command: string,
    directory = DOCS,
  ): PageFiles & { dropped: string[] } {
    const machine = describeMachine(programs[result.arm as string] ?? []);
    const run = { ...result, at: new Date().toISOString(), command, machine } as unknown as Run;
    const { kept, dropped } = this.withRun(this.kept(directory), run);
    const { page, data } = this.#filesIn(directory);
    writeFileSync(data, this.json(kept));
    writeFileSync(page, this.render(kept));
    return { page, data, dropped };
  }

  #setting(run: Run): string {
    const { processor, cores, kernel } = run.machine;
    return JSON.stringify([processor, cores, kernel, this.#options.setting(run)]);
  }

  #filesIn(directory: string): PageFiles {
    const { page, data } = this.#options;
    return { page: join(directory, page), data: join(directory, data) };
  }
}
