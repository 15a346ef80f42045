import { add } from '@resplice/dataplane';
import {
  type ConnectionId,
  type ControlRecord,
  connectionKey,
  type Entry,
  type Knowledge,
  MAX_SEGMENT_BYTES,
  type SegmentRecord,
} from '@resplice/protocol';
import { Gates } from './gate.ts';
import type { Tally } from './tally.ts';

/** Entries told to a proxy that joins before its answers are waited for: more would overflow its socket. */
const SYNC_BATCH = 128;
/** Attempts to have such a batch answered. */
const SYNC_ATTEMPTS = 10;
/** A peer that is alive but does not answer for so many rounds of questions stops a set-up; the client tries again. */
const PUBLISH_ROUNDS = 20;

export type Claim =
  /** This proxy sets the connection up. */
  | { kind: 'granted' }
  /** It is set up already. */
  | { kind: 'entry'; entry: Entry }
  /** Another proxy is at it, or does not answer and is not known to be dead: try again. */
  | { kind: 'held' };

/** The splices that this proxy has, as replication sees them. */
export interface EntryStore {
  /** The splice of the tuple, whatever its ISN. */
  find(connection: Omit<ConnectionId, 'isn'>): Entry | undefined;
  /** Takes a splice over from a peer. */
  adopt(entry: Entry): void;
  /** The connection has another back end now. */
  move(entry: Entry): void;
  /** The client has closed its half. */
  closing(connection: ConnectionId): void;
  forget(connection: ConnectionId): void;
  /** What was made or closed since then (wall clock, ms), in steps of at most `size`. */
  batches(size: number, sinceMs: number): Iterable<readonly { entry: Entry; closed: boolean }[]>;
}

/** How a record reaches a peer. */
export interface PeerChannel {
  send(peer: number, record: ControlRecord): void;
  /** With what goes to that peer next, soon at the latest. */
  sendLater(peer: number, record: ControlRecord): void;
  ask(peer: number, makeRecord: (id: number) => ControlRecord): Promise<Knowledge | undefined>;
}

/**
 * Replicated splice (P3.1): a splice is kept by every live peer before its first request byte reaches a back end; on a miss,
 * nobody begins anew before every live peer has said that it knows nothing.
 */
export class Replication {
  readonly #self: number;
  readonly #ring: readonly number[];
  readonly #logger: number | undefined;
  readonly #hearsLogger: () => boolean;
  readonly #isLive: (peer: number) => boolean;
  readonly #isIn: () => boolean;
  readonly #channel: PeerChannel;
  readonly #store: EntryStore;
  readonly #isSettingUp: (tuple: Omit<ConnectionId, 'isn'>) => boolean;
  readonly #onSegment: (tuple: Omit<ConnectionId, 'isn'>, segment: SegmentRecord) => void;
  readonly #tally: Tally;
  readonly gates: Gates;
  /** Claims of ours that peers have not answered yet. */
  readonly #pending = new Set<string>();
  /** Peers that are being told what they missed. */
  readonly #telling = new Map<number, symbol>();

  constructor(options: {
    self: number;
    peers: readonly number[];
    /** Who moves connections to other back ends, and knows those that pass it. */
    logger?: number | undefined;
    hearsLogger?: () => boolean;
    /** Whether a peer is to be counted on: it lives, or nobody has made sure that it does not. */
    isLive: (peer: number) => boolean;
    /** Whether this proxy may set connections up. */
    isIn: () => boolean;
    channel: PeerChannel;
    store: EntryStore;
    /** Whether this proxy collects or binds a connection of that tuple. */
    isSettingUp: (tuple: Omit<ConnectionId, 'isn'>) => boolean;
    /** A segment that reached a peer, for a connection that this proxy sets up. */
    onSegment: (tuple: Omit<ConnectionId, 'isn'>, segment: SegmentRecord) => void;
    tally: Tally;
  }) {
    this.#self = options.self;
    this.#logger = options.logger;
    this.#hearsLogger = options.hearsLogger ?? (() => false);
    this.#isLive = options.isLive;
    this.#isIn = options.isIn;
    this.#channel = options.channel;
    this.#store = options.store;
    this.#isSettingUp = options.isSettingUp;
    this.#onSegment = options.onSegment;
    this.#tally = options.tally;
    this.gates = new Gates(options.self, options.isLive);
    // The ring as this proxy sees it: those behind it, then those before it.
    const sorted = [...options.peers].sort((a, b) => a - b);
    this.#ring = [...sorted.filter(id => id > this.#self), ...sorted.filter(id => id < this.#self)];
  }

