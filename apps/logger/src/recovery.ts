import { TcpFlags } from '@resplice/dataplane';
import type { Backend } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import { decide } from './decision.ts';
import { Delivery, type DeliveryDeps, type Half, type Task } from './delivery.ts';
import { ClientMode, type LogEvent, ServerMode, type Track } from './layout.generated.ts';
import { OwnWords, type OwnWordsDeps } from './own-words.ts';
import { type Answer, failure } from './refusal.ts';
import { Retransmitter } from './retransmitter.ts';
import { type Found, Search, type SearchDeps } from './search.ts';
import type { Tracks } from './tracks.ts';
import type { Transaction } from './transaction.ts';

/** While nobody takes a connection, somebody is looked for again after so many ms. */
const LOOK_AGAIN_MS = 50;
/** So many attempts follow each other at once; later ones wait as long as that. */
const QUICK_ATTEMPTS = 4;
/** After so many no back end will do. */
const MOST_ATTEMPTS = 40;

export interface RecoveryDeps extends SearchDeps, OwnWordsDeps, DeliveryDeps {
  datapath: SearchDeps['datapath'];
  speaker: DeliveryDeps['speaker'];
  /** A back end has acknowledged the whole request. */
  onDelivered(conversation: Conversation, backend: Backend): void;
  /** The connection has another back end now. */
  onMoved(conversation: Conversation, backend: Backend, delta: number): void;
  /** The back end that it has moved to has ended it meanwhile. */
  onEnd(conversation: Conversation): void;
  /** Nothing is left of it. */
  onDead(conversation: Conversation): void;
  /** Whether the application of a back end answers anybody. */
  ask(backend: Backend): Promise<boolean>;
}

/** Nothing passes from here on. In this order: what the kernel half lets through it has noted before (see server.h). */
export function closeTheWay(tracks: Tracks, slot: number): void {
  tracks.setServerMode(slot, ServerMode.SERVER_DIVERTED);
  tracks.setClientMode(slot, ClientMode.CLIENT_HELD);
}

/** What is under way for a connection that changes its back end (P7.2, P12; ARCHITECTURE §6). */
export class Move {
  readonly #conversation: Conversation;
  readonly #deps: RecoveryDeps;
  readonly #words: OwnWords;
  readonly #search: Search;
  readonly #former: Backend | undefined;
  /** As it was there. */
  readonly #formerTrack: Track;
  readonly #onEnd: () => void;
  #mayRest: boolean;
  #ended = false;
  /** Brings the client what no back end will. */
  #retransmitter: Retransmitter | undefined;
  #timer: NodeJS.Timeout | undefined;
  #attempts = 0;
  /** It is not known yet whom the next request may be given to. */
  #isWaiting = false;
  /** It is being made sure that the former back end lives. */
  #isAsking = false;
  /** Grows with each plan: what was begun for a former one is void. */
  #round = 0;
  /** The back end that has taken the connection, and what it was given; undefined: none has. */
  #delivery: Delivery | undefined;
  /** Transaction that no kit goes on with. */
  #hopeless: Transaction | undefined;
  /** What the client may have heard, when the way was closed: T. */
  #heard = 0;

