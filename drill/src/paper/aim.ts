/** Where in an action a fault falls: by what has been done, never by the clock; and whether it met whom it was meant for. */
import { momentOf, now } from './clock.ts';
import type { PaperLab } from './lab.ts';
import type { Action } from './reference.ts';
import type { ClientKind, FaultName, Fired, Request } from './run.ts';
import type { Progress } from './visitor.ts';

export interface Point {
  readonly action: Action;
  readonly client: ClientKind;
  /** Requests that action 1 has for the sequential client. */
  readonly objects: number;
}

/** For a back end to have the request that is aimed at, ms: a slow link's round trip, and a line before it. */
const REACHED_MS = 10_000;

/**
 * Whether this is the moment. Action 1: half of the objects are there, and one is under way that the server has to work for; of a
 * browser, whose page has few: the page itself. Action 2: the letter has just been submitted.
 */
export function isPoint({ action, client, objects }: Point, { completed, slow, step }: Progress): boolean {
  if (action === 'action2') return step === 'send' && slow;
  return slow && (client === 'chromium' || completed >= objects / 2);
}

/** Times are the drill's clock's. */
interface Struck {
  readonly target: string;
  readonly aimedAt: number;
  readonly from: number;
  readonly at: number;
  readonly progress: Progress;
}

export class Aim {
  readonly #lab: PaperLab;
  readonly #fault: Exclude<FaultName, 'none'>;
  readonly #point: Point;
  #strike: Promise<Struck> | undefined;

  constructor(lab: PaperLab, fault: Exclude<FaultName, 'none'>, point: Point) {
    this.#lab = lab;
    this.#fault = fault;
    this.#point = point;
  }

  /** To be called for each request that is sent. */
  see(progress: Progress): void {
    if (this.#strike || !isPoint(this.#point, progress)) return;
    this.#strike = this.#make(progress);
    // Whoever asks for the result hears of it.
    this.#strike.catch(() => {});
  }

  async #make(progress: Progress): Promise<Struck> {
    const aimedAt = now();
    const isProxy = this.#fault.startsWith('proxy-');
    // A client that cannot tell its connection has one for sure when somebody has the request.
    const backend =
      isProxy && progress.local !== null
        ? undefined
        : await this.#lab.witness.seen(progress.token, 'begin', REACHED_MS);
    const target = isProxy ? await this.#lab.proxyOf(progress.local) : backend;
    if (target === undefined) throw new Error('nobody was seen to serve the request that was aimed at');
    const from = now();
    const at = momentOf(await this.#lab.strike(this.#fault, target));
    return { target, aimedAt, from, at, progress };
  }

  /** What became of it, or in words why it missed. Before the lab is healed. */
  async result(startedAt: number, requests: readonly Request[]): Promise<Fired | string> {
    if (!this.#strike) return 'the action was over before the point at which the fault was to fall';
    let struck: Struck;
    try {
      struck = await this.#strike;
    } catch (error) {
      return (error as Error).message;
    }
    const { target, at, progress } = struck;
    const notFired = await this.#lab.notFired(target);
    if (notFired !== null) return notFired;
    if (!hasMet(struck, requests))
      return `${target} had nothing of the action in its hands when the fault took effect`;
    const completed = requests.filter(each => each.status !== null && each.end <= at).length;
    return {
      target,
      at: at - startedAt,
      completed,
      of: requests.filter(each => each.status !== null).length,
      step: progress.step,
    };
  }
}

/** Whether something of the action was in the target's hands when the fault took effect. */
export function hasMet(
  { aimedAt, from, at }: Pick<Struck, 'aimedAt' | 'from' | 'at'>,
  requests: readonly Request[],
): boolean {
  // What breaks may be noticed before the fault is known to have taken effect.
  return requests.some(
    ({ start, end, status }) =>
      start <= aimedAt && (end >= at || (end >= from && (status === null || status >= 500))),
  );
}