  /** Asks to set a connection up. After `granted`, `publish` or `release` must follow. */
  async claim(connection: ConnectionId): Promise<Claim> {
    if (this.gates.claim(connection, this.#self) !== this.#self) return this.#held();
    const key = connectionKey(connection);
    this.#pending.add(key);
    const peers = this.livePeers();
    const answers = await Promise.all(
      peers.map(peer => this.#channel.ask(peer, id => ({ type: 'ask', id, claim: true, connection }))),
    );
    const yielded = !this.#pending.delete(key);
    const known = answers.find(answer => answer?.kind === 'entry');
    if (known?.kind === 'entry') {
      this.release(connection);
      return { kind: 'entry', entry: known.entry };
    }
    // A peer that is silent and yet alive may be the one that is setting it up.
    const refused = answers.some((answer, i) => (answer ? answer.kind === 'held' : this.#isLive(peers[i]!)));
    if (yielded || refused || !this.#isIn()) {
      this.release(connection);
      return this.#held();
    }
    return { kind: 'granted' };
  }

  /**
   * Makes a new splice known; resolves when every peer that is counted on has it: whichever of them are left when others die or
   * are fenced, they know it.
   *
   * @returns undefined if it is kept; else what stands against it, and it must not be used
   */
  async publish(entry: Entry): Promise<Knowledge | undefined> {
    const told = new Set<number>();
    let kept = false;
    for (let round = 1; ; round++) {
      // Fenced meanwhile: a peer may have begun the same connection.
      if (!this.#isIn()) return { kind: 'held', holder: this.#self };
      const left = this.livePeers().filter(peer => !told.has(peer));
      if (left.length === 0) break;
      if (round > PUBLISH_ROUNDS) {
        this.release(entry);
        return { kind: 'held', holder: left[0]! };
      }
      const answers = await Promise.all(
        left.map(peer => this.#channel.ask(peer, id => ({ type: 'publish', id, entry }))),
      );
      for (const [i, answer] of answers.entries()) {
        if (!answer) continue; // gone by now, or to be asked again
        const isKept = answer.kind === 'entry' && sameSplice(answer.entry, entry);
        if (!isKept && answer.kind !== 'none') {
          this.#tally.publishConflicts++;
          this.release(entry);
          return answer;
        }
        // 'none': it has it, but is out.
        kept ||= isKept;
        told.add(left[i]!);
      }
    }
    if (!kept) this.#tally.setAloneNoPeer++;
    this.gates.release(entry, this.#self);
    return undefined;
  }

  /** Gives a claim up. */
  release(connection: ConnectionId): void {
    this.gates.release(connection, this.#self);
    this.announce({ type: 'release', connection });
  }

  /**
   * Asks every live peer, and the logger, for a splice that this proxy lacks: it, or who is setting it up, or nobody knows.
   *
   * @returns undefined when nobody said that he knows, but one did not answer
   */
  async pull(connection: Omit<ConnectionId, 'isn'>): Promise<Knowledge | undefined> {
    const peers = this.livePeers();
    if (this.#logger !== undefined && this.#hearsLogger()) peers.push(this.#logger);
    const answers = await Promise.all(
      peers.map(peer =>
        this.#channel.ask(peer, id => ({
          type: 'ask',
          id,
          claim: false,
          connection: { ...connection, isn: 0 },
        })),
      ),
    );
    let newest: Knowledge | undefined;
    for (const answer of answers) {
      if (answer?.kind !== 'entry') continue;
      if (newest?.kind !== 'entry' || answer.entry.createdMs > newest.entry.createdMs) newest = answer;
    }
    const best = newest ?? answers.find(answer => answer?.kind === 'held');
    return best ?? (answers.includes(undefined) ? undefined : { kind: 'none' });
  }

  /**
   * Tells a peer what it can have missed: it was started, or dead for this proxy, which then told it nothing. Else the next
   * death would find nobody with a copy. A newer call for the same peer ends an older one.
   *
   * @param sinceMs wall clock; what was made and closed before, the peer knows. 0: it knows nothing
   * @param generation comes back to the peer in `synced`: what it asked for
   * @returns whether the peer has heard all of it
   */
  async tell(peer: number, sinceMs: number, generation: number): Promise<boolean> {
    const course = Symbol('tell');
    this.#telling.set(peer, course);
    for (const batch of this.#store.batches(SYNC_BATCH, sinceMs)) {
      let left = batch;
      for (let attempt = 0; left.length > 0; attempt++) {
        if (attempt === SYNC_ATTEMPTS || this.#telling.get(peer) !== course) return false;
        const answers = await Promise.all(
          left.map(({ entry }) => this.#channel.ask(peer, id => ({ type: 'publish', id, entry }))),
        );
        left = left.filter((_, i) => !answers[i]);
      }
      for (const { entry, closed } of batch) {
        if (closed) this.#channel.send(peer, { type: 'closing', connection: entry });
      }
    }
    for (let attempt = 0; attempt < SYNC_ATTEMPTS && this.#telling.get(peer) === course; attempt++) {
      if (await this.#channel.ask(peer, id => ({ type: 'synced', id, generation }))) return true;
    }
    return false;
  }

  /** A peer has died, or was restarted: it has forgotten what it asked and was asked. */
  peerDied(peer: number): void {
    this.gates.releaseAll(peer);
    this.#telling.delete(peer);
  }

  /** This proxy is out: others set up what it was setting up. */
  dropClaims(): void {
    this.gates.releaseAll(this.#self);
    this.#pending.clear();
  }

  /** Hands a client's segment to the proxy that is setting its connection up. */
  handOver(holder: number, tuple: Omit<ConnectionId, 'isn'>, segment: SegmentRecord): void {
    const connection = { ...tuple, isn: 0 };
    let offset = 0;
    do {
      const payload = segment.payload.subarray(offset, offset + MAX_SEGMENT_BYTES);
      const last = offset + payload.length === segment.payload.length;
      const sequence = add(segment.sequence, offset);
      const part = { ...segment, sequence, payload, fin: last && segment.fin };
      this.#channel.send(holder, { type: 'segment', connection, segment: part });
      offset += payload.length;
    } while (offset < segment.payload.length);
  }

  /** Tells every live peer. */
  announce(record: ControlRecord): void {
    for (const peer of this.livePeers()) this.#channel.send(peer, record);
  }

  /** The same where nobody waits for it: a datagram for each connection that ends would cost more than its entry. */
  mention(record: ControlRecord): void {
    for (const peer of this.livePeers()) this.#channel.sendLater(peer, record);
  }

  /** A record from a peer. */
  receive(peer: number, record: ControlRecord): void {
    switch (record.type) {
      case 'ask':
        this.#channel.send(peer, {
          type: 'answer',
          id: record.id,
          knowledge: this.#answer(peer, record.connection, record.claim),
        });
        break;
      case 'publish': {
        const kept = this.#keep(peer, record.entry);
        // Out, we may be dead for others, which would set this connection up once more: the maker must not rely on us.
        const knowledge: Knowledge = this.#isIn() ? kept : { kind: 'none' };
        this.#channel.send(peer, { type: 'answer', id: record.id, knowledge });
        break;
      }
      case 'segment':
        this.#onSegment(record.connection, record.segment);
        break;
      case 'release':
        this.gates.release(record.connection, peer);
        break;
      case 'closing':
        this.#store.closing(record.connection);
        break;
      case 'forget':
        this.#store.forget(record.connection);
        break;
      default:
        break; // the channel's, or about membership
    }
  }

  #answer(peer: number, connection: ConnectionId, claim: boolean): Knowledge {
    const entry = this.#store.find(connection);
    if (entry && (!claim || entry.isn === connection.isn)) return { kind: 'entry', entry };
    if (!claim)
      return this.#isSettingUp(connection) ? { kind: 'held', holder: this.#self } : { kind: 'none' };
    const holder = this.gates.claim(connection, peer);
    if (holder === peer) return { kind: 'none' };
    // Two proxies have asked each other at once: the lower id goes on, or both would wait for ever.
    if (holder === this.#self && peer < this.#self && this.#pending.delete(connectionKey(connection))) {
      this.#tally.gateYielded++;
      this.gates.release(connection, this.#self);
      this.gates.claim(connection, peer);
      return { kind: 'none' };
    }
    return { kind: 'held', holder };
  }

  #keep(peer: number, entry: Entry): Knowledge {
    const known = this.#store.find(entry);
    if (known && known.isn === entry.isn && this.#isMove(known, entry)) {
      this.#store.move(entry);
      return { kind: 'entry', entry };
    }
    if (known && known.isn === entry.isn && !sameSplice(known, entry)) return { kind: 'entry', entry: known };
    const holder = this.gates.holder(entry);
    if (holder !== undefined && holder !== peer) return { kind: 'held', holder };
    // A datagram that was overtaken must not bring a port's former connection back.
    if (known && known.isn !== entry.isn && known.createdMs > entry.createdMs) {
      return { kind: 'entry', entry: known };
    }
    this.gates.release(entry, peer);
    if (!known || known.isn !== entry.isn) this.#store.adopt(entry);
    return { kind: 'entry', entry };
  }

  /** Whether the logger has moved the connection since: then its word counts, whoever brings it. */
  #isMove(known: Entry, entry: Entry): boolean {
    if (entry.owner !== this.#logger) return false;
    return known.owner !== this.#logger || entry.createdMs > known.createdMs;
  }

  #held(): Claim {
    this.#tally.gateHeld++;
    return { kind: 'held' };
  }

  /** Live peers, the keeper of this proxy's entries first. */
  livePeers(): number[] {
    return this.#ring.filter(this.#isLive);
  }
}

/** Whether two entries mean the same binding; who made it and when does not matter to packets. */
export function sameSplice(a: Entry, b: Entry): boolean {
  return a.isn === b.isn && a.p0 === b.p0 && a.delta === b.delta && a.backend === b.backend;
}
