// What a daemon relies on may vanish under it: a link is made anew and has lost its program. Once a second everything is
// looked at again and put right.

import type { Log } from './log.ts';

export interface UpkeepOptions {
  log: Log;
  /** Ms between two looks. */
  everyMs?: number;
}

export class Upkeep {
  readonly #log: Log;
  readonly #checks = new Map<string, () => void>();
  readonly #problems = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;

  constructor({ log, everyMs = 1000 }: UpkeepOptions) {
    this.#log = log;
    this.#timer = setInterval(() => this.look(), everyMs).unref();
  }

  /**
   * Runs a check now and at every look.
   * @param check puts right what is wrong; throws while it cannot
   */
  add(name: string, check: () => void): void {
    this.#checks.set(name, check);
    this.#run(name, check);
  }

  /** Runs all checks at once. */
  look(): void {
    for (const [name, check] of this.#checks) this.#run(name, check);
  }

  /** true, or what is wrong. */
  ready(): true | string {
    const [problem] = this.#problems.values();
    return problem ?? true;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #run(name: string, check: () => void): void {
    const before = this.#problems.get(name);
    try {
      check();
      this.#problems.delete(name);
      if (before !== undefined) this.#log.info({ check: name }, 'put right');
    } catch (error) {
      const problem = (error as Error).message;
      this.#problems.set(name, problem);
      // Once, not every second.
      if (problem !== before) this.#log.error({ err: error, check: name }, 'cannot be put right yet');
    }
  }
}
