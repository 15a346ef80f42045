import { add, distance } from '@resplice/dataplane';
import type { ClientOffer, ConnectionId, Entry, Knowledge } from '@resplice/protocol';
import { type Backend, type Dialer, entryFrom, type Wire } from '@resplice/splice';
import { type AnswerStatus, renderAnswer } from './answers.ts';
import type { Breakpoints } from './breakpoints.ts';
import { type HeadVerdict, readHead } from './head.ts';
import { type Budget, HeldBytes } from './held-bytes.ts';
import type { Limits } from './limits.ts';
import { OwnAnswer } from './own-answer.ts';
import { offsetOf, Pieces } from './pieces.ts';
import type { Pool } from './pool.ts';
import type { Relay } from './relay.ts';
import type { Replayer } from './replayer.ts';
import type { Replication } from './replication.ts';
import type { Choice, Site } from './site.ts';
import type { SpliceTable } from './splice-table.ts';
import type { SetupStage, StoredHeads } from './stored-heads.ts';
import type { StrayAllowance } from './stray-allowance.ts';
import type { Tally } from './tally.ts';

/** While another proxy holds the gate, ask again after so many ms. */
const GATE_RETRY_MS = 10;
/** Then leave it to the client's next retransmission. */
const GATE_ATTEMPTS = 100;

/** Back ends that are up but do not answer a SYN are asked again for so long. */
const CONNECT_MS = 5000;
/** After an answer of the proxy's own, the client's last packets are expected for so long. */
const ANSWERED_MS = 10_000;

/** A segment of a client, as it came over the ring. */
export interface ClientSegment {
  sequence: number;
  acknowledgement: number;
  window: number;
  fin: boolean;
  payload: Uint8Array;
}

export interface SetupDeps {
  self: number;
  /** Whether this proxy takes connections up: it is in, and as well off as its peers. */
  serves: () => boolean;
  wire: Wire;
  dialer: Dialer;
  site: Site;
  replication: Replication;
  table: SpliceTable;
  relay: Relay;
  heads: StoredHeads;
  replayer: Replayer;
  /** Room for what all set-ups hold. */
  budget: Budget;
  strays: Pick<StrayAllowance, 'giveBack'>;
  /** Whether a peer died so lately that it may be alive elsewhere. */
  missesPeer(): boolean;
  breakpoints: Breakpoints;
  tally: Tally;
  limits: Limits;
}

/** Who may take the connection. */
interface Candidates {
  pool: Pool;
  session: string | undefined;
}

/**
 * One connection on its way from its first byte to its splice (P2.2, deferred binding). It is soft state: what the client was not
 * told has arrived it sends again, and what it was told every live proxy has. So if this proxy dies, another one finishes it.
 */
export class Setup {
  readonly id: ConnectionId;
  readonly p0: number;
  readonly #offer: ClientOffer;
  readonly #held: HeldBytes;
  readonly #pieces: Pieces;
  readonly #deps: SetupDeps;
  readonly #onEnd: (setup: Setup) => void;
  readonly #startedMs = performance.now();
  /** performance.now() of the client's last segment. */
  #touchedMs = this.#startedMs;
  #acknowledgement: number;
  #window = 0;
  #phase: 'head' | 'judging' | 'binding' | 'answered' | 'ended' = 'head';
  #method: string | undefined;
  #answer: OwnAnswer | undefined;

