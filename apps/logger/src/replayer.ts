import { type Backend, CLIENT_WINDOW_SCALE, NO_WINDOW_SCALE, shiftOf, type Wire } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { Tracks } from './tracks.ts';

/** Bytes on their way at once, at most; the back end's window may allow for less. */
const BURST = 256 << 10;
/** Pause before what is not acknowledged is sent again, ms; the last one repeats. */
const RETRY_MS = [20, 40, 80, 160, 320, 640, 1000];

/** Where nothing has failed, no sooner than that, ms: a kernel may hold an acknowledgement back for 40 ms. */
const PATIENT_MS = 60;

/**
 * Delivers the logged request to the back end that holds the connection now (P12.4), paced by its acknowledgements: the client sends
 * none of it again, since it was told that it has arrived.
 */
export class Replayer {
  readonly #conversation: Conversation;
  readonly #wire: Pick<Wire, 'deliver'>;
  readonly #tracks: Tracks;
  readonly #backend: Backend;
  readonly #delta: number;
  readonly #isOnly: boolean;
  /** Offset behind the last byte that may be delivered now; Infinity: all. */
  limit = Number.POSITIVE_INFINITY;
  #sentTo: number;
  /** Of the back end, bytes; at first the least that kernels grant. */
  #window = 32 << 10;
  #attempts = 0;
  #timer: NodeJS.Timeout | undefined;
  #finSent = false;
  #closed = false;

  /**
   * @param from offset of the first byte to be delivered
   * @param isOnly the client's own repetitions never pass: whatever is lost is to be sent again here
   */
  constructor(options: {
    conversation: Conversation;
    wire: Pick<Wire, 'deliver'>;
    tracks: Tracks;
    backend: Backend;
    delta: number;
    from: number;
    isOnly?: boolean;
  }) {
    this.#conversation = options.conversation;
    this.#wire = options.wire;
    this.#tracks = options.tracks;
    this.#backend = options.backend;
    this.#delta = options.delta;
    this.#sentTo = options.from;
    this.#isOnly = options.isOnly ?? false;
  }

  /**
   * Whether the client can go on by itself: all has been sent, and the back end has what the client was told has arrived. The rest
   * the client sends again if it is lost.
   */
  get isDone(): boolean {
    const { delivered, told, clientEnd } = this.#conversation;
    const end = this.#end;
    const finIsDue = clientEnd === end && !this.#finSent;
    return this.#sentTo >= end && delivered >= (this.#isOnly ? end : Math.min(end, told)) && !finIsDue;
  }

  get #end(): number {
    return Math.min(this.limit, this.#conversation.requests.end);
  }

  /** Sends what is due. To be called when bytes were logged or acknowledged, also when there is nothing to send: it is a bare ACK then. */
  go(): void {
    const { delivered } = this.#conversation;
    const end = this.#end;
    if (this.#sentTo < delivered) this.#sentTo = delivered;
    const most = delivered + this.#window;
    if (this.#sentTo < end && this.#sentTo < most) {
      const to = Math.min(end, most);
      this.#send(this.#sentTo, to);
      this.#sentTo = to;
    }
    const { clientEnd } = this.#conversation;
    if (clientEnd !== undefined && this.#sentTo === clientEnd && !this.#finSent && end === clientEnd) {
      this.#finSent = true;
      this.#send(clientEnd, clientEnd);
    }
    this.#arm();
  }

  /** The back end has said something: how far it is, and how much more it takes. */
  heard({ window }: { window: number }): void {
    const scale = this.#conversation.offer.windowScale === NO_WINDOW_SCALE ? 0 : CLIENT_WINDOW_SCALE;
    this.#window = Math.min(BURST, window << scale);
    this.#attempts = 0;
    this.go();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #send(from: number, to: number): void {
    const conversation = this.#conversation;
    // Before it leaves: from now on the back end may have run it.
    for (const transaction of conversation.transactions) {
      const { requestAt, requestEnd } = transaction;
      if (requestAt < to) conversation.give(transaction);
      if (requestEnd !== undefined && requestEnd <= to) transaction.delivered = true;
    }
    this.#wire.deliver(
      this.#backend,
      { ...conversation.id, delta: this.#delta },
      {
        sequence: conversation.clientSequence(from),
        acknowledgement: conversation.serverSequence(this.#taken),
        window: this.#windowField,
        payload: conversation.requests.read(from, to),
        fin: to === conversation.clientEnd,
      },
    );
  }

  /** Offset behind what the logger has taken of the response in the client's name. */
  given = 0;
  /** Offset up to which the back end may send in any case: what is compared needs no room at the client. */
  room = 0;

  /**
   * Offset behind what the back end is told has arrived: no more than it has sent, and while it is compared no more than that has got
   * to. The ring may have been full: what was not told must come again, whatever the client has of it.
   */
  get #taken(): number {
    if (this.given < this.room) return this.given;
    const conversation = this.#conversation;
    const seen = conversation.serverOffset(this.#tracks.serverSeen(conversation.slot));
    return Math.max(this.given, Math.min(conversation.acknowledged, seen));
  }

  /**
   * The client's own room is counted from its own acknowledgement, which may be further. Of what is compared a whole segment must
   * always fit: no sender splits one for a smaller window before its timer tells it to (RFC 9293 §3.8.6.2.1).
   */
  get #windowField(): number {
    const { slot, acknowledged, offer } = this.#conversation;
    const unit = 2 ** shiftOf(offer);
    const taken = this.#taken;
    const ofClient = Math.floor((acknowledged - taken) / unit) + this.#tracks.clientWindow(slot);
    const ofCheck = taken < this.room ? Math.ceil((this.room - taken + offer.mss) / unit) : 0;
    return Math.max(0, Math.min(0xffff, Math.max(ofClient, ofCheck)));
  }

  /** A bare ACK. */
  acknowledge(): void {
    this.#send(this.#sentTo, this.#sentTo);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#closed || this.isDone) return;
    const wait = RETRY_MS[Math.min(this.#attempts, RETRY_MS.length - 1)]!;
    const least = this.#isOnly ? PATIENT_MS : 0;
    this.#timer = setTimeout(
      () => {
        this.#attempts++;
        // Its word that there is room again may be lost: a byte asks (RFC 9293 §3.8.6.1).
        if (this.#window === 0) this.#window = 1;
        this.#sentTo = Math.min(this.#sentTo, this.#conversation.delivered);
        this.#finSent = false;
        this.go();
      },
      Math.max(least, wait),
    );
  }
}
