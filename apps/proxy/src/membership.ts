import { setTimeout as delay } from 'node:timers/promises';
import type { ControlRecord, Knowledge } from '@resplice/protocol';
import type { Log } from '@resplice/service-kit';
import type { Tally } from './tally.ts';

/** Between two attempts to come in again, in ms. */
const COME_IN_MS = 20;
/** A peer that has not got done with telling by then is asked once more, in ms. */
const CATCH_UP_MS = 10_000;
/** Proxies' clocks differ by less (see sealed datagrams), and a death is noticed late. */
const CLOCK_MARGIN_MS = 5000;

interface Peer {
  /** `lost`: silent, but nobody has confirmed that it can do nothing any more. */
  state: 'present' | 'lost' | 'absent';
  /** Of its newest answer to a probe; 0: never heard. */
  epoch: number;
  /** performance.now() when it was last lost; undefined: never. */
  lostAtMs: number | undefined;
  /** Wall clock, ms: what was made or closed since it need not know. Undefined: it knows all. */
  missedSinceMs: number | undefined;
  /** The generation up to which it has told us everything. */
  told: number | undefined;
  /** The generation for which it wants to be told everything. */
  wanted: number;
  /** performance.now() when it was last asked to, and for which generation. */
  asked: { generation: number; atMs: number } | undefined;
  /** The number with which it last left its set-ups to others. */
  left: number;
}

export interface MembershipEvents {
  /** This proxy is in (again), or has found itself fenced: then it must drop all that it was setting up. */
  standing(isIn: boolean): void;
  /** A peer is no longer to be counted on: it has dropped all that it was setting up, and questions to it are in vain. */
  gone(peer: number): void;
  /** A peer that is counted on has dropped all that it was setting up: it has found itself fenced, or leaves it to others. */
  dropped(peer: number): void;
  /** Tells a peer what was made or closed since; resolves to whether it has heard all of it. */
  tell(peer: number, sinceMs: number, generation: number): Promise<boolean>;
}

export interface MembershipOptions {
  peers: readonly number[];
  /** Who arbitrates, if anybody does. */
  logger: number | undefined;
  channel: {
    send(peer: number, record: ControlRecord): void;
    ask(peer: number, makeRecord: (id: number) => ControlRecord): Promise<Knowledge | undefined>;
  };
  events: MembershipEvents;
  tally: Tally;
  log: Log;
}

/**
 * Who of the proxies may set connections up (P3.1, ARCHITECTURE §5). A peer that fell silent may yet be alive, and go on: so it
 * is counted on until the logger has fenced it. A proxy that finds itself fenced is out: it sets nothing up until its peers have
 * told it what it missed, and the logger has let it in again. So has one that starts.
 */
export class Membership {
  readonly #peers: ReadonlyMap<number, Peer>;
  readonly #logger: number | undefined;
  readonly #channel: MembershipOptions['channel'];
  readonly #events: MembershipEvents;
  readonly #tally: Tally;
  readonly #log: Log;
  #loggerIsLive = false;
  #isIn = false;
  /** Of the fence that we are behind; 0: none. */
  #generation = 0;
  #isComingIn = false;
  /** How often it has left its set-ups to others. */
  #left = 0;
  #closed = false;

