// Now and then, somebody has to tidy the database up.

import { type Database, forgetOld } from '@resplice/mailstore';
import type { FastifyBaseLogger } from 'fastify';

const EVERY_MS = 3_600_000;

export class Housekeeping {
  readonly #database: Database;
  readonly #log: FastifyBaseLogger;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();

  constructor(database: Database, log: FastifyBaseLogger) {
    this.#database = database;
    this.#log = log;
  }

  start(): void {
    const round = (): void => {
      this.#round = forgetOld(this.#database).then(
        forgotten => this.#log.debug(forgotten, 'forgotten'),
        error => this.#log.warn({ err: error }, 'housekeeping: not now; later'),
      );
    };
    round();
    this.#timer = setInterval(round, EVERY_MS);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }
}
