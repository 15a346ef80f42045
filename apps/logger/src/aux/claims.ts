// Who may speak for a transaction: the latest attempt at it, from a back end's latest epoch (P12). Whoever was fenced, and does
// not know it, is refused, and what it had open is cut.

import type { Caller } from '@resplice/protocol';
import type { ClaimRecord } from './outcomes.ts';
import type { AuxiliaryTally } from './tally.ts';

/** One connection from a back end. */
export interface Speaker {
  readonly transaction: string;
  /** The back end's name: where the connection came from tells it. */
  readonly backend: string;
  readonly caller: Caller;
  /** Ends it, with these words if its protocol has room for them. */
  cut(why: string): void;
}

/** Transactions that were taken over; more than a tier moves in the time that a frozen back end may sleep. */
const MAX_ATTEMPTS = 100_000;

export class Claims {
  readonly #tally: AuxiliaryTally;
  readonly #record: (claim: ClaimRecord) => void;
  /** Of transactions that were taken over. */
  readonly #attempts = new Map<string, number>();
  readonly #epochs = new Map<string, number>();
  readonly #speakers = new Map<string, Set<Speaker>>();

  /** @param record called for what must be known after a restart */
  constructor(tally: AuxiliaryTally, record: (claim: ClaimRecord) => void) {
    this.#tally = tally;
    this.#record = record;
  }

  /** What a daemon before us knew. */
  restore(claim: ClaimRecord): void {
    if (claim.kind === 'attempt') this.#raise(claim.transaction, claim.attempt);
    else this.#epochs.set(claim.backend, Math.max(claim.epoch, this.#epochs.get(claim.backend) ?? 0));
  }

  /** Admits, and cuts whom this one follows; or says why not. */
  admit(speaker: Speaker): string | undefined {
    const { transaction, backend, caller } = speaker;
    const why = this.objection(speaker);
    if (why !== undefined) return why;
    if (caller.epoch > (this.#epochs.get(backend) ?? 0)) {
      const isRestart = this.#epochs.has(backend);
      this.#epochs.set(backend, caller.epoch);
      this.#record({ kind: 'epoch', backend, epoch: caller.epoch });
      if (isRestart) this.#cut(each => each.backend === backend, 'your back end has started anew since');
    }
    if (caller.attempt > (this.#attempts.get(transaction) ?? 0)) {
      this.#tally.takeovers++;
      this.#raise(transaction, caller.attempt);
      this.#record({ kind: 'attempt', transaction, attempt: caller.attempt });
      for (const each of this.#speakers.get(transaction) ?? []) this.#end(each, 'another back end goes on');
    }
    const mine = this.#speakers.get(transaction);
    if (mine === undefined) this.#speakers.set(transaction, new Set([speaker]));
    else mine.add(speaker);
    return undefined;
  }

  /** Why this one may not speak (any more). */
  objection({ transaction, backend, caller }: Speaker): string | undefined {
    if (caller.epoch < (this.#epochs.get(backend) ?? 0)) {
      this.#tally.refusedEpochs++;
      return 'your back end has started anew since';
    }
    if (caller.attempt < (this.#attempts.get(transaction) ?? 0)) {
      this.#tally.refusedAttempts++;
      return 'another back end goes on';
    }
    return undefined;
  }

  /** Its connection is over. */
  leave(speaker: Speaker): void {
    const all = this.#speakers.get(speaker.transaction);
    all?.delete(speaker);
    if (all?.size === 0) this.#speakers.delete(speaker.transaction);
  }

  #raise(transaction: string, attempt: number): void {
    const known = this.#attempts.get(transaction) ?? 0;
    // Again at the end: the ones that were taken over first are forgotten first.
    this.#attempts.delete(transaction);
    this.#attempts.set(transaction, Math.max(known, attempt));
    if (this.#attempts.size <= MAX_ATTEMPTS) return;
    const { value: oldest } = this.#attempts.keys().next();
    if (oldest !== undefined) this.#attempts.delete(oldest);
  }

  #cut(whom: (speaker: Speaker) => boolean, why: string): void {
    for (const all of this.#speakers.values()) for (const each of all) if (whom(each)) this.#end(each, why);
  }

  #end(speaker: Speaker, why: string): void {
    this.#tally.cut++;
    speaker.cut(why);
  }
}