  /**
   * Closes the way at once.
   *
   * @param mayRest whether an idle connection needs no back end before its next request
   */
  constructor(conversation: Conversation, deps: RecoveryDeps, onEnd: () => void, mayRest: boolean) {
    this.#conversation = conversation;
    this.#deps = deps;
    this.#words = new OwnWords(deps);
    this.#onEnd = onEnd;
    this.#mayRest = mayRest;
    this.#former = conversation.backend;
    this.#search = new Search(conversation, deps, this.#former, {
      connected: found => this.#connected(found),
      failed: () => this.#planAgain(),
      later: () => {
        this.#timer = setTimeout(() => this.#plan(), LOOK_AGAIN_MS);
      },
      nobody: () => this.#deserted(),
      hopeless: transaction => {
        this.#hopeless = transaction;
        this.#plan();
      },
    });
    this.#formerTrack = deps.tracks.read(conversation.slot);
    this.#closeTheWay();
    conversation.backend = undefined;
    deps.timeline.note(conversation, 'fenced');
    deps.datapath.afterDrain(() => this.#plan());
  }

  #closeTheWay(): void {
    const { tracks } = this.#deps;
    const { slot } = this.#conversation;
    closeTheWay(tracks, slot);
    tracks.unbind(slot);
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** Whether the alternate has all of the client's bytes. */
  get isDelivered(): boolean {
    return this.#delivery?.isWhole ?? false;
  }

  /** What the connection is moving to, if that is known. */
  get backend(): Backend | undefined {
    return this.#search.backend;
  }

  #plan(): void {
    if (this.#ended) return;
    clearTimeout(this.#timer);
    this.#isWaiting = this.#isAsking = false;
    this.#round++;
    this.#search.cancel();
    const conversation = this.#conversation;
    if (conversation.unprotected !== undefined) {
      this.#reset(conversation.unprotected);
      return;
    }
    conversation.commit();
    this.#heard = conversation.heard;
    const decision = decide(conversation, this.#heard, this.#mayRest, this.#hopeless);
    switch (decision.kind) {
      case 'bind':
        this.#search.next(this.#heard);
        break;
      case 'rest':
        this.#rest();
        break;
      case 'finish':
        this.#finish();
        break;
      case 'wait':
        this.#isWaiting = true;
        break;
      case 'retransmit':
        this.#retransmit(decision.transaction);
        break;
      case 'refuse':
        this.#refuse(decision.transaction, decision.answer);
        break;
      case 'giveUp':
        this.#giveUp(decision.why);
        break;
      case 'reset':
        this.#reset(decision.why);
        break;
    }
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

  /** Nobody needs a back end now: the next request finds one. */
  #rest(): void {
    this.#deps.tally.unbound++;
    this.#deps.timeline.note(this.#conversation, 'resting');
    this.#end();
  }

  /** The client has closed, or nobody reads what it sends, and it has everything: so the server closes. */
  #finish(): void {
    this.#words.finish(this.#conversation);
    this.#end();
    this.#deps.onDead(this.#conversation);
  }

  #refuse(transaction: Transaction, answer: Answer): void {
    const { bytes, from } = this.#words.refuse(this.#conversation, transaction, answer);
    this.#mayRest = true;
    this.#send(bytes, from);
  }

  #retransmit({ record, responseAt }: Transaction): void {
    this.#deps.timeline.note(this.#conversation, 'retransmitting');
    this.#send(record.bytes(0, record.length), responseAt);
  }

  /** Brings the client these bytes, which no back end will; then it is seen what comes next. */
  #send(bytes: Uint8Array, from: number): void {
    const { speaker, tracks } = this.#deps;
    this.#retransmitter?.close();
    this.#retransmitter = new Retransmitter({
      ...{ conversation: this.#conversation, speaker, tracks, bytes, from },
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

  /** There is no honest way on. */
  #reset(why: string): void {
    this.#words.reset(this.#conversation, why);
    this.#end();
    this.#deps.onDead(this.#conversation);
  }

  /** Nobody has been up for as long as a request waits. */
  #deserted(): void {
    const [transaction] = this.#conversation.transactions;
    // Of a head that is incomplete the client will send more, or it again: somebody else may be there by then.
    if (!transaction) this.#rest();
    else if (transaction.isUnanswered(this.#heard)) this.#refuse(transaction, failure(503));
    else this.#giveUp('no back end is left');
  }

  /** Nobody else can go on with it; if the former back end lives after all, it can. */
  #giveUp(why: string): void {
    const former = this.#former;
    const conversation = this.#conversation;
    // One that has ended it itself has forgotten it.
    if (!former?.up || conversation.failures > 0) {
      this.#reset(why);
      return;
    }
    const round = ++this.#round;
    if (!conversation.wasGivenBack) {
      this.#giveBack(former, why);
      return;
    }
    // It has had more time. An agent and a kernel may live without their application.
    this.#isAsking = true;
    void this.#deps.ask(former).then(alive => {
      if (this.#ended || round !== this.#round) return;
      this.#isAsking = false;
      if (alive && former.up) this.#giveBack(former, why);
      else this.#reset(why);
    });
  }

  #giveBack(former: Backend, why: string): void {
    const conversation = this.#conversation;
    const { timeline, tally } = this.#deps;
    const { delta, mac, serverSeen, serverAcked } = this.#formerTrack;
    timeline.note(conversation, `given back to ${former.name}: ${why}`);
    tally.givenBack++;
    conversation.gaveBack();
    this.#search.giveBack(former);
    const given = Math.min(conversation.acknowledged, conversation.serverOffset(serverSeen));
    this.#deliver(
      { backend: former, delta, mac, sent: serverSeen, acked: serverAcked, given },
      { heard: this.#heard, responseAt: this.#heard, compared: undefined, barrier: undefined },
    ).resume();
  }

  /** Somebody has taken the connection. */
  #connected({ backend, delta, requestAt, responseAt, transaction }: Found): void {
    const conversation = this.#conversation;
    const [sent, acked] = [conversation.serverSequence(responseAt), conversation.clientSequence(requestAt)];
    const mac = this.#deps.alternates.stationOf(backend);
    this.#deliver(
      { backend, delta, mac, sent, acked, given: responseAt },
      {
        heard: this.#heard,
        responseAt,
        compared: transaction?.answered ? transaction : undefined,
        barrier: conversation.transactions.find((each, index) => index > 0 && !each.isFit(!each.answered)),
      },
    ).begin();
  }

  #deliver(half: Half, task: Task): Delivery {
    const conversation = this.#conversation;
    const { backend } = half;
    const { tally, timeline, tracks } = this.#deps;
    this.#delivery?.close();
    const delivery = new Delivery(conversation, this.#deps, half, task, {
      delivered: () => this.#deps.onDelivered(conversation, backend),
      opened: () => this.#deps.onMoved(conversation, backend, tracks.delta(conversation.slot)),
      moved: hasEnded => {
        tally.moved++;
        this.#end();
        if (hasEnded) this.#deps.onEnd(conversation);
      },
      differs: at => {
        tally.differs++;
        this.#reset(`${backend.name} gave another response at byte ${at}`);
      },
      unproven: () => this.#giveUp('a long response that nothing proves to be the same'),
      failed: how => {
        timeline.note(conversation, `${backend.name} ${how}`);
        this.alternateEnded();
      },
      atBarrier: () => this.again(),
    });
    this.#delivery = delivery;
    return delivery;
  }

  /** More of the client's bytes are in the log, or its FIN. */
  clientBytes(): void {
    this.#delivery?.clientBytes();
  }

  /** It is known by now whom a request may be given to. */
  judged(): void {
    if (this.#isWaiting) this.#plan();
    else this.clientBytes();
  }

  /** A packet of the alternate's that was kept from the client. */
  serverBytes(event: LogEvent, bytes: Uint8Array, start: number, end: number): void {
    const conversation = this.#conversation;
    const { backend } = this;
    // What the alternate goes on to say is of no use to anybody.
    if (this.#ended || this.#isAsking || !backend || event.backend !== backend.address) return;
    if (event.flags & TcpFlags.RST) {
      this.#deps.timeline.note(conversation, `${backend.name} reset it`);
      this.alternateEnded();
      return;
    }
    if (event.payload > 0) {
      const watch = conversation.open?.watch;
      watch?.firstByte(Number(event.timeNs) / 1e6);
      watch?.serverBytes(Number(event.timeNs) / 1e6);
    }
    if (this.#delivery)
      this.#delivery.serverBytes(event, event.captured > 0 ? bytes.subarray(start, end) : undefined);
    else if (event.flags & TcpFlags.FIN) this.#closedEarly();
  }

  /** The back end that the connection is moving to has said something that passed. */
  progressed(event: LogEvent): void {
    if (this.#ended || this.#isAsking) return;
    if (this.#delivery) this.#delivery.progressed(event);
    else if (event.flags & TcpFlags.FIN) this.#closedEarly();
  }

  /** It has closed before it was given anything. */
  #closedEarly(): void {
    const { name } = this.backend ?? this.#former ?? { name: 'its back end' };
    this.#deps.timeline.note(this.#conversation, `${name} closed it`);
    this.alternateEnded();
  }

  /** A FIN or RST of the alternate's in the middle of what it was asked for. */
  alternateEnded(): void {
    this.#conversation.failed();
    this.again();
  }

  /** A response has ended, or an acknowledgement may have come. */
  look(): void {
    this.#delivery?.look();
  }

  /** The alternate has failed, too, or the next request needs another treatment. */
  again(): void {
    if (this.#ended) return;
    const conversation = this.#conversation;
    this.#closeTheWay();
    this.#delivery?.close();
    this.#delivery = undefined;
    this.#retransmitter?.close();
    this.#retransmitter = undefined;
    this.#isWaiting = this.#isAsking = false;
    if (conversation.backend) conversation.backend.active--;
    conversation.backend = undefined;
    clearTimeout(this.#timer);
    this.#search.cancel();
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
    this.#search.cancel();
    this.#delivery?.close();
    this.#retransmitter?.close();
    this.#onEnd();
  }
}
