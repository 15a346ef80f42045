import { Worker } from 'node:worker_threads';
import type { Answer, Question } from './bcrypt-worker.ts';

/** Whether a password fits a bcrypt hash; `undefined` if that could not be found out now. */
export type Compare = (password: string, hash: string) => Promise<boolean | undefined>;

/** Questions that wait at most; at cost 10 the last of them waits a few seconds. */
const MAX_WAITING = 64;

/**
 * A thread that compares passwords, one after the other: whoever tries passwords uses up one core and no more, and the
 * proxy's own loop never waits. It is started with the first question, and again should it ever die.
 */
export class BcryptThread {
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, (matches: boolean | undefined) => void>();
  #lastId = 0;
  #closed = false;

  /** How many questions have no answer yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** `undefined` if too many questions wait, if the thread died over this one, or after `close`. */
  readonly compare: Compare = (password, hash) => {
    if (this.#closed || this.#waiting.size >= MAX_WAITING) return Promise.resolve(undefined);
    const id = ++this.#lastId;
    return new Promise(resolve => {
      this.#waiting.set(id, resolve);
      this.#worker ??= this.#start();
      // While somebody waits the process must not end.
      this.#worker.ref();
      this.#worker.postMessage({ id, password, hash } satisfies Question);
    });
  };

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#giveUp(worker);
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./bcrypt-worker.ts', import.meta.url), { name: 'bcrypt' });
    worker.on('message', ({ id, matches }: Answer) => {
      const resolve = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
      resolve?.(matches);
    });
    worker.on('error', () => this.#giveUp(worker));
    worker.on('exit', () => this.#giveUp(worker));
    return worker;
  }

  /** Nobody may wait for a thread that is gone. */
  #giveUp(worker: Worker | undefined): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const resolve of waiting) resolve(undefined);
  }
}
