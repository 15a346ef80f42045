import { add, distance } from '@resplice/dataplane';
import type { ConnectionId, Entry } from '@resplice/protocol';
import { type AnswerStatus, renderAnswer } from './answers.ts';
import type { Backend } from './backends.ts';
import type { Breakpoints } from './breakpoints.ts';
import type { Dialer } from './dialer.ts';
import { readHead } from './head.ts';
import { HeldBytes } from './held-bytes.ts';
import type { Limits } from './limits.ts';
import type { Pool } from './pool.ts';
import type { Relay } from './relay.ts';
import type { Replication } from './replication.ts';
import type { Site } from './site.ts';
import type { SpliceTable } from './splice-table.ts';
import type { Tally } from './tally.ts';
import { type ClientOffer, entryFrom, type Wire } from './wire.ts';

/** While another proxy holds the gate, ask again after so many ms. */
const GATE_RETRY_MS = 10;
/** Then leave it to the client's next retransmission. */
const GATE_ATTEMPTS = 100;

/** Back ends that are up but do not answer a SYN are asked again for so long. */
const CONNECT_MS = 5000;
/** After an answer of the proxy's own, the client's last packets are expected for so long. */
const ANSWERED_MS = 10_000;
const NO_BYTES: Uint8Array = new Uint8Array(0);

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
  /** Says that a client's address (host order) does not send its strays for nothing. */
  vindicate(client: number): void;
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
 * One connection on its way from its first byte to its splice (P2.2, deferred binding). All of it is soft state: no byte has been
 * acknowledged, so if this proxy dies the client's retransmission begins it anew elsewhere.
 */
export class Setup {
  readonly id: ConnectionId;
  /** performance.now() of the client's last segment. */
  touchedMs = 0;
  readonly #p0: number;
  readonly #offer: ClientOffer;
  readonly #held: HeldBytes;
  readonly #deps: SetupDeps;
  readonly #onEnd: (setup: Setup) => void;
  #acknowledgement: number;
  #window = 0;
  #phase: 'head' | 'binding' | 'answered' | 'abandoned' = 'head';
  #method: string | undefined;
  #answer = NO_BYTES;

  constructor(
    id: ConnectionId,
    p0: number,
    offer: ClientOffer,
    deps: SetupDeps,
    onEnd: (setup: Setup) => void,
  ) {
    this.id = id;
    this.#p0 = p0;
    this.#offer = offer;
    this.#deps = deps;
    this.#onEnd = onEnd;
    this.#acknowledgement = add(p0, 1);
    this.#held = new HeldBytes(add(id.isn, 1), deps.limits.headBytes);
  }

