// Who may speak for a transaction: the latest attempt at it, from a back end's latest epoch (P12). Whoever was fenced, and does
// not know it, is refused, and what it had open is cut.

import type { Caller } from '@resplice/protocol';
import type { Log } from '@resplice/service-kit';
import type { ClaimRecord } from './outcomes.ts';
import type { AuxiliaryTally } from './tally.ts';

/** One connection from a back end. */
export interface Speaker {
  readonly transaction: string;
  /** The back end's name: where the connection came from tells it. */
  readonly backend: string;
  readonly caller: Caller;
  /**
   * Ends it without a word: whoever was taken over does not know what becomes of its transaction, and would take any answer for its
   * outcome.
   */
  cut(): void;
}

/** Transactions that were taken over; more than a tier moves in the time that a frozen back end may sleep. */
const MAX_ATTEMPTS = 100_000;

export class Claims {
  readonly #tally: AuxiliaryTally;
  readonly #record: (claim: ClaimRecord) => void;
  readonly #log: Log;
  /** Of transactions that were taken over. */
  readonly #attempts = new Map<string, number>();
  readonly #epochs = new Map<string, number>();
  readonly #speakers = new Map<string, Set<Speaker>>();

  /** @param record called for what must be known after a restart */
  constructor(tally: AuxiliaryTally, record: (claim: ClaimRecord) => void, log: Log) {
    this.#tally = tally;
    this.#record = record;
    this.#log = log;
  }

  /** What a daemon before us knew. */
  restore(claim: ClaimRecord): void {
    if (claim.kind === 'attempt') this.#raise(claim.transaction, claim.attempt);
    else this.#epochs.set(claim.backend, Math.max(claim.epoch, this.#epochs.get(claim.backend) ?? 0));
  }

  /** Admits, and cuts whom this one follows; or cuts this one, and returns false. */
  admit(speaker: Speaker): boolean {
    const { transaction, backend, caller } = speaker;
    if (!this.isAllowed(speaker)) return false;
    if (caller.epoch > (this.#epochs.get(backend) ?? 0)) {
      const isRestart = this.#epochs.has(backend);
      this.#epochs.set(backend, caller.epoch);
      this.#record({ kind: 'epoch', backend, epoch: caller.epoch });
      if (isRestart) {
        const all = [...this.#speakers.values()].flatMap(each => [...each]);
        this.#cut(
          all.filter(each => each.backend === backend),
          'its back end has started anew since',
        );
      }
    }
    if (caller.attempt > (this.#attempts.get(transaction) ?? 0)) {
      this.#tally.takeovers++;
      this.#raise(transaction, caller.attempt);
      this.#record({ kind: 'attempt', transaction, attempt: caller.attempt });
      this.#cut(this.#speakers.get(transaction) ?? [], 'another back end goes on');
    }
    const mine = this.#speakers.get(transaction);
    if (mine === undefined) this.#speakers.set(transaction, new Set([speaker]));
    else mine.add(speaker);
    return true;
  }

  /** Whether this one may speak (still); if not, it is cut. */
  isAllowed(speaker: Speaker): boolean {
    const { transaction, backend, caller } = speaker;
    if (caller.epoch < (this.#epochs.get(backend) ?? 0)) {
      this.#tally.refusedEpochs++;
      this.end(speaker, 'its back end has started anew since');
      return false;
    }
    if (caller.attempt < (this.#attempts.get(transaction) ?? 0)) {
      this.#tally.refusedAttempts++;
      this.end(speaker, 'another back end goes on');
      return false;
    }
    return true;
  }

  /** Cuts it, and says why where somebody may look. */
  end(speaker: Speaker, why: string): void {
    const { transaction, backend, caller } = speaker;
    const { epoch, attempt, step } = caller;
    this.#log.info({ transaction, backend, epoch, attempt, step, why }, 'cut a back end off');
    speaker.cut();
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

  #cut(speakers: Iterable<Speaker>, why: string): void {
    for (const each of speakers) {
      this.#tally.cut++;
      this.end(each, why);
    }
  }
}
