/** What has become of the requests that bear a token: kept, and told to whoever follows it. */

/** `begin`: its head is here · `executed`: its effect has happened · `finish`: the kernel has the last byte of its answer. */
export interface Step {
  readonly step: 'begin' | 'executed' | 'finish';
  readonly token: string;
}

/** Older steps are forgotten so that a long run does not fill the memory. */
const MAX_STEPS = 100_000;

export class History {
  readonly #steps: Step[] = [];
  readonly #followers = new Set<(step: Step) => void>();

  note(step: Step): void {
    this.#steps.push(step);
    if (this.#steps.length > MAX_STEPS) this.#steps.shift();
    for (const tell of this.#followers) tell(step);
  }

  /** Tells all that is kept, then each step as it happens, in the same turn. @returns what ends that */
  follow(tell: (step: Step) => void): () => void {
    for (const step of this.#steps) tell(step);
    this.#followers.add(tell);
    return () => this.#followers.delete(tell);
  }
}
