// What this kit answers other kits and loggers (P11.3, P11.5, P12.1, P12.3): it keeps their records, and tells what it has.

import type { JournalRecord, RecoverAnswer, Reply, Request, SessionChange } from '@resplice/kit-channel';
import type { Counters } from './counters.ts';
import type { Found } from './peers.ts';
import type { Records } from './records.ts';

/** Sessions in one part of a resync. */
const PART = 500;

/** A transaction that is being run here, until its answer may leave. */
export interface Running {
  readonly over: Promise<void>;
  /** Grows when the transaction is given to us again: then this run is that attempt's. */
  attempt: number;
}

export interface AnswersOptions {
  /** This back end's name. */
  readonly self: string;
  readonly counters: Counters;
  readonly records: Records;
  /** By transaction. */
  readonly running: ReadonlyMap<string, Running>;
  /** Whether transactions can be run here. */
  readonly isReady: () => boolean;
  readonly status: () => Record<string, unknown>;
}

export class Answers {
  readonly #options: AnswersOptions;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  to(asked: Request, body: Buffer): Promise<Reply> | Reply | undefined | AsyncIterable<Reply> {
    const { records, status } = this.#options;
    switch (asked.type) {
      case 'journal': {
        const { record } = asked;
        if (this.#isOurs(record) || !records.take(record, body)) return { type: 'refused' };
        return { type: 'stored' };
      }
      case 'sessions':
        records.hear(asked.changes);
        return { type: 'stored' };
      case 'lookup': {
        records.journal.noteAttempt(asked.transaction, asked.attempt);
        const kept = records.journal.get(asked.transaction);
        return kept === undefined
          ? { type: 'none' }
          : { type: 'found', record: kept.record, body: kept.body };
      }
      case 'commit':
        records.journal.commit(asked.transactions);
        return undefined;
      case 'recover':
        return this.#recover(asked);
      case 'resync':
        return this.#everything();
      case 'status':
        return { type: 'status', status: status() };
    }
  }

  /** Whether we have run it, or are running it: what another one says of the same attempt, or an earlier one, is late. */
  #isOurs({ transaction, attempt }: JournalRecord): boolean {
    const { running, records } = this.#options;
    const mine = running.get(transaction);
    if (mine !== undefined) return mine.attempt >= attempt;
    const kept = records.journal.get(transaction);
    return kept !== undefined && records.journal.isOwn(kept) && kept.record.attempt >= attempt;
  }

  async #recover(asked: Request & { type: 'recover' }): Promise<RecoverAnswer> {
    const { counters, records, running, isReady } = this.#options;
    const { transaction, attempt, connection } = asked;
    counters.recovers++;
    // Fenced, and most likely dead: nobody shall wait for its answers.
    records.peers.doubt(asked.from);
    records.journal.noteAttempt(transaction, attempt);
    const mine = running.get(transaction);
    if (mine !== undefined) mine.attempt = Math.max(mine.attempt, attempt);
    const here = records.journal.get(transaction);
    let kept: Found | undefined = here;
    // One that is older than the last run is not that run's: there may be another.
    if (here === undefined || here.record.attempt + 1 < attempt) {
      const found = await records.search(transaction, attempt);
      const isLater = found !== undefined && found.record.attempt > (here?.record.attempt ?? -1);
      if (isLater) {
        kept = found;
        // At hand when the request comes; unless it was run here meanwhile.
        if (records.journal.get(transaction) === here) {
          records.journal.put({ ...found.record, attempt }, found.body);
        }
      }
    }
    const last = records.journal.lastOf(connection);
    return {
      type: 'recovered',
      stored: kept?.record.strategy ?? 'none',
      lastStored: last,
      // Session changes are applied as they come.
      lastApplied: last,
      runs: isReady(),
    };
  }

  async *#everything(): AsyncGenerator<Reply> {
    const { records } = this.#options;
    const now = Date.now();
    let part: SessionChange[] = [];
    for (const change of records.sessions.values()) {
      if (change.until <= now) continue;
      part.push(change);
      if (part.length < PART) continue;
      yield { type: 'part', sessions: part };
      part = [];
    }
    if (part.length > 0) yield { type: 'part', sessions: part };
    for (const { record, body } of [...records.journal.values()])
      yield { type: 'part', sessions: [], record, body };
    yield { type: 'synced' };
  }
}
