/**
 * Who has done what: the sites' own word on each request, heard in the back ends' places, where no cut is felt. What a process had
 * told is remembered when it is killed.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { waitFor } from '@resplice/e2e/fixtures/wait.ts';
import type { Order, Told } from './witness-worker.ts';

type StepName = 'begin' | 'executed' | 'finish';

interface Step {
  readonly step: StepName;
  readonly token: string;
}

/** A site that was killed starts again, ms; on a busy machine that takes its time, as healing does. */
const SIGN_OF_LIFE_MS = 30_000;

class BackendWitness {
  readonly backend: string;
  readonly #worker: Worker;
  /** What each process of the site's has told, the present one's last. */
  readonly #processes = new Map<string, Step[]>();
  #present: Step[] | undefined;
  #asking = false;
  #calls = 0;
  #lastWord = 'not asked yet';
  readonly #patienceMs: number;

  constructor(backend: string, namespace: string, port: number, patienceMs: number) {
    this.backend = backend;
    this.#patienceMs = patienceMs;
    this.#worker = new Worker(new URL('./witness-worker.ts', import.meta.url), {
      workerData: { namespace, port },
    });
    this.#worker.on('message', (told: Told) => this.#hear(told));
    this.#worker.on('error', error => this.#hear({ ended: String(error) }));
  }

  async start(): Promise<void> {
    await once(this.#worker, 'online');
    await this.settled();
  }

  #hear(told: Told): void {
    if ('ended' in told) {
      this.#lastWord = told.ended;
      this.#present = undefined;
      this.#asking = false;
      return;
    }
    const line = JSON.parse(told.line) as Step | { process: string };
    if ('step' in line) {
      this.#present?.push(line);
      return;
    }
    // It tells all it knows from the beginning.
    this.#present = [];
    this.#processes.set(line.process, this.#present);
  }

  #order(order: Order): void {
    this.#worker.postMessage(order);
  }

  /** Returns when everything that has happened so far has been heard. @throws Error when that takes too long */
  async settled(): Promise<void> {
    const token = `sign-of-life-${++this.#calls}`;
    let called: Step[] | undefined;
    await waitFor(`${this.backend}'s site to give a sign of life`, this.#patienceMs, () => {
      if (!this.#present) {
        if (!this.#asking) this.#order({ follow: true });
        this.#asking = true;
        throw new Error(this.#lastWord);
      }
      if (called !== this.#present) this.#order({ call: token });
      called = this.#present;
      return this.#present.some(each => each.token === token && each.step === 'finish');
    });
  }

  /** What the present process has told of a request. */
  stepsOf(token: string): StepName[] {
    return (this.#present ?? []).filter(each => each.token === token).map(({ step }) => step);
  }

  executions(token: string): number {
    return [...this.#processes.values()]
      .flat()
      .filter(each => each.token === token && each.step === 'executed').length;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

export class Witness {
  readonly #all: readonly BackendWitness[];

  /**
   * @param backends where each can be heard: its name, the path of its network namespace, its site's port
   * @param patienceMs how long a site may give no sign of life
   */
  static async start(
    backends: readonly { readonly name: string; readonly namespace: string; readonly port: number }[],
    patienceMs = SIGN_OF_LIFE_MS,
  ): Promise<Witness> {
    const all = backends.map(
      ({ name, namespace, port }) => new BackendWitness(name, namespace, port, patienceMs),
    );
    const witness = new Witness(all);
    try {
      await Promise.all(all.map(each => each.start()));
    } catch (error) {
      await witness.stop();
      throw error;
    }
    return witness;
  }

  private constructor(all: readonly BackendWitness[]) {
    this.#all = all;
  }

  /** The back end that has begun this request and not finished it. */
  holderOf(token: string): string | undefined {
    const times = (steps: StepName[], step: StepName) => steps.filter(each => each === step).length;
    return this.#all.find(each => {
      const steps = each.stepsOf(token);
      return times(steps, 'begin') > times(steps, 'finish');
    })?.backend;
  }

  /** What the present processes have told of a request. */
  stepsOf(token: string): StepName[] {
    return this.#all.flatMap(each => each.stepsOf(token));
  }

  /** Waits until a back end has come that far with a request. @returns its name; undefined if none has by the deadline */
  async seen(token: string, step: StepName, deadlineMs: number): Promise<string | undefined> {
    const find = () => this.#all.find(each => each.stepsOf(token).includes(step))?.backend;
    // Who waits in vain is told so; that is not an error yet.
    return waitFor(`${step} of ${token}`, deadlineMs, find).catch(() => undefined);
  }

  /** Over all back ends and all that ever ran there. */
  executions(token: string): number {
    return this.#all.reduce((sum, each) => sum + each.executions(token), 0);
  }

  /** Returns when everything that has happened so far has been heard, by processes that were started since too. */
  async settled(): Promise<void> {
    await Promise.all(this.#all.map(each => each.settled()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map(each => each.stop()));
  }
}
