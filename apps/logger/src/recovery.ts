import { add, after, deltaOf, TcpFlags } from '@resplice/dataplane';
import type { Log } from '@resplice/service-kit';
import type { Recovery } from '@resplice/site-config';
import type { Backend, Dialer, Wire } from '@resplice/splice';
import type { Alternates } from './alternates.ts';
import type { Conversation } from './conversation.ts';
import type { Datapath } from './datapath.ts';
import { ResponseCheck } from './http/response-check.ts';
import { ClientMode, type LogEvent, ServerMode, type Track } from './layout.generated.ts';
import { type Answer, failure, refusal } from './refusal.ts';
import { Replayer } from './replayer.ts';
import { Retransmitter } from './retransmitter.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';
import type { Timeline } from './timeline.ts';
import type { Tracks } from './tracks.ts';
import type { Transaction } from './transaction.ts';
import { viewOf } from './view.ts';

/**
 * Added to the cookie of a SYN that only is to differ from the one after it. A back end that the connection comes back to may still have
 * a socket of this very transaction, and would take that one for a repetition, which resets nothing (ARCHITECTURE §2.3).
 */
const UNLIKE_P0 = 0x8000_0000;
/** While nobody takes a connection, somebody is looked for again after so many ms. */
const LOOK_AGAIN_MS = 50;
/** So many attempts follow each other at once; later ones wait as long as that. */
const QUICK_ATTEMPTS = 4;
/** After so many no back end will do. */
const MOST_ATTEMPTS = 40;
/** So many back ends may end a connection at the same byte of the same response; then nobody else is given that request. */
const MOST_FAILURES = 8;

export interface RecoveryDeps {
  datapath: Datapath;
  tracks: Tracks;
  wire: Wire;
  speaker: Speaker;
  dialer: Dialer;
  alternates: Alternates;
  tally: LoggerTally;
  timeline: Timeline;
  recovery: Recovery;
  log: Log;
  /** A back end has acknowledged the whole request. */
  onDelivered(conversation: Conversation, backend: Backend): void;
  /** The connection has another back end now. */
  onMoved(conversation: Conversation, backend: Backend, delta: number): void;
  /** The back end that it has moved to has ended it meanwhile. */
  onEnd(conversation: Conversation): void;
  /** Nothing is left of it. */
  onDead(conversation: Conversation): void;
}

/** What is under way for a connection that changes its back end (P7.2, P12; ARCHITECTURE §6). */
export class Move {
  readonly #conversation: Conversation;
  readonly #deps: RecoveryDeps;
  readonly #former: Backend | undefined;
  /** As it was there. */
  readonly #formerTrack: Track;
  readonly #onEnd: () => void;
  #mayRest: boolean;
  #tried = new Set<Backend>();
  #ended = false;
  #replayer: Replayer | undefined;
  #retransmitter: Retransmitter | undefined;
  #timer: NodeJS.Timeout | undefined;
  #attempts = 0;
  /** It is not known yet whom the next request may be given to. */
  #isWaiting = false;
  /** Grows with each plan: what was begun for a former one is void. */
  #round = 0;
  /** performance.now() since when there has been no back end to ask. */
  #waitingSinceMs: number | undefined;
  #backend: Backend | undefined;
  /** The response that is being given again; undefined: nothing of it has been heard. */
  #compared: Transaction | undefined;
  #check: ResponseCheck | undefined;
  /** Offset behind the last byte that the alternate has given in order. */
  #given = 0;
  /** Offset up to which its bytes must be those of the record. */
  #checkTo = 0;
  /** What the client may have heard, when the way was closed: T. */
  #heard = 0;
  #passed = false;
  /** Whether the connection is open again, and everything has been heard that was held before. */
  #opening: 'closed' | 'opening' | 'open' = 'closed';
  #isDelivered = false;
  #hasEnded = false;
  /** Transaction that must not be given to another back end, and ends this delivery. */
  #barrier: Transaction | undefined;
  readonly #early = new Map<number, Uint8Array>();

