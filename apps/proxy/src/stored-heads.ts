import {
  type ClientOffer,
  type ConnectionId,
  type ControlRecord,
  connectionKey,
  type Entry,
  type Knowledge,
  MAX_SEGMENT_BYTES,
  tupleKey,
} from '@resplice/protocol';
import type { Gates } from './gate.ts';
import { Budget } from './held-bytes.ts';
import type { PeerChannel } from './replication.ts';
import type { Tally } from './tally.ts';

/** Bytes of unfinished heads that are kept here, for peers and for this proxy. */
const MAX_BYTES = 64 << 20;

/** Parts of one head that are on their way to a peer at once: hundreds of long heads at a time must not flood it. */
const PARTS_AT_ONCE = 8;

/** The beginning of a request whose client has been told that it arrived, or is about to be. */
export interface StoredHead {
  readonly id: ConnectionId;
  readonly p0: number;
  readonly offer: ClientOffer;
  /** The proxy that sets the connection up. */
  holder: number;
  bytes: Uint8Array;
  /** performance.now() of the last change. */
  touchedMs: number;
}

/** How far the set-up of a connection is here. `collecting`: nothing was acknowledged yet. */
export type SetupStage = 'none' | 'collecting' | 'further';

export interface StoredHeadsOptions {
  self: number;
  /** Ids of the live peers. */
  livePeers: () => readonly number[];
  isLive: (peer: number) => boolean;
  channel: PeerChannel;
  gates: Gates;
  findEntry: (id: ConnectionId) => Entry | undefined;
  stage: (id: ConnectionId) => SetupStage;
  /** Gives a set-up that collects up in favour of a peer. */
  yieldTo: (id: ConnectionId, peer: number) => void;
  tally: Tally;
}

/**
 * Heads in pieces (ARCHITECTURE §2.2). A client that sends small pieces waits for an acknowledgement of the first; but what is
 * acknowledged is gone from the client, so every live proxy keeps it first. Whoever keeps it can finish the set-up.
 */
export class StoredHeads {
  readonly #options: StoredHeadsOptions;
  readonly #budget = new Budget(MAX_BYTES);
  /** By tuple: a client has one connection from a port at a time. */
  readonly #heads = new Map<string, StoredHead>();
  /** Of the heads that this proxy holds: how many bytes each peer has. */
  readonly #spread = new Map<string, Map<number, number>>();

  constructor(options: StoredHeadsOptions) {
    this.#options = options;
  }

  /** Bytes kept. */
  get bytes(): number {
    return this.#budget.used;
  }

  get size(): number {
    return this.#heads.size;
  }

  find(tuple: Omit<ConnectionId, 'isn'>): StoredHead | undefined {
    return this.#heads.get(tupleKey(tuple));
  }

  /** Whether this proxy is to finish the set-up of that tuple's connection. */
  isHeld(tuple: Omit<ConnectionId, 'isn'>): boolean {
    return this.find(tuple)?.holder === this.#options.self;
  }