  /** @param inherited bytes that the client was told have arrived, by a proxy that has died since */
  constructor(
    id: ConnectionId,
    p0: number,
    offer: ClientOffer,
    deps: SetupDeps,
    onEnd: (setup: Setup) => void,
    inherited: Uint8Array = new Uint8Array(0),
  ) {
    this.id = id;
    this.p0 = p0;
    this.#offer = offer;
    this.#deps = deps;
    this.#onEnd = onEnd;
    this.#acknowledgement = add(p0, 1);
    const start = add(id.isn, 1);
    this.#held = new HeldBytes(start, deps.limits.headBytes, deps.budget);
    this.#held.add(start, inherited);
    this.#pieces = new Pieces(
      id,
      p0,
      offer,
      deps,
      () => this.#held.contiguous,
      inherited.length,
      obstacle => this.#giveWay(obstacle),
    );
  }

  get stage(): SetupStage {
    return this.#phase === 'head' && this.#pieces.acknowledged === 0 ? 'collecting' : 'further';
  }

  /** To be called now and then: ends what takes too long. */
  expire(nowMs: number): void {
    if (this.#phase === 'answered' && nowMs - this.#touchedMs > ANSWERED_MS) this.#end();
    if (this.#phase === 'head' && nowMs - this.#startedMs > this.#deps.limits.headTimeoutMs)
      void this.#timeOut();
  }

  /** Takes a segment in; binds as soon as the request's head is complete. */
  add(segment: ClientSegment, nowMs: number): void {
    this.#touchedMs = nowMs;
    if (!this.#hold(segment)) return;
    if (distance(segment.acknowledgement, this.#acknowledgement) >= 0) {
      this.#acknowledgement = segment.acknowledgement;
      this.#window = segment.window;
    }
    this.#answer?.sendAgain(segment, this.#clientEnd);
    if (this.#phase !== 'head') return;
    const final = this.#held.full ? 'full' : this.#held.finished ? 'finished' : undefined;
    const verdict = readHead(this.#held.contiguous, final);
    if (verdict.kind === 'complete') this.#method = verdict.head.method;
    const { site, tally } = this.#deps;
    // Before its head is complete: a client that is not admitted shall not have bytes held either.
    if (!site.admits(this.id)) {
      tally.notAdmitted++;
      this.#say(403, 'Clients from your network are not admitted here.');
      return;
    }
    if (verdict.kind === 'incomplete') {
      const end = offsetOf(segment.sequence, this.id) + segment.payload.length;
      this.#pieces.incomplete(end, segment.payload.length);
      return;
    }
    this.#pieces.stop();
    const choice = verdict.kind === 'complete' ? site.choose(this.id, verdict.head) : verdict;
    if (!(choice instanceof Promise)) {
      this.#follow(choice);
      return;
    }
    this.#phase = 'judging';
    void choice.then(late => {
      if (this.#phase === 'judging') this.#follow(late);
    });
  }

  #follow(choice: Choice | Extract<HeadVerdict, { kind: 'refused' }>): void {
    if (choice.kind === 'refused') {
      this.#say(choice.status, choice.reason, 'challenge' in choice ? choice.challenge : undefined);
      return;
    }
    this.#phase = 'binding';
    this.#deps.tally.setups++;
    void this.#bind(choice);
  }

  /** The client began anew from the same port. */
  abandon(): void {
    this.#give();
    if (this.#phase !== 'ended') this.#end();
  }

  /** This proxy leaves it to its peers, with what was stored. */
  forsake(): void {
    this.#give();
    this.leave();
  }

  /** A peer collects the same head, and goes on; it gets what has arrived here. */
  yieldTo(peer: number): void {
    this.#giveWay({ kind: 'held', holder: peer });
  }

  /** Gives the gate back at once, not only when the dial has ended: a peer may be waiting to begin. */
  #give(): void {
    if (this.#phase === 'binding') this.#deps.replication.release(this.id);
  }

  /** False if the segment is to be passed over. */
  #hold(segment: ClientSegment): boolean {
    const { tally } = this.#deps;
    const holding = this.#held.add(segment.sequence, segment.payload, segment.fin);
    if (holding === 'differs') tally.overlapsDiffer++;
    if (holding === 'full') tally.noRoom++;
    return holding === 'held';
  }

  get #ended(): boolean {
    return this.#phase === 'ended';
  }

  /** Waits for the gate. Undefined: this set-up is over, or the client is to try again. */
  async #claim(): Promise<'granted' | Entry | undefined> {
    const { replication, table } = this.#deps;
    for (let attempt = 0; attempt < GATE_ATTEMPTS; attempt++) {
      const claim = await replication.claim(this.id);
      if (this.#ended) {
        if (claim.kind === 'granted') replication.release(this.id);
        return undefined;
      }
      if (claim.kind === 'entry') return claim.entry;
      if (claim.kind === 'granted') return 'granted';
      await new Promise(resolve => setTimeout(resolve, GATE_RETRY_MS));
      // The holder may have published to us meanwhile.
      const entry = table.find(this.id);
      if (entry?.isn === this.id.isn) return entry;
    }
    this.leave();
    return undefined;
  }

  async #bind(candidates: Candidates): Promise<void> {
    const claim = await this.#claim();
    if (claim === 'granted') await this.#connect(candidates);
    else if (claim) this.#deliver(claim);
  }

  /** The head does not come to its end. Not for this proxy alone to say: the rest may have met another one. */
  async #timeOut(): Promise<void> {
    this.#phase = 'binding';
    this.#pieces.stop();
    const claim = await this.#claim();
    if (claim === 'granted') {
      this.#deps.replication.release(this.id);
      this.#deps.tally.headsTimedOut++;
      this.#say(408, 'The request did not arrive in time.');
    } else if (claim) this.#deliver(claim);
  }

  /** Holding the gate: finds a back end, makes the splice known, delivers. */
  async #connect({ pool, session }: Candidates): Promise<void> {
    const { dialer, replication, self, wire } = this.#deps;
    const deadline = performance.now() + CONNECT_MS;
    const tried = new Set<Backend>();
    const owed = this.#pieces.acknowledged;
    for (;;) {
      const backend = this.#ended ? undefined : pool.choose(tried, session);
      if (!backend) break;
      tried.add(backend);
      backend.active++; // at once, or a burst would all go to the same one
      const patient = !pool.hasMore(tried);
      const result = await dialer.dial(backend, this.id, this.p0, this.#offer, patient, owed);
      backend.active--;
      // Silence of one that is up is a full listen queue: it will come to an end, so ask again rather than refuse.
      if (result.kind === 'silent' && backend.up && performance.now() < deadline) tried.delete(backend);
      if (result.kind !== 'connected') continue;
      const entry = entryFrom(this.id, this.p0, result.s0, backend, self);
      this.#deps.breakpoints.pass('before-publish');
      // Not one request byte goes out before the peers know whereto: else one would choose again, and a POST would run twice.
      const obstacle = this.#ended ? { kind: 'none' as const } : await replication.publish(entry);
      if (!obstacle) {
        this.#deps.breakpoints.pass('before-delivery');
        this.#deps.tally.spliced++;
        this.#deliver(entry);
        return;
      }
      if (obstacle.kind === 'entry' && obstacle.entry.isn === this.id.isn) {
        // The same back end has the same socket for both of us: only another's is to be ended.
        if (obstacle.entry.backend !== backend.id) wire.reset(backend, this.id, add(this.id.isn, 1));
        this.#deliver(obstacle.entry);
        return;
      }
      replication.release(this.id);
      this.leave(); // the client's next retransmission finds out how it stands
      return;
    }
    replication.release(this.id);
    if (!this.#ended) this.#say(503, 'No server is available to take this request.');
  }

  #deliver(entry: Entry): void {
    const { relay, replayer, self, table } = this.#deps;
    table.install(entry, this.#clientEnd);
    relay.forward(entry, this.#segment);
    if (this.#held.finished) relay.closed(entry, 'us');
    const owed = this.#held.contiguous.subarray(0, this.#pieces.acknowledged);
    if (owed.length === 0) {
      this.#end();
      return;
    }
    // Stays stored until it has arrived.
    if (entry.owner === self) replayer.start(entry, this.#offer, owed);
    else replayer.takeOver(entry, this.#offer, owed);
    this.leave();
  }

  /** Answers in a back end's place, and stays for a while to say it again: the client's FIN is still to come. */
  #say(status: AnswerStatus, reason: string, challenge?: string): void {
    const { tally, wire } = this.#deps;
    this.#phase = 'answered';
    tally.answered++;
    const bytes = renderAnswer(status, reason, { method: this.#method, challenge });
    this.#answer = new OwnAnswer(wire, this.id, this.p0, bytes);
    this.#answer.send(this.#clientEnd);
  }

  /** Another proxy has the connection, or sets it up. */
  #giveWay(obstacle: Knowledge): void {
    if (this.#phase !== 'head') return;
    if (obstacle.kind === 'entry') {
      this.#deliver(obstacle.entry);
      return;
    }
    if (obstacle.kind === 'held') {
      this.#deps.replication.handOver(obstacle.holder, this.id, this.#segment);
    }
    this.#end();
  }

  /** Ends; of what was stored nothing is needed any more. */
  #end(): void {
    this.#deps.heads.drop(this.id);
    this.leave();
  }

  /** Ends here; what was stored stays, for whoever goes on. */
  leave(): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    this.#pieces.stop();
    this.#held.release();
    this.#onEnd(this);
  }

  /** All that was held, as one segment. */
  get #segment(): ClientSegment {
    return {
      sequence: add(this.id.isn, 1),
      acknowledgement: this.#acknowledgement,
      window: this.#window,
      payload: this.#held.contiguous,
      fin: this.#held.finished,
    };
  }

  /** Sequence number behind what the client has sent, its FIN included. */
  get #clientEnd(): number {
    return add(this.#held.end, this.#held.finished ? 1 : 0);
  }
}
