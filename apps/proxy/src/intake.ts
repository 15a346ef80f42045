import { setTimeout as delay } from 'node:timers/promises';
import { add, sub, sumWords, TcpFlags } from '@resplice/dataplane';
import { type ClientOffer, type ConnectionId, type Entry, tupleKey } from '@resplice/protocol';
import { Allowance } from './allowance.ts';
import { Insistence } from './insistence.ts';
import { CookieKind, type SegmentEvent } from './layout.generated.ts';
import { type ClientSegment, Setup, type SetupDeps } from './setup.ts';
import type { SetupStage, StoredHead } from './stored-heads.ts';

/** An event that waited so long in the ring is of a time that is over: the client has sent again, perhaps to another proxy. */
const STALE_MS = 1000;
/** What all peers have just denied is not asked again for so long. */
const UNKNOWN_MS = 250;
/** A head that a peer has stored here is dropped by it; were that lost, it goes so long after the head's own time is over, ms. */
const FORSAKEN_MS = 60_000;
/** Connections being set up at once; beyond, clients try again. */
const MAX_SETUPS = 65_536;
/** Splices being asked for at once, and tuples remembered as unknown; likewise. */
const MAX_PULLS = 4096;
const MAX_PULLED_SEGMENTS = 64;
const MAX_UNKNOWN = 65_536;
/** Bytes that wait for such answers; beyond, they are left to the clients. */
const MAX_PULLED_BYTES = 16_777_216;
/** Strays that are told so, a second and at once. */
const RESETS_PER_SECOND = 1000;
const RESET_BURST = 500;
const FINISHED_POLL_MS = 10;

/** Whether an event is older than is acted on: this proxy was frozen. */
export function isStale(timeNs: bigint): boolean {
  return Number(process.hrtime.bigint() - timeNs) / 1e6 > STALE_MS;
}

/** Whether a splice was made while a segment can have been on its way through the ring. */
function isRecent(entry: Entry): boolean {
  return Math.abs(Date.now() - entry.createdMs) < 2 * STALE_MS;
}

/** A mid-stream segment whose splice is being asked for, with those that followed it. */
interface Pull {
  segments: ClientSegment[];
  /** Those of them that the kernel half has counted as strays. */
  counted: number;
}