  /**
   * Has every live peer keep the bytes.
   *
   * @param bytes all that arrived so far, from the request's first byte on; copied
   * @returns `none`: kept everywhere. Else what stands against it; `held` by this proxy itself means: try again
   */
  async keep(id: ConnectionId, p0: number, offer: ClientOffer, bytes: Uint8Array): Promise<Knowledge> {
    const { self, livePeers, tally } = this.#options;
    const again: Knowledge = { kind: 'held', holder: self };
    if (!this.#put(id, p0, offer, self, bytes)) {
      tally.headsRefused++;
      return again;
    }
    const head = this.find(id)!;
    const peers = livePeers();
    if (peers.length === 0) tally.headsAlone++;
    const key = connectionKey(id);
    const spread = this.#spread.get(key) ?? new Map<number, number>();
    this.#spread.set(key, spread);
    const answers = await Promise.all(peers.map(peer => this.#tell(peer, head, spread)));
    let obstacle: Knowledge | undefined;
    for (const [i, answer] of answers.entries()) {
      if (answer?.kind === 'entry') return answer;
      // A peer that is silent and yet alive may be setting it up; one that is dead does not matter.
      if (answer ? answer.kind === 'held' : this.#options.isLive(peers[i]!)) obstacle ??= answer ?? again;
    }
    return obstacle ?? { kind: 'none' };
  }

  /** What was stored is of no use any more, here or anywhere. */
  drop(id: ConnectionId): void {
    if (!this.#remove(id)) return;
    if (!this.#spread.delete(connectionKey(id))) return;
    for (const peer of this.#options.livePeers())
      this.#options.channel.sendLater(peer, { type: 'drop', connection: id });
  }

  /** A record from a peer. */
  receive(peer: number, record: ControlRecord & { type: 'store' | 'drop' }): void {
    if (record.type === 'drop') {
      // Not if another proxy has it meanwhile, this one perhaps.
      if (this.find(record.connection)?.holder === peer) this.#remove(record.connection);
      return;
    }
    const knowledge = this.#store(peer, record.connection, record.part);
    this.#options.channel.send(peer, { type: 'answer', id: record.id, knowledge });
  }

  /**
   * A peer has died, or leaves what it was setting up to others, as this proxy may: its heads are the next live proxy's, by ids, which
   * all proxies agree upon.
   *
   * @returns those that are this proxy's now
   */
  passOn(peer: number): StoredHead[] {
    const { self, livePeers } = this.#options;
    for (const spread of this.#spread.values()) spread.delete(peer);
    const live = [self, ...livePeers()].filter(id => id !== peer).sort((a, b) => a - b);
    const heir = live.find(id => id > peer) ?? live[0]!;
    const inherited: StoredHead[] = [];
    for (const head of this.#heads.values()) {
      if (head.holder !== peer) continue;
      head.holder = heir;
      if (peer === self) this.#spread.delete(connectionKey(head.id));
      if (heir !== self) continue;
      this.#spread.set(connectionKey(head.id), new Map());
      inherited.push(head);
    }
    return inherited;
  }

  /** Forgets all: the peers have gone on without this proxy. */
  clear(): void {
    for (const { id } of this.#heads.values()) this.#remove(id);
    this.#spread.clear();
  }

  /** Forgets heads that nobody has touched since. */
  expire(beforeMs: number): void {
    for (const head of this.#heads.values()) {
      if (head.touchedMs >= beforeMs) continue;
      this.#remove(head.id);
      this.#spread.delete(connectionKey(head.id));
    }
  }

  /** Sends a peer what it lacks; `none` only if it has kept all of it. */
  async #tell(peer: number, head: StoredHead, spread: Map<number, number>): Promise<Knowledge | undefined> {
    const { bytes, id: connection, p0, offer } = head;
    for (let offset = spread.get(peer) ?? 0; ; ) {
      const asked: Promise<Knowledge | undefined>[] = [];
      do {
        const payload = bytes.subarray(offset, offset + MAX_SEGMENT_BYTES);
        const part = { p0, offer, offset, payload };
        asked.push(this.#options.channel.ask(peer, id => ({ type: 'store', id, connection, part })));
        offset += payload.length;
      } while (offset < bytes.length && asked.length < PARTS_AT_ONCE);
      const answers = await Promise.all(asked);
      const bad = answers.findIndex(answer => answer?.kind !== 'none');
      if (bad >= 0) {
        if (answers[bad]) spread.delete(peer); // it lacks the beginning
        return answers[bad];
      }
      spread.set(peer, offset);
      if (offset >= bytes.length) return answers[0];
    }
  }

  #store(peer: number, id: ConnectionId, part: (ControlRecord & { type: 'store' })['part']): Knowledge {
    const { self, isLive, gates, findEntry, stage, yieldTo, tally } = this.#options;
    const entry = findEntry(id);
    if (entry?.isn === id.isn) return { kind: 'entry', entry };
    const holder = gates.holder(id);
    if (holder !== undefined && holder !== peer && holder !== self) return { kind: 'held', holder };
    const own = stage(id);
    // Both collect: the lower id goes on. Not if its client has been told already that bytes have arrived here.
    if (own === 'further' || (own === 'collecting' && self < peer)) return { kind: 'held', holder: self };
    if (own === 'collecting') yieldTo(id, peer);
    const head = this.find(id);
    if (head?.id.isn === id.isn && head.holder !== peer && (head.holder === self || isLive(head.holder)))
      return { kind: 'held', holder: head.holder };
    const before = head?.id.isn === id.isn ? head.bytes : new Uint8Array(0);
    // An answer of ours was lost, or it was told to a predecessor: from the beginning.
    const lacking: Knowledge = { kind: 'held', holder: peer };
    if (part.offset > before.length) return lacking;
    const length = Math.max(before.length, part.offset + part.payload.length);
    const bytes = new Uint8Array(length);
    bytes.set(part.payload, part.offset);
    bytes.set(before); // the byte that came first stays
    if (this.#put(id, part.p0, part.offer, peer, bytes)) return { kind: 'none' };
    tally.headsRefused++;
    return lacking;
  }

  #put(id: ConnectionId, p0: number, offer: ClientOffer, holder: number, bytes: Uint8Array): boolean {
    const before = this.find(id)?.bytes.length ?? 0;
    if (!this.#budget.take(bytes.length - before)) return false;
    const head = { id, p0, offer, holder, bytes: bytes.slice(), touchedMs: performance.now() };
    this.#heads.set(tupleKey(id), head);
    return true;
  }

  #remove(id: ConnectionId): boolean {
    const head = this.find(id);
    if (head?.id.isn !== id.isn) return false;
    this.#budget.give(head.bytes.length);
    return this.#heads.delete(tupleKey(id));
  }
}