  /**
   * Closes the way at once.
   *
   * @param mayRest whether an idle connection needs no back end before its next request
   */
  constructor(conversation: Conversation, deps: RecoveryDeps, onEnd: () => void, mayRest: boolean) {
    this.#conversation = conversation;
    this.#deps = deps;
    this.#onEnd = onEnd;
    this.#mayRest = mayRest;
    this.#former = conversation.backend;
    const { slot } = conversation;
    this.#formerTrack = deps.tracks.read(slot);
    this.#closeTheWay();
    conversation.backend = undefined;
    deps.timeline.note(conversation, 'fenced');
    deps.datapath.afterDrain(() => this.#plan());
  }

  /** In this order: what the kernel half lets through from here on it has noted before (see server.h). */
  #closeTheWay(): void {
    const { tracks } = this.#deps;
    const { slot } = this.#conversation;
    tracks.setServerMode(slot, ServerMode.SERVER_DIVERTED);
    tracks.setClientMode(slot, ClientMode.CLIENT_HELD);
    tracks.unbind(slot);
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** Whether the alternate has all of the client's bytes. */
  get isDelivered(): boolean {
    return this.#replayer?.isDone ?? false;
  }

  /** What the connection is moving to, if that is known. */
  get backend(): Backend | undefined {
    return this.#backend;
  }

  /** Decides from what is known what the client needs next. */
  #plan(): void {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#isWaiting = false;
    this.#round++;
    const conversation = this.#conversation;
    if (conversation.unprotected !== undefined) {
      this.#reset(conversation.unprotected);
      return;
    }
    conversation.commit();
    this.#heard = conversation.heard;
    const [transaction] = conversation.transactions;
    if (transaction) this.#planFor(transaction);
    else if (!conversation.requests.isKeeping) this.#reset('a request that is not kept');
    else if (conversation.requests.size > 0 && !conversation.guard) this.#bind();
    else if (conversation.clientEnd !== undefined || conversation.closes) this.#finish();
    else if (this.#mayRest || conversation.guard) this.#rest();
    else this.#bind();
  }

  /** When back ends come and go faster than connections can follow, running after them would only add to it. */
  #planAgain(): void {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#attempts++;
    if (this.#attempts > MOST_ATTEMPTS) this.#giveUp('no back end has gone on with it');
    else if (this.#attempts <= QUICK_ATTEMPTS) this.#plan();
    else this.#timer = setTimeout(() => this.#plan(), LOOK_AGAIN_MS);
  }

  /** @param transaction the oldest unfinished one */
  #planFor(transaction: Transaction): void {
    const conversation = this.#conversation;
    const { requestEnd, responseEnd, isRepeatable, treatment, record } = transaction;
    const verdict = transaction.delivered ? undefined : transaction.verdict;
    const isUnanswered = transaction.isUnanswered(this.#heard);
    if (responseEnd !== undefined && this.#heard >= responseEnd && record.isWhole) {
      // An answer to a request that nobody reads to its end.
      if (requestEnd === undefined && conversation.acknowledged >= responseEnd) this.#finish();
      // All of it has been heard but for what was lost on the way.
      else this.#retransmit(transaction);
    } else if (verdict === 'pending') {
      this.#isWaiting = true;
    } else if (verdict?.kind === 'refused') {
      this.#refuse(transaction, verdict);
    } else if (transaction.isLost && (requestEnd === undefined || !isUnanswered)) {
      // Nobody would take the rest of the request; or nobody could go on with the response.
      this.#reset('a request that is not kept');
    } else if (isRepeatable && conversation.failures <= MOST_FAILURES) {
      if (treatment.deterministic === 'no' && !isUnanswered)
        this.#giveUp('a response that no other back end would give');
      else this.#bind();
    } else if (isUnanswered) {
      this.#refuse(transaction, failure(502));
    } else {
      this.#giveUp(
        isRepeatable ? 'a response that nobody completes' : 'an update that was cut in its response',
      );
    }
  }

  /** Nobody needs a back end now: the next request finds one. */
  #rest(): void {
    this.#deps.tally.unbound++;
    this.#deps.timeline.note(this.#conversation, 'resting');
    this.#end();
  }