  constructor(options: MembershipOptions) {
    this.#peers = new Map(
      options.peers.map(id => [
        id,
        {
          state: 'absent',
          epoch: 0,
          lostAtMs: undefined,
          missedSinceMs: 0,
          told: undefined,
          wanted: 0,
          asked: undefined,
          left: 0,
        },
      ]),
    );
    this.#logger = options.logger;
    this.#channel = options.channel;
    this.#events = options.events;
    this.#tally = options.tally;
    this.#log = options.log;
  }

  /** Whether this proxy may set connections up. */
  get isIn(): boolean {
    return this.#isIn;
  }

  get hearsLogger(): boolean {
    return this.#loggerIsLive;
  }

  /** Whether nothing may be decided without that peer. */
  isCounted(peer: number): boolean {
    return (this.#peers.get(peer)?.state ?? 'absent') !== 'absent';
  }

  /** Whether a peer has fallen silent within the last so many ms: it may know connections that nobody here does. */
  missesPeer(withinMs: number): boolean {
    const since = performance.now() - withinMs;
    return [...this.#peers.values()].some(({ state, lostAtMs }) => state !== 'present' && lostAtMs! > since);
  }

  /** For people: why this proxy is not in. */
  get obstacle(): string {
    const untold = [...this.#peers].filter(([, peer]) => peer.state === 'present' && !this.#hasTold(peer));
    return untold.length > 0
      ? `proxies ${untold.map(([id]) => id).join(', ')} have not told everything yet`
      : 'the logger has not let it in yet: not every proxy that is alive has told what it knows';
  }

  /** What liveness says of a peer. */
  peerChanged(id: number, live: boolean, epoch: number): void {
    const peer = this.#peers.get(id);
    if (!peer) return;
    const restarted = peer.epoch !== 0 && peer.epoch !== epoch;
    peer.epoch = epoch;
    // What it asked and was asked it has forgotten, and what it knew.
    if (restarted) {
      this.#events.gone(id);
      peer.told = undefined;
      peer.asked = undefined;
      peer.wanted = 0;
      peer.left = 0;
      peer.missedSinceMs = 0;
    }
    if (live) {
      if (peer.state === 'present' && !restarted) return;
      peer.state = 'present';
      this.#tell(id, peer);
    } else if (peer.state === 'present') {
      peer.state = 'lost';
      peer.lostAtMs = performance.now();
      peer.told = undefined;
      peer.asked = undefined;
      peer.missedSinceMs ??= Date.now() - CLOCK_MARGIN_MS;
      if (this.#isIn) void this.#goOnWithout(id, peer, epoch);
      else this.#leave(id, peer);
    }
  }

  /** The logger was heard, or not; it says with each answer to a probe whether fences have changed. */
  loggerChanged(live: boolean): void {
    this.#loggerIsLive = live;
    if (live) void this.check();
  }

  /** Takes what peers say about this; false: it is about something else. */
  receive(from: number, record: ControlRecord): boolean {
    if (record.type !== 'synced' && record.type !== 'catchUp' && record.type !== 'leave') return false;
    const peer = this.#peers.get(from);
    // Whoever does not count on it must not let it believe that it knows everything.
    if (peer?.state !== 'present') return true;
    this.#channel.send(from, { type: 'answer', id: record.id, knowledge: { kind: 'none' } });
    if (record.type === 'synced') {
      // What was said earlier may arrive later.
      if (peer.told === undefined || record.generation === this.#generation) peer.told = record.generation;
      return true;
    }
    if (record.type === 'leave') {
      if (record.generation > peer.left) this.#events.dropped(from);
      peer.left = Math.max(peer.left, record.generation);
      return true;
    }
    // Another peer may have had it fenced, or this one, and it was back before the logger's answer. Once for each fence: a question
    // that is repeated may arrive when it is in again, with heads of its own.
    if (record.generation > peer.wanted) this.#events.dropped(from);
    peer.wanted = record.generation;
    this.#tell(from, peer);
    return true;
  }

  /** Asks the logger how we stand: peers may have gone on without us. Resolves when that is known, or cannot be. */
  async check(): Promise<void> {
    if (!this.#isIn) return;
    const standing = await this.#ask(id => ({ type: 'standing', id }));
    if (standing?.fenced) this.#goOut(standing.generation);
  }

  /** This proxy has dropped all that it was setting up: the peers are to go on with it. */
  leave(): void {
    const generation = ++this.#left;
    for (const [id, { state }] of this.#peers)
      if (state === 'present')
        void this.#channel.ask(id, question => ({ type: 'leave', id: question, generation }));
  }

  /** To be called once who is alive is known: comes in as soon as that is safe. */
  start(): void {
    void this.#comeIn();
  }

  close(): void {
    this.#closed = true;
  }

  async #goOnWithout(id: number, peer: Peer, epoch: number): Promise<void> {
    const standing = await this.#ask(question => ({ type: 'fence', id: question, proxy: id, epoch }));
    if (standing?.fenced) {
      this.#goOut(standing.generation);
      return;
    }
    // It is back, and will find itself fenced if it was, and ask what it missed.
    if (peer.state !== 'lost' || peer.epoch !== epoch) return;
    // A logger that is dead fences nobody; were we to wait for it, nobody would be served.
    if (standing) this.#tally.fenced++;
    else this.#tally.fencedByNobody++;
    this.#leave(id, peer);
  }

  #leave(id: number, peer: Peer): void {
    peer.state = 'absent';
    this.#events.gone(id);
  }

  #goOut(generation: number): void {
    this.#generation = generation;
    if (!this.#isIn) return;
    this.#isIn = false;
    this.#tally.foundFenced++;
    this.#log.warn({ generation }, 'fenced: peers have gone on without this proxy');
    this.#events.standing(false);
    for (const [id, peer] of this.#peers) {
      peer.told = undefined;
      peer.asked = undefined;
      if (peer.state === 'lost') this.#leave(id, peer);
    }
    void this.#comeIn();
  }

  async #comeIn(): Promise<void> {
    if (this.#isComingIn) return;
    this.#isComingIn = true;
    for (; !this.#closed; await delay(COME_IN_MS)) {
      const present = [...this.#peers].filter(([, peer]) => peer.state === 'present');
      for (const [id, peer] of present) this.#askToTell(id, peer);
      if (!present.every(([, peer]) => this.#hasTold(peer))) continue;
      const told = present.map(([id]) => id);
      const generation = this.#generation;
      const standing = await this.#ask(id => ({ type: 'join', id, generation, told }));
      // Not alone before the logger had its say, unless it is dead.
      if (standing?.fenced) this.#generation = standing.generation;
      if (standing?.fenced || (!standing && this.#loggerIsLive)) continue;
      if (!standing && this.#logger !== undefined) this.#tally.joinedUnasked++;
      break;
    }
    this.#isComingIn = false;
    if (this.#closed) return;
    this.#generation = 0;
    this.#isIn = true;
    this.#log.info({}, 'in: this proxy sets connections up');
    this.#events.standing(true);
    // Fenced again while the answer was on its way: that was said before we cared.
    void this.check();
  }

  #hasTold(peer: Peer): boolean {
    return peer.told === this.#generation;
  }

  #askToTell(id: number, peer: Peer): void {
    const generation = this.#generation;
    const now = performance.now();
    if (this.#hasTold(peer)) return;
    if (peer.asked?.generation === generation && now - peer.asked.atMs < CATCH_UP_MS) return;
    const asked = { generation, atMs: now };
    peer.asked = asked;
    void this.#channel
      .ask(id, question => ({ type: 'catchUp', id: question, generation }))
      .then(answer => {
        // It does not count on us yet.
        if (!answer && peer.asked === asked) peer.asked = undefined;
      });
  }

  #tell(id: number, peer: Peer): void {
    const since = peer.missedSinceMs ?? Date.now() - CLOCK_MARGIN_MS;
    void this.#events.tell(id, since, peer.wanted).then(done => {
      if (done && peer.state === 'present') peer.missedSinceMs = undefined;
    });
  }

  async #ask(
    makeRecord: (id: number) => ControlRecord,
  ): Promise<Extract<Knowledge, { kind: 'standing' }> | undefined> {
    if (this.#logger === undefined || !this.#loggerIsLive) return undefined;
    const answer = await this.#channel.ask(this.#logger, makeRecord);
    return answer?.kind === 'standing' ? answer : undefined;
  }
}
