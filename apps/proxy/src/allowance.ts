/** A bound on how often something may be done: so many at once, and so many a second in the long run. */
export class Allowance {
  readonly #intervalMs: number;
  readonly #burst: number;
  readonly #now: () => number;
  /** When all that was taken will have been earned again, as `now` tells time. */
  #earnedMs = 0;

  constructor(perSecond: number, burst: number, now = () => performance.now()) {
    this.#intervalMs = 1000 / perSecond;
    this.#burst = burst;
    this.#now = now;
  }

  /** Takes one. False: there is none left. */
  take(): boolean {
    const now = this.#now();
    const from = Math.max(this.#earnedMs, now);
    if (from - now > (this.#burst - 1) * this.#intervalMs) return false;
    this.#earnedMs = from + this.#intervalMs;
    return true;
  }
}
