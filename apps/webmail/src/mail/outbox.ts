// Finishes what a request could not: its server died between copy and delivery, or the SMTP server gave no answer.

import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { Sending } from './sending.ts';

/** How often the database is asked when nothing is known to wait: another server may have died, milliseconds. */
const LOOK_MS = 5000;

export class Outbox {
  readonly #sending: Sending;
  readonly #log: FastifyBaseLogger;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #wake = new AbortController();

  constructor(sending: Sending, log: FastifyBaseLogger) {
    this.#sending = sending;
    this.#log = log;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** There is more to do than was known. */
  wake(): void {
    this.#wake.abort();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.wake();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      const wait = await this.#round();
      // Rejects when it is woken, which is as good as the time having passed.
      await pause(wait, undefined, { signal: this.#wake.signal, ref: false }).catch(() => {});
    }
  }

  /** Hands over what is due; returns when to look again, milliseconds. */
  async #round(): Promise<number> {
    try {
      for (;;) {
        const outgoing = await this.#sending.take(new Date());
        if (outgoing === undefined || this.#stop.signal.aborted) break;
        await this.#sending.handOver(outgoing);
      }
      return Math.min(LOOK_MS, (await this.#sending.untilNext(new Date())) ?? LOOK_MS);
    } catch (error) {
      this.#log.warn({ err: error }, 'outbox: not now; later');
      return LOOK_MS;
    }
  }
}