  /** The client has closed, or nobody reads what it sends, and it has everything: so the server closes. */
  #finish(): void {
    const conversation = this.#conversation;
    const { tracks, speaker } = this.#deps;
    const { slot, clientEnd } = conversation;
    speaker.say(conversation.id, {
      seq: tracks.serverNext(slot),
      ack: clientEnd === undefined ? tracks.told(slot) : conversation.clientSequence(clientEnd + 1),
      window: 512,
      mss: conversation.offer.mss,
      fin: true,
    });
    conversation.ended = true;
    this.#end();
    this.#deps.onDead(conversation);
  }

  #refuse(transaction: Transaction, answer: Answer): void {
    const conversation = this.#conversation;
    if (transaction.verdict && transaction.verdict !== 'pending' && transaction.verdict.kind === 'refused')
      this.#deps.tally.forbidden++;
    else this.#deps.tally.refused++;
    this.#deps.timeline.note(conversation, `refused with ${answer.status}`);
    const { tracks } = this.#deps;
    const { requestEnd, method } = transaction;
    const at = conversation.outgoing.end;
    const bytes = refusal(answer, method, conversation.clientEnd !== undefined || requestEnd === undefined);
    // Nobody else will acknowledge the request, and the next one may come when it likes.
    const end = conversation.clientSequence(requestEnd ?? conversation.requests.end);
    if (after(end, tracks.told(conversation.slot))) tracks.setTold(conversation.slot, end);
    this.#mayRest = true;
    conversation.speak(bytes);
    this.#send(bytes, at);
  }

  #retransmit(transaction: Transaction): void {
    this.#deps.timeline.note(this.#conversation, 'retransmitting');
    this.#send(transaction.record.bytes(0, transaction.record.length), transaction.responseAt);
  }

  #send(bytes: Uint8Array, from: number): void {
    const { speaker, tracks } = this.#deps;
    this.#retransmitter?.close();
    this.#retransmitter = new Retransmitter({
      conversation: this.#conversation,
      speaker,
      tracks,
      bytes,
      from,
      onEnd: () => {
        this.#retransmitter = undefined;
        this.#plan();
      },
    });
    this.#retransmitter.start();
  }

  /** It cannot be followed any more. */
  abandon(): void {
    if (!this.#ended) this.#reset(this.#conversation.unprotected ?? 'it is given up');
  }

  /** Nobody else can go on with it; if the former back end lives after all, it can. */
  #giveUp(why: string): void {
    const former = this.#former;
    // One that has ended it itself has forgotten it.
    if (!former?.up || this.#conversation.failures > 0) {
      this.#reset(why);
      return;
    }
    const conversation = this.#conversation;
    const { tracks, wire, timeline, tally } = this.#deps;
    const { delta, mac, serverSeen, serverAcked } = this.#formerTrack;
    timeline.note(conversation, `given back to ${former.name}: ${why}`);
    tally.givenBack++;
    this.#round++;
    this.#replayer?.close();
    tracks.bind(conversation.slot, {
      ...{ address: former.address, port: former.port, delta, mac },
      responseAt: serverSeen,
      acked: serverAcked,
    });
    tracks.setServerMode(conversation.slot, ServerMode.SERVER_PASSES);
    this.#backend = former;
    this.#barrier = undefined;
    this.#checkTo = this.#heard;
    this.#passed = true;
    const replayer = new Replayer({
      ...{ conversation, wire, tracks, delta },
      backend: former,
      from: conversation.delivered,
    });
    replayer.given = Math.min(conversation.acknowledged, conversation.serverOffset(serverSeen));
    replayer.limit = this.#limit(former);
    this.#replayer = replayer;
    replayer.go();
    this.#settle();
  }

  /** There is no honest way on. */
  #reset(why: string): void {
    const conversation = this.#conversation;
    const { tally, tracks, speaker, timeline } = this.#deps;
    tally.reset++;
    timeline.note(conversation, `reset: ${why}`);
    this.#deps.log.warn({ ...viewOf(conversation, true), why }, 'connection reset');
    speaker.reset(conversation.id, tracks.clientAck(conversation.slot));
    // Its receiver may have got further than its last ACK says.
    if (tracks.serverNext(conversation.slot) !== tracks.clientAck(conversation.slot))
      speaker.reset(conversation.id, tracks.serverNext(conversation.slot));
    this.#end();
    this.#deps.onDead(conversation);
  }

  /** Asks the next back end for the connection, from the first unfinished request on. */
  #bind(): void {
    const conversation = this.#conversation;
    const { alternates, dialer, timeline, wire } = this.#deps;
    const verdict = conversation.transactions[0]?.verdict;
    const allowed = typeof verdict === 'object' && verdict.kind === 'allowed' ? verdict : undefined;
    const backend = alternates.choose(this.#former, this.#tried, allowed);
    if (!backend) {
      this.#tried.clear();
      this.#waitingSinceMs ??= performance.now();
      if (performance.now() - this.#waitingSinceMs < this.#deps.recovery.wait) {
        this.#timer = setTimeout(() => this.#plan(), LOOK_AGAIN_MS);
        return;
      }
      const [transaction] = conversation.transactions;
      // Of a head that is incomplete the client will send more, or it again: somebody else may be there by then.
      if (!transaction) this.#rest();
      else if (transaction.isUnanswered(this.#heard)) this.#refuse(transaction, failure(503));
      else this.#giveUp('no back end is left');
      return;
    }
    this.#waitingSinceMs = undefined;
    this.#tried.add(backend);
    this.#backend = backend;
    const [transaction] = conversation.transactions;
    const requestAt = conversation.pendingRequestAt;
    const responseAt = transaction ? transaction.responseAt : conversation.responseAt;
    const id = {
      ...conversation.id,
      isn: add(conversation.clientSequence(requestAt), -1),
      originalIsn: conversation.id.isn,
    };
    const p0 = add(conversation.serverSequence(responseAt), -1);
    timeline.note(conversation, `SYN to ${backend.name}`);
    this.#deps.tally.dialled++;
    const round = this.#round;
    if (this.#hasHeld(backend)) wire.syn(backend, id, add(p0, UNLIKE_P0), conversation.offer, 0);
    void dialer.dial(backend, id, p0, conversation.offer).then(result => {
      // Another attempt has begun meanwhile.
      if (this.#ended || round !== this.#round) return;
      if (result.kind !== 'connected') {
        timeline.note(conversation, `${backend.name} ${result.kind}`);
        this.#planAgain();
        return;
      }
      this.#connected(backend, deltaOf(p0, result.s0), requestAt, responseAt, transaction);
    });
  }

  #flowOf(backend: Backend) {
    const { client, clientPort } = this.#conversation.id;
    return { client, peer: backend.address, clientPort, peerPort: backend.port };
  }

  /** Whether the connection has been with that back end before. */
  #hasHeld(backend: Backend): boolean {
    const flow = this.#deps.datapath.flows.get(this.#flowOf(backend));
    return flow?.slot === this.#conversation.slot && flow.known !== 0;
  }

  #connected(
    backend: Backend,
    delta: number,
    requestAt: number,
    responseAt: number,
    transaction: Transaction | undefined,
  ): void {
    const conversation = this.#conversation;
    const { slot } = conversation;
    const { datapath, tracks, wire, timeline, alternates } = this.#deps;
    const mac = alternates.stationOf(backend);
    timeline.note(conversation, 'connected');
    const key = this.#flowOf(backend);
    // A proxy that has not heard yet may go on translating for a socket that was there before.
    const former = datapath.flows.get(key);
    const cameBack = former?.slot === slot && former.known ? 1 : 0;
    const formerDelta = former?.delta ?? 0;
    datapath.flows.set(key, { slot, delta, formerDelta, mac, known: 1, cameBack });
    this.#compared = transaction?.answered ? transaction : undefined;
    this.#check =
      this.#compared && new ResponseCheck(this.#compared.record, [...this.#compared.treatment.mask]);
    this.#given = responseAt;
    this.#checkTo = Math.max(
      responseAt,
      this.#compared ? Math.min(this.#heard, responseAt + this.#compared.record.length) : responseAt,
    );
    tracks.bind(slot, {
      address: backend.address,
      port: backend.port,
      delta,
      mac,
      responseAt: conversation.serverSequence(responseAt),
      acked: conversation.clientSequence(requestAt),
    });
    const replayer = new Replayer({ conversation, wire, tracks, backend, delta, from: requestAt });
    this.#replayer = replayer;
    replayer.given = responseAt;
    replayer.room = this.#checkTo;
    this.#barrier = conversation.transactions.find((each, index) => index > 0 && !each.isRepeatable);
    replayer.limit = this.#limit(backend);
    if (this.#checkTo === responseAt && this.#heard === responseAt) this.#pass();
    replayer.go();
    if (conversation.requests.size === 0) replayer.acknowledge();
  }

  /** Offset behind what may be delivered in this round. */
  #limit(backend: Backend): number {
    const { guard } = this.#conversation;
    return Math.min(
      this.#barrier?.requestAt ?? Number.POSITIVE_INFINITY,
      guard?.limit(backend) ?? Number.POSITIVE_INFINITY,
    );
  }

  /** More of the client's bytes are in the log, or its FIN. */
  clientBytes(): void {
    if (this.#replayer && this.#backend) {
      this.#replayer.limit = this.#limit(this.#backend);
      this.#replayer.go();
    }
    this.#settle();
  }

  /** It is known by now whom a request may be given to. */
  judged(): void {
    if (this.#isWaiting) this.#plan();
    else this.clientBytes();
  }

  /** A packet of the alternate's that was kept from the client. */
  serverBytes(event: LogEvent, bytes: Uint8Array, start: number, end: number): void {
    const conversation = this.#conversation;
    if (this.#ended || !this.#backend || event.backend !== this.#backend.address) return;
    if (event.flags & TcpFlags.RST) {
      this.#deps.timeline.note(conversation, `${this.#backend.name} reset it`);
      this.alternateEnded();
      return;
    }
    const at = conversation.serverOffset(event.sequence);
    if (event.payload > 0) {
      const watch = conversation.open?.watch;
      watch?.firstByte(Number(event.timeNs) / 1e6);
      watch?.serverBytes(Number(event.timeNs) / 1e6);
    }
    if (event.payload > 0) this.#give(at, event.captured > 0 ? bytes.subarray(start, end) : undefined, event);
    this.#replayer?.heard(event);
    if (event.flags & TcpFlags.FIN) this.#serverEnded();
    else this.#settle();
  }

  /** The alternate has closed: behind a whole response that may be its will, before that it has died. */
  #serverEnded(): void {
    if (this.#ended) return;
    const { open } = this.#conversation;
    if (!this.#passed || (open && !open.untilClose)) {
      this.#deps.timeline.note(
        this.#conversation,
        `${(this.#backend ?? this.#former)?.name ?? 'its back end'} closed it`,
      );
      this.alternateEnded();
      return;
    }
    this.#hasEnded = true;
    this.#settle();
  }

  /** A FIN or RST of the alternate's in the middle of what it was asked for. */
  alternateEnded(): void {
    this.#conversation.failed();
    this.again();
  }

  /** @param bytes undefined: only where they would have been */
  #give(at: number, bytes: Uint8Array | undefined, event: LogEvent): void {
    const conversation = this.#conversation;
    const behind = at + event.payload;
    if (at > this.#given && !this.#passed) {
      if (bytes && this.#early.size < 64) this.#early.set(at, bytes.slice());
      return;
    }
    if (!this.#passed) {
      if (behind <= this.#given) {
        this.#acknowledge();
        return;
      }
      const compared = this.#compared;
      if (compared && bytes && this.#given < this.#checkTo) {
        const from = this.#given - at;
        const to = Math.min(bytes.length, this.#checkTo - at);
        const differs = this.#check?.compare(this.#given - compared.responseAt, bytes, from, to) ?? -1;
        if (differs >= 0) {
          this.#deps.tally.differs++;
          this.#reset(`${this.#backend?.name} gave another response at byte ${differs}`);
          return;
        }
      }
      this.#given = Math.max(this.#given, Math.min(behind, this.#checkTo));
      if (this.#given >= this.#checkTo) {
        if (this.#heard > this.#checkTo && compared && !this.#maySkip(compared)) {
          this.#giveUp('a long response that nothing proves to be the same');
          return;
        }
        this.#pass();
      }
      this.#acknowledge();
    }
    // What the client has acknowledged is the logger's to acknowledge; what it has not yet is sent on.
    if (behind <= conversation.acknowledged) {
      this.#given = Math.max(this.#given, behind);
      this.#acknowledge();
    } else if (bytes && behind > this.#checkTo)
      this.#sendOn(Math.max(at, this.#checkTo), bytes.subarray(Math.max(0, this.#checkTo - at)), event);
    const next = this.#early.get(this.#given);
    if (next) {
      this.#early.delete(this.#given);
      this.#give(this.#given, next, {
        ...event,
        payload: next.length,
        sequence: conversation.serverSequence(this.#given),
      });
    }
  }

  #maySkip(transaction: Transaction): boolean {
    return transaction.hasValidator || transaction.treatment.deterministic === 'yes';
  }

  /** Bytes that came before the way was open again. */
  #sendOn(at: number, bytes: Uint8Array, event: LogEvent): void {
    const conversation = this.#conversation;
    const { tracks, speaker } = this.#deps;
    speaker.say(conversation.id, {
      seq: conversation.serverSequence(at),
      ack: tracks.told(conversation.slot),
      window: event.window,
      mss: conversation.offer.mss,
      payload: bytes,
    });
    const behind = at + bytes.length;
    this.#deps.timeline.serverBytes(conversation, behind, Number(event.timeNs) / 1e6);
    conversation.serverBytes(at, bytes, 0, bytes.length);
    if (behind > conversation.heard)
      tracks.setServerNext(conversation.slot, conversation.serverSequence(behind));
  }

  /** Tells the alternate what of its response need not come again. */
  #acknowledge(): void {
    const replayer = this.#replayer;
    if (!replayer) return;
    replayer.given = this.#given;
    replayer.acknowledge();
  }

  /** The response is the same as far as it was heard: the client may hear the rest. */
  #pass(): void {
    const conversation = this.#conversation;
    const { tracks, timeline, tally } = this.#deps;
    this.#passed = true;
    timeline.awaitFirstByte(conversation, this.#heard);
    // Of a long body nothing would be told: its first byte is to be.
    tracks.skipUntil(conversation.slot, conversation.serverSequence(this.#heard));
    const skips = conversation.acknowledged > this.#checkTo;
    tracks.setServerMode(
      conversation.slot,
      skips || this.#heard > this.#checkTo ? ServerMode.SERVER_SKIPPED : ServerMode.SERVER_PASSES,
    );
    timeline.note(conversation, 'passed');
    tally.passed++;
    const compared = this.#compared;
    if (compared && conversation.acknowledged < this.#checkTo) {
      const from = conversation.acknowledged;
      this.#retransmitter = new Retransmitter({
        conversation,
        speaker: this.#deps.speaker,
        tracks,
        bytes: compared.record.bytes(from - compared.responseAt, this.#checkTo - compared.responseAt),
        from,
        onEnd: () => {
          this.#retransmitter = undefined;
          this.#settle();
        },
      });
      this.#retransmitter.start();
    }
  }

  /** Ends the move when the connection can do without. */
  #settle(): void {
    const replayer = this.#replayer;
    const conversation = this.#conversation;
    if (this.#ended || !replayer?.isDone) return;
    if (!this.#isDelivered && this.#backend && conversation.open?.delivered) {
      this.#isDelivered = true;
      if (conversation.requests.size > 0) this.#deps.timeline.note(conversation, 'replayed');
      this.#deps.onDelivered(conversation, this.#backend);
    }
    if (!this.#passed || this.#retransmitter) return;
    const { tracks, timeline, tally } = this.#deps;
    if (this.#barrier) {
      // What is before it goes on as usual; the client's bytes are held until it is its turn.
      if (conversation.open === this.#barrier) this.again();
      return;
    }
    if (
      this.#heard > this.#checkTo &&
      conversation.serverOffset(tracks.serverSeen(conversation.slot)) < this.#heard
    )
      return;
    if (this.#opening === 'closed') this.#open();
    if (this.#opening !== 'open') return;
    timeline.note(conversation, 'moved');
    tally.moved++;
    this.#end();
    if (this.#hasEnded) this.#deps.onEnd(conversation);
  }

  /** Lets both directions pass; what was held until then may still be on its way here. */
  #open(): void {
    const conversation = this.#conversation;
    const { tracks, datapath } = this.#deps;
    this.#opening = 'opening';
    tracks.setServerMode(conversation.slot, ServerMode.SERVER_PASSES);
    tracks.setClientMode(conversation.slot, ClientMode.CLIENT_PASSES);
    conversation.backend = this.#backend;
    if (this.#backend) this.#deps.onMoved(conversation, this.#backend, tracks.delta(conversation.slot));
    const round = this.#round;
    datapath.afterDrain(() => {
      if (this.#ended || round !== this.#round) return;
      this.#opening = 'open';
      this.#settle();
    });
  }

  /** The back end that the connection is moving to has said something that passed. */
  progressed(event: LogEvent): void {
    this.#replayer?.heard(event);
    if (event.flags & TcpFlags.FIN) this.#serverEnded();
    else this.#settle();
  }

  /** A response has ended, or an acknowledgement may have come. */
  look(): void {
    this.#settle();
  }

  /** The alternate has failed, too, or the next request needs another treatment. */
  again(): void {
    if (this.#ended) return;
    const conversation = this.#conversation;
    this.#closeTheWay();
    this.#replayer?.close();
    this.#replayer = undefined;
    this.#retransmitter?.close();
    this.#retransmitter = undefined;
    this.#passed = false;
    this.#isWaiting = false;
    this.#opening = 'closed';
    if (conversation.backend) conversation.backend.active--;
    conversation.backend = undefined;
    this.#isDelivered = false;
    this.#hasEnded = false;
    this.#early.clear();
    this.#barrier = undefined;
    clearTimeout(this.#timer);
    const round = ++this.#round;
    this.#deps.datapath.afterDrain(() => {
      if (round === this.#round) this.#planAgain();
    });
  }

  close(): void {
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#replayer?.close();
    this.#retransmitter?.close();
    this.#onEnd();
  }
}