/** The segments that the kernel half hands up: each finds its set-up, its splice, or the peer that has it. */
export class Intake {
  readonly #deps: SetupDeps;
  readonly #setups = new Map<string, Setup>();
  readonly #pulls = new Map<string, Pull>();
  /** Tuples that no peer knew, with performance.now() when that is to be forgotten. */
  readonly #unknown = new Map<string, number>();
  readonly #insistence = new Insistence();
  readonly #resets = new Allowance(RESETS_PER_SECOND, RESET_BURST);
  #pulledBytes = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(deps: SetupDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => this.#expire(performance.now()), 1000);
  }

  get setups(): number {
    return this.#setups.size;
  }

  /** Resolves when nothing is being set up. */
  async finished(): Promise<void> {
    while (this.#setups.size > 0) await delay(FINISHED_POLL_MS, undefined, { ref: false });
  }

  /** This proxy no longer serves: its peers set up what it was setting up, from the clients' retransmissions. */
  drop(): void {
    for (const setup of this.#setups.values()) setup.forsake();
    this.#pulls.clear();
  }

  /** @param payload the captured bytes; valid only during the call */
  receive(event: SegmentEvent, payload: Uint8Array): void {
    const { heads, replication, self, serves, table, tally } = this.#deps;
    const now = performance.now();
    if (!serves()) {
      tally.leftToPeers++;
      return;
    }
    if (isStale(event.timeNs)) {
      tally.staleEvents++;
      return;
    }
    if (event.checked && sumWords(payload, 0, payload.length, event.sum) !== 0xffff) {
      tally.damaged++;
      return;
    }
    const { client, vip, clientPort, vipPort } = event.connection;
    const tuple = { client, vip, clientPort, vipPort };
    const key = tupleKey(tuple);
    const segment: ClientSegment = {
      sequence: event.sequence,
      acknowledgement: event.acknowledgement,
      window: event.window,
      fin: (event.flags & TcpFlags.FIN) !== 0,
      payload,
    };
    const isFirst = event.cookie === CookieKind.COOKIE_VALID;
    let setup = this.#setups.get(key);
    const p0 = sub(event.acknowledgement, 1);
    // With another cookie it is another connection: the client uses its port again.
    if (setup && isFirst && sub(event.sequence, 1) !== setup.id.isn && p0 !== setup.p0) {
      setup.abandon();
      setup = undefined;
    }
    if (setup) {
      setup.add(segment, now);
      return;
    }
    // Installed while the segment was in the ring, or by a peer since. An older entry may be a former connection's, which this
    // proxy has not heard the end of: then the peers are asked.
    const entry = table.find(tuple);
    const isThis = entry && (isFirst ? entry.isn === sub(event.sequence, 1) : isRecent(entry));
    if (isThis) {
      this.#relay(entry, segment);
      return;
    }
    const stored = heads.find(tuple);
    if (stored && (!isFirst || stored.p0 === p0)) {
      if (stored.holder === self) this.#resume(stored)?.add(segment, now);
      else replication.handOver(stored.holder, tuple, segment);
      return;
    }
    if (isFirst) {
      const { mss, windowScale, sackPermitted } = event;
      const offer = { mss, windowScale, sackPermitted: sackPermitted !== 0 };
      const id = { ...tuple, isn: sub(event.sequence, 1) };
      this.#begin(id, p0, offer)?.add(segment, now);
    } else this.#pull(key, tuple, segment, now, event.cookie === CookieKind.COOKIE_NONE);
  }

  /** Whether a connection of that tuple is being set up here. */
  isSettingUp(tuple: Omit<ConnectionId, 'isn'>): boolean {
    return this.#setups.has(tupleKey(tuple)) || this.#deps.heads.isHeld(tuple);
  }

  /** How far the set-up of a connection is here. */
  stage(id: ConnectionId): SetupStage {
    const setup = this.#setups.get(tupleKey(id));
    if (setup?.id.isn === id.isn) return setup.stage;
    return this.#deps.heads.isHeld(id) ? 'further' : 'none';
  }

  yieldTo(id: ConnectionId, peer: number): void {
    this.#setups.get(tupleKey(id))?.yieldTo(peer);
  }

  /** Heads of a proxy that has died, which are this one's now: bound by now, or to be finished here. */
  inherit(heads: readonly StoredHead[]): void {
    const { replayer, table, tally } = this.#deps;
    for (const head of heads) {
      const entry = table.find(head.id);
      if (entry?.isn === head.id.isn) replayer.takeOver(entry, head.offer, head.bytes);
      else {
        tally.headsInherited++;
        this.#resume(head);
      }
    }
  }

  /** A segment that reached a peer, which knows that the connection is set up here. */
  receiveFromPeer(tuple: Omit<ConnectionId, 'isn'>, segment: ClientSegment): void {
    const { heads, table } = this.#deps;
    const entry = table.find(tuple);
    const stored = heads.find(tuple);
    let setup = this.#setups.get(tupleKey(tuple));
    if (!setup && stored && heads.isHeld(tuple) && entry?.isn !== stored.id.isn) setup = this.#resume(stored);
    if (setup) {
      setup.add(segment, performance.now());
      return;
    }
    // Bound meanwhile; if it came to nothing, the client sends again.
    if (entry) this.#relay(entry, segment);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #begin(id: ConnectionId, p0: number, offer: ClientOffer, inherited?: Uint8Array): Setup | undefined {
    if (this.#setups.size >= MAX_SETUPS) return undefined;
    const key = tupleKey(id);
    const onEnd = (ended: Setup) => {
      if (this.#setups.get(key) === ended) this.#setups.delete(key);
    };
    const setup = new Setup(id, p0, offer, this.#deps, onEnd, inherited);
    this.#setups.set(key, setup);
    return setup;
  }

  /** Goes on where a set-up was left, by a proxy that has died or by this one. */
  #resume({ id, p0, offer, bytes }: StoredHead): Setup | undefined {
    return this.#begin(id, p0, offer, bytes);
  }

  /**
   * In the middle of a connection that this proxy has never seen, or not for long: a peer died, and its clients come here.
   *
   * @param isLater no segment of a first flight: one whose first segment was lost must wait for it, not be reset
   */
  #pull(
    key: string,
    tuple: Omit<ConnectionId, 'isn'>,
    segment: ClientSegment,
    now: number,
    isLater: boolean,
  ): void {
    const { tally } = this.#deps;
    const bytes = segment.payload.length;
    if (this.#pulledBytes + bytes > MAX_PULLED_BYTES) {
      tally.strays++;
      return;
    }
    const copy = { ...segment, payload: segment.payload.slice() };
    const pull = this.#pulls.get(key);
    if (pull) {
      if (pull.segments.length >= MAX_PULLED_SEGMENTS) return;
      pull.segments.push(copy);
      if (isLater) pull.counted++;
      this.#pulledBytes += bytes;
      return;
    }
    if ((this.#unknown.get(key) ?? 0) > now || this.#pulls.size >= MAX_PULLS) {
      tally.strays++;
      return;
    }
    const begun: Pull = { segments: [copy], counted: isLater ? 1 : 0 };
    this.#pulls.set(key, begun);
    this.#pulledBytes += bytes;
    void this.#ask(key, tuple, begun, isLater);
  }

  async #ask(key: string, tuple: Omit<ConnectionId, 'isn'>, pull: Pull, isLater: boolean) {
    const { missesPeer, replication, strays, table, tally } = this.#deps;
    const { segments } = pull;
    const known = await replication.pull(tuple);
    for (const { payload } of segments) this.#pulledBytes -= payload.length;
    // Out meanwhile: what is known here may be a former connection's.
    if (this.#pulls.get(key) !== pull) return;
    this.#pulls.delete(key);
    if (known?.kind === 'held') {
      for (const held of segments) replication.handOver(known.holder, tuple, held);
      return;
    }
    // This proxy's own, or one that a peer has published while the others were asked.
    const own = table.find(tuple);
    const told = known?.kind === 'entry' && known.entry.isn !== own?.isn ? known.entry : undefined;
    const entry = told && (!own || told.createdMs > own.createdMs) ? told : own;
    if (entry) {
      if (entry === told) {
        table.adopt(entry);
        strays.giveBack(tuple.client, pull.counted);
      }
      for (const held of segments) this.#relay(entry, held);
      return;
    }
    tally.strays++;
    // A peer that was silent may know it.
    if (!known || missesPeer()) return;
    const now = performance.now();
    if (this.#unknown.size < MAX_UNKNOWN) this.#unknown.set(key, now + UNKNOWN_MS);
    if (isLater || this.#insistence.insists(key, segments[0]!.sequence, now))
      this.#refuse(tuple, segments.at(-1)!);
  }

  /** The connection is forgotten everywhere: its client is told, or it would wait for minutes. */
  #refuse(tuple: Omit<ConnectionId, 'isn'>, segment: ClientSegment): void {
    const { tally, wire } = this.#deps;
    if (!this.#resets.take()) {
      tally.strayResetsLimited++;
      return;
    }
    tally.strayResets++;
    wire.refuse(tuple, segment);
  }

  /** What the kernel half would have done, had the splice been there in time. */
  #relay(entry: Entry, segment: ClientSegment): void {
    this.#deps.tally.relayed++;
    this.#deps.relay.forward(entry, segment);
    this.#deps.table.resume(entry, add(segment.sequence, segment.payload.length), segment.fin);
  }

  #expire(now: number): void {
    const { heads, limits, replication } = this.#deps;
    for (const setup of this.#setups.values()) setup.expire(now);
    heads.expire(now - limits.headTimeoutMs - FORSAKEN_MS);
    replication.gates.expire();
    this.#insistence.expire(now);
    for (const [key, until] of this.#unknown) if (until <= now) this.#unknown.delete(key);
  }
}
