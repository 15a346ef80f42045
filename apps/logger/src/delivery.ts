import { TcpFlags } from '@resplice/dataplane';
import type { Backend, Wire } from '@resplice/splice';
import { Comparison } from './comparison.ts';
import type { Conversation } from './conversation.ts';
import type { Datapath } from './datapath.ts';
import { ClientMode, type LogEvent, ServerMode } from './layout.generated.ts';
import { Replayer } from './replayer.ts';
import { Retransmitter } from './retransmitter.ts';
import type { Speaker } from './speaker.ts';
import type { LoggerTally } from './tally.ts';
import type { Timeline } from './timeline.ts';
import type { Tracks } from './tracks.ts';
import type { Transaction } from './transaction.ts';

export interface DeliveryDeps {
  datapath: Pick<Datapath, 'afterDrain'>;
  tracks: Tracks;
  wire: Wire;
  speaker: Speaker;
  timeline: Timeline;
  tally: LoggerTally;
}

/** A back end's half of the connection. */
export interface Half {
  backend: Backend;
  delta: number;
  mac: readonly number[];
  /** Behind what it has sent, and what it has acknowledged; sequence numbers in client space. */
  sent: number;
  acked: number;
  /** Offset behind what of its response it has been told has arrived. */
  given: number;
}

/** What it is given, and what is expected of it. Offsets. */
export interface Task {
  /** What the client may have heard, when the way was closed: T. */
  heard: number;
  responseAt: number;
  /** The response that it is to give again; undefined: the client has heard nothing of it. */
  compared: Transaction | undefined;
  /** Transaction that must not be given to it. */
  barrier: Transaction | undefined;
}

export interface DeliveryEvents {
  /** It has acknowledged the whole request. */
  delivered(): void;
  /** The connection is its: both directions pass. */
  opened(): void;
  /** The connection can do without help. `hasEnded`: the back end has closed it meanwhile. */
  moved(hasEnded: boolean): void;
  /** It gave another response, from that byte on. */
  differs(at: number): void;
  /** It gives a long response of which nothing says that it is the same. */
  unproven(): void;
  /** It has ended in the middle of what it was asked for. */
  failed(how: string): void;
  /** All before the barrier is done. */
  atBarrier(): void;
}

/** The unfinished requests in the hands of a back end that has taken the connection, and its response, until both pass by themselves. */
export class Delivery {
  readonly #conversation: Conversation;
  readonly #deps: DeliveryDeps;
  readonly #events: DeliveryEvents;
  readonly backend: Backend;
  readonly #replayer: Replayer;
  readonly #comparison: Comparison;
  readonly #barrier: Transaction | undefined;
  /** Brings the client what it has not acknowledged. */
  #retransmitter: Retransmitter | undefined;
  /** Whether the connection is open again, and everything has been heard that was held before. */
  #opening: 'closed' | 'opening' | 'open' = 'closed';
  #isDelivered = false;
  #hasEnded = false;
  #isClosed = false;

