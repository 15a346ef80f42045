// What outlives a back end: records of transactions, and sessions, here and at the others (P8.1, P11.3, P11.5).

import type { JournalRecord, SessionChange } from '@resplice/kit-channel';
import type { KitConfig } from './config.ts';
import type { Counters } from './counters.ts';
import { Journal } from './journal.ts';
import { type Found, Peers } from './peers.ts';
import { Sessions } from './sessions.ts';

/** What the kit says; Fastify's logger will do. */
export interface KitLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Sessions that are over are looked for that often, milliseconds. */
const SWEEP_MS = 60_000;

export interface RecordsOptions {
  readonly config: KitConfig;
  readonly counters: Counters;
  readonly log: () => KitLog | undefined;
  /** Whether a transaction's record is on its way already. */
  readonly isRunning: (transaction: string) => boolean;
}

export class Records {
  readonly journal: Journal;
  readonly sessions = new Sessions();
  readonly peers: Peers;
  readonly #options: RecordsOptions;
  isDegraded = false;
  #isPlacing = false;
  /** Some record may have no keeper. */
  #isUnplaced = false;
  #sweptMs = performance.now();

  /** Joins the peers at once. */
  constructor(options: RecordsOptions) {
    this.#options = options;
    const { config, counters } = options;
    this.journal = new Journal(config.self, counters);
    this.peers = new Peers({
      config,
      session: id => this.sessions.get(id),
      onChange: (name, isUp) => this.#peerChanged(name, isUp),
      onPart: (changes, found) => this.#learn(changes, found),
    });
  }

  /** Keeps a record here and at the alternate. False: a later attempt is known elsewhere, which counts alone. */
  async keep(record: JournalRecord, body: Buffer): Promise<boolean> {
    const { counters } = this.#options;
    if (!this.journal.put(record, body)) return this.#superseded(record);
    const shipped = await this.peers.ship(record, body);
    if (shipped === 'refused') {
      // Nor may it be answered from here, should the connection come back.
      this.journal.withdraw(record);
      return this.#superseded(record);
    }
    if (this.isOvertaken(record.transaction, record.attempt)) return this.#superseded(record);
    if (shipped === 'none') this.#noteDegraded();
    else {
      counters.journalled++;
      const kept = this.journal.get(record.transaction);
      if (kept?.record === record) kept.where = shipped.where;
    }
    // Behind the record: whoever runs the request again must find the session as it was.
    this.#apply(record.sessions);
    if (record.sessions.length > 0) {
      counters.sessionChanges += record.sessions.length;
      await this.peers.tell(record.sessions, shipped === 'none' ? undefined : shipped.where);
    }
    return true;
  }

  /** Whether a later attempt is known here. */
  isOvertaken(transaction: string, attempt: number): boolean {
    return this.journal.attemptOf(transaction) > attempt;
  }

  /** Takes what another one gives us to keep. False: a later attempt is known. */
  take(record: JournalRecord, body: Buffer): boolean {
    if (!this.journal.put(record, body)) return false;
    this.#options.counters.kept++;
    this.#apply(record.sessions);
    return true;
  }

  /** A record that another kit may have: views of who is whose alternate need not agree. */
  async search(transaction: string, attempt: number): Promise<Found | undefined> {
    this.#options.counters.lookups++;
    const found = await this.peers.lookup(transaction, attempt);
    if (found !== undefined) this.#apply(found.record.sessions);
    return found;
  }

  /** Changes sessions here and at all others that are up. Never throws. */
  async tell(changes: readonly SessionChange[]): Promise<void> {
    this.#apply(changes);
    if (changes.length === 0) return;
    this.#options.counters.sessionChanges += changes.length;
    await this.peers.tell(changes);
  }

  /** Another one's changes. */
  hear(changes: readonly SessionChange[]): void {
    this.#apply(changes);
  }

  /** Now and then: forgets what is old, finds new places, tells what was missed. */
  sweep(): void {
    const now = performance.now();
    this.journal.sweep(now);
    if (now - this.#sweptMs > SWEEP_MS) {
      this.#sweptMs = now;
      this.sessions.sweep(Date.now());
    }
    this.#tend();
  }

  #apply(changes: readonly SessionChange[]): void {
    for (const change of changes) this.sessions.apply(change);
  }

  #learn(changes: readonly SessionChange[], found: Found | undefined): void {
    this.#apply(changes);
    if (found === undefined) return;
    const known = this.journal.get(found.record.transaction)?.record.attempt ?? -1;
    if (found.record.attempt > known) this.journal.put(found.record, found.body);
  }

  #superseded({ transaction }: JournalRecord): boolean {
    this.#options.counters.superseded++;
    const text = 'kit: the transaction was taken over by another back end: no answer from here';
    this.#options.log()?.warn({ transaction }, text);
    return false;
  }

  #noteDegraded(): void {
    this.#options.counters.degraded++;
    this.#isUnplaced = true;
    if (this.isDegraded) return;
    this.isDegraded = true;
    this.#options.log()?.warn({}, 'kit: no other back end is up: answers leave without a record of them');
  }

  #peerChanged(name: string, isUp: boolean): void {
    this.#options.log()?.info({ peer: name }, isUp ? 'kit: a peer is up' : 'kit: a peer has gone');
    // What it had to keep is lost with it, for all we know.
    if (!isUp) for (const kept of this.journal.values()) if (kept.where === name) kept.where = undefined;
    this.#isUnplaced = true;
    this.#tend();
  }

  /** Beside each other: a record without a keeper does not wait until a peer that is slow has told all that it knows. */
  #tend(): void {
    void this.#placeAll();
    void this.peers.catchUp();
  }

  async #placeAll(): Promise<void> {
    if (this.#isPlacing || this.peers.alternate() === undefined) return;
    this.isDegraded = false;
    this.#isPlacing = true;
    try {
      while (this.#isUnplaced) {
        // Whoever goes meanwhile says so again.
        this.#isUnplaced = false;
        if (await this.#place()) continue;
        this.#isUnplaced = true;
        return;
      }
    } finally {
      this.#isPlacing = false;
    }
  }

  /** Finds a new place for records whose keeper has gone. False: nobody is there to keep them. */
  async #place(): Promise<boolean> {
    for (const kept of [...this.journal.values()]) {
      const { record, body } = kept;
      // Others' records are theirs to place, while they can.
      const isOurs = this.journal.isOwn(kept) || !this.peers.isUp(record.origin);
      if (kept.where !== undefined || !isOurs || this.#options.isRunning(record.transaction)) continue;
      const shipped = await this.peers.ship(record, body);
      if (shipped === 'none') return false;
      if (shipped === 'refused') {
        // A later attempt has its own record.
        this.journal.withdraw(record);
        continue;
      }
      this.#options.counters.reshipped++;
      kept.where = shipped.where;
    }
    return true;
  }
}
