// Records of transactions: our own until the client has the response, and those that others gave us to keep (P8.1, P11.5).

import { connectionName, type JournalRecord, type KitConnection } from '@resplice/kit-channel';
import type { Counters } from './counters.ts';

/** A client that is gone commits nothing; nobody comes back for a record after that, milliseconds. */
const KEEP_MS = 10 * 60_000;
/** All records together, bytes; beyond, the oldest go. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Transactions and connections of which a number is remembered. */
const MAX_REMEMBERED = 100_000;
/** What a record takes beside its body, bytes: about. */
const OVERHEAD = 1024;

export interface Kept {
  readonly record: JournalRecord;
  readonly body: Buffer;
  /** `performance.now()` */
  readonly at: number;
  /** Kit that has a copy; undefined: none has, as far as we know. */
  where: string | undefined;
}

export class Journal {
  readonly #self: string;
  readonly #counters: Counters;
  /** Oldest first. */
  readonly #kept = new Map<string, Kept>();
  readonly #attempts = new Map<string, number>();
  readonly #last = new Map<string, number>();
  #bytes = 0;

  constructor(self: string, counters: Counters) {
    this.#self = self;
    this.#counters = counters;
  }

  get(transaction: string): Kept | undefined {
    return this.#kept.get(transaction);
  }

  values(): IterableIterator<Kept> {
    return this.#kept.values();
  }

  /** Our own, or others'. */
  isOwn({ record }: Kept): boolean {
    return record.origin === this.#self;
  }

  /** The attempt that is known to be the latest; 0: it has never been taken over. */
  attemptOf(transaction: string): number {
    return this.#attempts.get(transaction) ?? 0;
  }

  /** Earlier attempts of the transaction are refused from now on. */
  noteAttempt(transaction: string, attempt: number): void {
    if (attempt <= this.attemptOf(transaction)) return;
    this.#attempts.delete(transaction);
    remember(this.#attempts, transaction, attempt);
  }

  /** Keeps a record. False: a later attempt is known, so it must not count. */
  put(record: JournalRecord, body: Buffer): boolean {
    const { transaction, attempt, connection, number } = record;
    if (attempt < this.attemptOf(transaction)) return false;
    this.noteAttempt(transaction, attempt);
    this.#drop(transaction);
    this.#kept.set(transaction, { record, body, at: performance.now(), where: undefined });
    this.#bytes += body.length + OVERHEAD;
    const name = connectionName(connection);
    const last = Math.max(number, this.#last.get(name) ?? 0);
    this.#last.delete(name);
    remember(this.#last, name, last);
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= MAX_BYTES || oldest === transaction) break;
      this.#drop(oldest);
      this.#counters.expired++;
    }
    return true;
  }

  /** Number of the last transaction of a connection of which a record was kept here; null: there was none. */
  lastOf(connection: KitConnection): number | null {
    return this.#last.get(connectionName(connection)) ?? null;
  }

  /** A record does not count after all. One that has taken its place stays. */
  withdraw(record: JournalRecord): void {
    if (this.#kept.get(record.transaction)?.record === record) this.#drop(record.transaction);
  }

  /** The client has these responses. */
  commit(transactions: readonly string[]): void {
    for (const transaction of transactions) if (this.#drop(transaction)) this.#counters.committed++;
  }

  /** @param now `performance.now()` */
  sweep(now: number): void {
    for (const [transaction, { at }] of this.#kept) {
      if (now - at < KEEP_MS) return;
      this.#drop(transaction);
      this.#counters.expired++;
    }
  }

  /** Records and bytes, ours and others'. */
  get sizes(): { own: number; held: number; bytes: number } {
    let own = 0;
    for (const kept of this.#kept.values()) if (this.isOwn(kept)) own++;
    return { own, held: this.#kept.size - own, bytes: this.#bytes };
  }

  #drop(transaction: string): boolean {
    const kept = this.#kept.get(transaction);
    if (kept === undefined) return false;
    this.#kept.delete(transaction);
    this.#bytes -= kept.body.length + OVERHEAD;
    return true;
  }
}

function remember(map: Map<string, number>, name: string, value: number): void {
  map.set(name, value);
  if (map.size <= MAX_REMEMBERED) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
