/** The storm's side of the crowd's thread: how far it is, and what its people have met. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { CrowdCommand, CrowdNews, CrowdOrder, SendOutcome } from './crowd-worker.ts';

/** A letter whose author was told something else than that it is sent. */
export interface BrokenSend {
  readonly number: number;
  readonly outcome: SendOutcome;
  readonly why: string;
}

type Waiting = { readonly reached: () => boolean; readonly resolve: () => void };

export class Crowd {
  readonly #worker: Worker;
  readonly #sends: number;
  readonly outcomes: Record<SendOutcome, number> = { sent: 0, sending: 0, broken: 0, 'logged out': 0 };
  readonly brokenSends: BrokenSend[] = [];
  /** Of pages that no letter depends on. */
  readonly brokenPages: string[] = [];
  /** How long letters took from the empty form to the page that says what became of them, ms. */
  readonly durations: number[] = [];
  /** Of letters whose form was posted, by number: addresses. */
  readonly authors = new Map<number, string>();
  readonly #underWay = new Set<number>();
  logOuts = 0;
  ended = 0;
  #ready = false;
  #done = false;
  #over: { readonly pages: number; readonly sessions: number } | undefined;
  #failure: Error | undefined;
  #waiting: Waiting[] = [];

  /** Returns when everybody is logged in. */
  static async start(order: CrowdOrder): Promise<Crowd> {
    const worker = new Worker(new URL('./crowd-worker.ts', import.meta.url), { workerData: order });
    const crowd = new Crowd(worker, order.sends);
    await once(worker, 'online');
    await crowd.#until(() => crowd.#ready);
    return crowd;
  }

  private constructor(worker: Worker, sends: number) {
    this.#worker = worker;
    this.#sends = sends;
    worker.on('message', (news: CrowdNews) => this.#hear(news));
    worker.on('error', error => this.#fail(error as Error));
    worker.on('exit', () => {
      if (!this.#over) this.#fail(new Error("the crowd's thread has ended"));
    });
  }

  /** Lets people begin, or go on. */
  go(): void {
    this.#command('go');
  }

  /** Lets people begin so many letters more; then they wait until they may go on. */
  rest(more: number): void {
    this.#command({ more });
  }

  #command(command: CrowdCommand): void {
    this.#worker.postMessage(command);
  }

  /** Returns when so many letters have been begun, or no more will be. */
  async untilBegun(count: number): Promise<void> {
    await this.#until(() => this.begun >= Math.min(count, this.#sends) || this.#done);
  }

  /** Returns when so many have an answer, or no more will. */
  async untilEnded(count: number): Promise<void> {
    await this.#until(() => this.ended >= Math.min(count, this.#sends) || this.#done);
  }

  /** Letters whose form was posted. */
  get begun(): number {
    return this.authors.size;
  }

  /** Letters that were posted and not answered yet. */
  get underWay(): number {
    return this.#underWay.size;
  }

  get isDone(): boolean {
    return this.#done;
  }

  async untilDone(): Promise<void> {
    await this.#until(() => this.#done);
  }

  /** Has everybody look whether he is still logged in. */
  async lastLook(): Promise<{ readonly pages: number; readonly sessions: number }> {
    this.#command('look');
    await this.#until(() => this.#over !== undefined);
    return this.#over!;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #hear(news: CrowdNews): void {
    if (news.type === 'ready') this.#ready = true;
    else if (news.type === 'begun') {
      this.authors.set(news.number, news.author);
      this.#underWay.add(news.number);
    } else if (news.type === 'done') this.#done = true;
    else if (news.type === 'over') this.#over = news;
    else if (news.type === 'broken') {
      this.brokenPages.push(news.why);
      if (news.loggedOut) this.logOuts++;
    } else {
      const { number, outcome, why, ms } = news;
      this.ended++;
      this.#underWay.delete(number);
      this.outcomes[outcome]++;
      this.durations.push(ms);
      if (why !== null) this.brokenSends.push({ number, outcome, why });
      if (outcome === 'logged out') this.logOuts++;
    }
    this.#look();
  }

  #look(): void {
    const ready = this.#waiting.filter(({ reached }) => reached());
    this.#waiting = this.#waiting.filter(each => !ready.includes(each));
    for (const { resolve } of ready) resolve();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  async #until(reached: () => boolean): Promise<void> {
    if (!reached() && !this.#failure) {
      await new Promise<void>(resolve => {
        this.#waiting.push({ reached, resolve });
      });
    }
    if (this.#failure) throw this.#failure;
  }
}
