/** Whoever lives in a component's place and is asked to do something there. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Order, TaskName, Tasks, Told } from './traveller-worker.ts';
import type { Progress } from './visitor.ts';

interface Waiting {
  readonly progress: (progress: Progress) => void;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class Traveller {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  /** @param namespace path of a network namespace; without one, the caller's own */
  static async start(namespace?: string): Promise<Traveller> {
    const worker = new Worker(new URL('./traveller-worker.ts', import.meta.url), {
      workerData: { namespace },
    });
    const traveller = new Traveller(worker);
    await once(worker, 'online');
    return traveller;
  }

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (told: Told) => this.#hear(told));
    worker.on('error', error => this.#abandon(error as Error));
    worker.on('exit', () => this.#abandon(new Error('the thread has ended')));
  }

  do<Name extends TaskName>(
    name: Name,
    argument: Tasks[Name]['argument'],
    progress: (progress: Progress) => void = () => {},
  ): Promise<Tasks[Name]['result']> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        progress,
        resolve: result => resolve(result as Tasks[Name]['result']),
        reject,
      });
      this.#worker.postMessage({ id, name, argument } as Order);
    });
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #hear(told: Told): void {
    const waiting = this.#waiting.get(told.id);
    if ('progress' in told) {
      waiting?.progress(told.progress);
      return;
    }
    this.#waiting.delete(told.id);
    if ('error' in told) waiting?.reject(new Error(told.error));
    else waiting?.resolve(told.result);
  }

  #abandon(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