  constructor(
    conversation: Conversation,
    deps: DeliveryDeps,
    { backend, delta, mac, sent, acked, given }: Half,
    task: Task,
    events: DeliveryEvents,
  ) {
    const { tracks, wire, speaker, timeline, tally } = deps;
    this.#conversation = conversation;
    this.#deps = deps;
    this.#events = events;
    this.backend = backend;
    this.#barrier = task.barrier;
    tracks.bind(conversation.slot, {
      ...{ address: backend.address, port: backend.port, delta, mac },
      ...{ responseAt: sent, acked },
    });
    this.#comparison = new Comparison({
      ...{ conversation, tracks, speaker, timeline, tally },
      ...{ heard: task.heard, responseAt: task.responseAt, compared: task.compared },
      onGiven: given => {
        this.#replayer.given = given;
        this.#replayer.acknowledge();
      },
      onPassed: lost => {
        if (lost) this.#retransmit(lost.bytes, lost.from);
      },
      onDiffers: at => events.differs(at),
      onUnproven: () => events.unproven(),
    });
    const from = conversation.delivered;
    this.#replayer = new Replayer({ conversation, wire, tracks, backend, delta, from });
    this.#replayer.given = given;
  }

  /** To an alternate, which is to give the response again. */
  begin(): void {
    const replayer = this.#replayer;
    replayer.room = this.#comparison.checkTo;
    replayer.limit = this.#limit;
    this.#comparison.begin();
    replayer.go();
    if (this.#conversation.requests.size === 0) replayer.acknowledge();
  }

  /** To the back end that had it: nothing is compared. */
  resume(): void {
    const { slot } = this.#conversation;
    this.#deps.tracks.setServerMode(slot, ServerMode.SERVER_PASSES);
    this.#comparison.waive();
    this.#replayer.limit = this.#limit;
    this.#replayer.go();
    this.look();
  }

  /** Whether the back end has all of the client's bytes. */
  get isWhole(): boolean {
    return this.#replayer.isDone;
  }

  /** Offset behind what may be given to it. */
  get #limit(): number {
    return Math.min(
      this.#barrier?.requestAt ?? Number.POSITIVE_INFINITY,
      this.#conversation.guard?.limit(this.backend) ?? Number.POSITIVE_INFINITY,
    );
  }

  /** More of the client's bytes are in the log, or its FIN, or more may be given. */
  clientBytes(): void {
    this.#replayer.limit = this.#limit;
    this.#replayer.go();
    this.look();
  }

  /** A packet of its that was kept from the client. */
  serverBytes(event: LogEvent, bytes: Uint8Array | undefined): void {
    if (event.payload > 0)
      this.#comparison.give(this.#conversation.serverOffset(event.sequence), bytes, event);
    this.progressed(event);
  }

  /** It has said something. */
  progressed(event: LogEvent): void {
    if (this.#isClosed) return;
    this.#replayer.heard(event);
    if (event.flags & TcpFlags.FIN) this.#ended();
    else this.look();
  }

  /** Behind a whole response its end may be its will, before that it has died. */
  #ended(): void {
    const { open } = this.#conversation;
    if (!this.#comparison.hasPassed || (open && !open.untilClose)) {
      this.#events.failed('closed it');
      return;
    }
    this.#hasEnded = true;
    this.look();
  }

  #retransmit(bytes: Uint8Array, from: number): void {
    const { speaker, tracks } = this.#deps;
    this.#retransmitter = new Retransmitter({
      ...{ conversation: this.#conversation, speaker, tracks, bytes, from },
      onEnd: () => {
        this.#retransmitter = undefined;
        this.look();
      },
    });
    this.#retransmitter.start();
  }

  /** Goes on, or ends, as far as what is known allows. */
  look(): void {
    const conversation = this.#conversation;
    const { timeline } = this.#deps;
    if (this.#isClosed || !this.#replayer.isDone) return;
    if (!this.#isDelivered && conversation.open?.delivered) {
      this.#isDelivered = true;
      if (conversation.requests.size > 0) timeline.note(conversation, 'replayed');
      this.#events.delivered();
    }
    if (!this.#comparison.hasPassed || this.#retransmitter) return;
    if (this.#barrier) {
      // What is before it goes on as usual; the client's bytes are held until it is its turn.
      if (conversation.open === this.#barrier) this.#events.atBarrier();
      return;
    }
    if (!this.#comparison.isThere) return;
    if (this.#opening === 'closed') this.#open();
    if (this.#opening !== 'open') return;
    timeline.note(conversation, 'moved');
    this.#events.moved(this.#hasEnded);
  }

  /** Lets both directions pass; what was held until then may still be on its way here. */
  #open(): void {
    const { slot } = this.#conversation;
    const { tracks, datapath } = this.#deps;
    this.#opening = 'opening';
    tracks.setServerMode(slot, ServerMode.SERVER_PASSES);
    tracks.setClientMode(slot, ClientMode.CLIENT_PASSES);
    this.#conversation.backend = this.backend;
    this.#events.opened();
    datapath.afterDrain(() => {
      if (this.#isClosed) return;
      this.#opening = 'open';
      this.look();
    });
  }

  /** What was begun is void. */
  close(): void {
    this.#isClosed = true;
    this.#replayer.close();
    this.#retransmitter?.close();
  }
}
