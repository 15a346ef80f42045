/** Somebody in a lab's client place who calls and tells how long it took: this side of `caller-worker.ts`. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { SubjectName } from './subject.ts';

export interface CallerOrder {
  readonly subject: SubjectName;
  /** Path of the client's network namespace. */
  readonly namespace: string;
}

/** In answer to an operation's name. */
export type CallerAnswer = { readonly ms: number } | { readonly error: string };

/** No answer that means anything takes longer. */
const DEADLINE_MS = 30_000;

export class Caller {
  readonly #worker: Worker;

  /** @throws Error when there is no such place */
  static async start(order: CallerOrder): Promise<Caller> {
    const worker = new Worker(new URL('./caller-worker.ts', import.meta.url), { workerData: order });
    // It says when it is there; an error before that is thrown here.
    await once(worker, 'message');
    return new Caller(worker);
  }

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** @returns milliseconds from the request to its answer's end @throws Error when that is not the right one, or never comes */
  call(operation: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const late = setTimeout(
      () => reject(new Error(`${operation}: no answer within ${DEADLINE_MS} ms`)),
      DEADLINE_MS,
    );
    const hear = (answer: CallerAnswer): void =>
      'ms' in answer ? resolve(answer.ms) : reject(new Error(`${operation}: ${answer.error}`));
    this.#worker.once('message', hear);
    this.#worker.once('error', reject);
    this.#worker.postMessage(operation);
    return promise.finally(() => {
      clearTimeout(late);
      this.#worker.off('message', hear).off('error', reject);
    });
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
