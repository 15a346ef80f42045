// A daemon's configuration while it runs: SIGHUP has the file read again, checked as at the start, and taken over or refused.

import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { ConfigError, parseConfig, readConfigText } from './config.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** What /status says about it. `sha256` is that of the file's bytes, in hex. */
export interface ConfigStatus {
  /** The file that the daemon follows. */
  sha256: string;
  /** A newer one that it was told to take over and could not; its `sha256` is null if it could not even be read. */
  refused?: { sha256: string | null; problems: readonly string[] };
}

export interface RunningConfigOptions<S extends z.ZodType> {
  file: string;
  schema: S;
  /** Fields that may change while the daemon runs. */
  reloadable: readonly string[];
  log: Log;
  metrics: Metrics;
}

export class RunningConfig<S extends z.ZodType> {
  readonly #options: RunningConfigOptions<S>;
  readonly #reloads;
  #config: z.output<S>;
  #status: ConfigStatus;
  #apply: ((config: z.output<S>) => void | Promise<void>) | undefined;
  /** Reloads one after the other; undefined while none is under way. */
  #course: Promise<void> | undefined;
  #again = false;

  /** @param loaded what the daemon was started with */
  constructor(loaded: { config: z.output<S>; sha256: string }, options: RunningConfigOptions<S>) {
    this.#options = options;
    this.#config = loaded.config;
    this.#status = { sha256: loaded.sha256 };
    this.#reloads = options.metrics.counter('config_reloads_total', 'Reloads of the configuration.', [
      'result',
    ]);
    for (const result of ['taken', 'refused']) this.#reloads.inc({ result }, 0);
  }

  get status(): ConfigStatus {
    return this.#status;
  }

  /**
   * From here on reloads take effect; one that was asked for before does now.
   *
   * @param apply makes a configuration effective, all of it or, if it throws, nothing. Undefined: the daemon cannot
   */
  begin(apply: ((config: z.output<S>) => void | Promise<void>) | undefined): void {
    this.#apply = apply ?? (() => {});
    if (this.#again) this.request();
  }

  /** Reads the file again. A request during a reload leads to one more: the file may have changed since it was read. */
  request(): void {
    this.#again = true;
    if (!this.#apply) return;
    this.#course ??= this.#run().finally(() => {
      this.#course = undefined;
    });
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#reload();
    }
  }

  async #reload(): Promise<void> {
    const { file, schema, log } = this.#options;
    let sha256: string | undefined;
    try {
      const read = readConfigText(file);
      sha256 = read.sha256;
      if (sha256 === this.#status.sha256) {
        this.#status = { sha256 };
        return;
      }
      const config = parseConfig(schema, read);
      this.#refuseChangesOf(config);
      await this.#apply!(config);
      this.#config = config;
      this.#status = { sha256 };
      this.#reloads.inc({ result: 'taken' });
      log.info({ config }, 'configuration taken over');
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems : [(error as Error).message];
      this.#status = { sha256: this.#status.sha256, refused: { sha256: sha256 ?? null, problems } };
      this.#reloads.inc({ result: 'refused' });
      log.error({ err: error, problems }, 'configuration refused, the former one stays');
    }
  }

  /** @throws ConfigError naming every field that differs and must not */
  #refuseChangesOf(next: z.output<S>): void {
    const before = Object.entries(this.#config as object);
    const after = new Map(Object.entries(next as object));
    const names = new Set([...before.map(([name]) => name), ...after.keys()]);
    const now = new Map(before);
    const problems = [...names]
      .filter(name => !this.#options.reloadable.includes(name))
      .filter(name => !isDeepStrictEqual(now.get(name), after.get(name)))
      .map(name => `config: ${name}: can only be changed by a restart`);
    if (problems.length > 0) throw new ConfigError(problems);
  }
}