  /** Whether nothing has come of it, or all has been said, and the client has been silent since. */
  isOver(nowMs: number): boolean {
    const idle = nowMs - this.touchedMs;
    // A head that makes no progress is dropped; the client's next segment would begin it anew.
    if (this.#phase === 'head') return idle > this.#deps.limits.headTimeoutMs;
    return this.#phase === 'answered' && idle > ANSWERED_MS;
  }

  /** Takes a segment in; binds as soon as the request's head is complete. */
  add(segment: ClientSegment, nowMs: number): void {
    this.touchedMs = nowMs;
    this.#held.add(segment.sequence, segment.payload, segment.fin);
    if (distance(segment.acknowledgement, this.#acknowledgement) >= 0) {
      this.#acknowledgement = segment.acknowledgement;
      this.#window = segment.window;
    }
    if (this.#phase === 'answered') this.#sayAgain(segment);
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
    if (verdict.kind === 'incomplete') return;
    const choice = verdict.kind === 'complete' ? site.choose(this.id, verdict.head) : verdict;
    if (choice.kind === 'refused') {
      this.#say(choice.status, choice.reason);
      return;
    }
    this.#phase = 'binding';
    tally.setups++;
    void this.#bind(choice);
  }

  /** The client began anew from the same port, or fell silent; or this proxy leaves it to its peers. */
  abandon(): void {
    // Not only when the dial has ended: a peer may be waiting to begin.
    if (this.#phase === 'binding') this.#deps.replication.release(this.id);
    this.#phase = 'abandoned';
    this.#onEnd(this);
  }

  get #abandoned(): boolean {
    return this.#phase === 'abandoned';
  }

  async #bind(candidates: Candidates): Promise<void> {
    const { replication } = this.#deps;
    for (let attempt = 0; attempt < GATE_ATTEMPTS; attempt++) {
      const claim = await replication.claim(this.id);
      if (this.#abandoned) {
        if (claim.kind === 'granted') replication.release(this.id);
        return;
      }
      if (claim.kind === 'entry') {
        this.#deliver(claim.entry);
        return;
      }
      if (claim.kind === 'granted') {
        await this.#connect(candidates);
        return;
      }
      await new Promise(resolve => setTimeout(resolve, GATE_RETRY_MS));
      // The holder may have published to us meanwhile.
      const entry = this.#deps.table.find(this.id);
      if (entry?.isn === this.id.isn) {
        this.#deliver(entry);
        return;
      }
    }
    this.#onEnd(this);
  }

  /** Holding the gate: finds a back end, makes the splice known, delivers. */
  async #connect({ pool, session }: Candidates): Promise<void> {
    const { dialer, replication, self, wire } = this.#deps;
    const deadline = performance.now() + CONNECT_MS;
    const tried = new Set<Backend>();
    for (;;) {
      const backend = this.#abandoned ? undefined : pool.choose(tried, session);
      if (!backend) break;
      tried.add(backend);
      backend.active++; // at once, or a burst would all go to the same one
      const patient = !pool.hasMore(tried);
      const result = await dialer.dial(backend, this.id, this.#p0, this.#offer, patient);
      backend.active--;
      // Silence of one that is up is a full listen queue: it will come to an end, so ask again rather than refuse.
      if (result.kind === 'silent' && backend.up && performance.now() < deadline) tried.delete(backend);
      if (result.kind !== 'connected') continue;
      const entry = entryFrom(this.id, this.#p0, result.s0, backend, self);
      this.#deps.breakpoints.pass('before-publish');
      // Not one request byte goes out before the peers know whereto: else one would choose again, and a POST would run twice.
      const obstacle = this.#abandoned ? { kind: 'none' as const } : await replication.publish(entry);
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
      this.#onEnd(this); // the client's next retransmission finds out how it stands
      return;
    }
    replication.release(this.id);
    if (!this.#abandoned) this.#say(503, 'No server is available to take this request.');
  }

  #deliver(entry: Entry): void {
    this.#deps.table.install(entry, this.#clientEnd);
    this.#deps.relay.forward(entry, {
      sequence: add(this.id.isn, 1),
      acknowledgement: this.#acknowledgement,
      window: this.#window,
      payload: this.#held.contiguous,
      fin: this.#held.finished,
    });
    if (this.#held.finished) this.#deps.relay.closed(entry, 'us');
    this.#onEnd(this);
  }

  /** Answers in a back end's place, and stays for a while to say it again: the client's FIN is still to come. */
  #say(status: AnswerStatus, reason: string): void {
    this.#phase = 'answered';
    this.#deps.tally.answered++;
    this.#answer = renderAnswer(status, reason, this.#method);
    this.#send(this.#answer);
  }

  #sayAgain(segment: ClientSegment): void {
    // A bare ACK says that it has arrived; bytes say that it has not.
    if (segment.payload.length > 0) this.#send(this.#answer);
    else if (segment.fin) this.#deps.wire.acknowledge(this.id, this.#answerEnd, this.#clientEnd);
  }

  #send(answer: Uint8Array): void {
    this.#deps.wire.answer(this.id, this.#p0, this.#clientEnd, answer);
  }

  /** Sequence number behind what the client has sent, its FIN included. */
  get #clientEnd(): number {
    return add(this.#held.end, this.#held.finished ? 1 : 0);
  }

  /** Sequence number behind the answer and its FIN. */
  get #answerEnd(): number {
    return add(this.#p0, 1 + this.#answer.length + 1);
  }
}
