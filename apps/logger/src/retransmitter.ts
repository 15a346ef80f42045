import type { Conversation } from './conversation.ts';
import type { Speaker } from './speaker.ts';
import type { Tracks } from './tracks.ts';

/** First time-out, ms: that of a TCP without samples on a LAN; doubled each time (RFC 6298 §5.5). */
const TIMEOUT_MS = 200;
const MAX_TIMEOUT_MS = 3000;
/** Segments at first (RFC 6928). */
const INITIAL_WINDOW = 10;
/** Between two looks at what the client has acknowledged, ms: bare ACKs are not told. */
const LOOK_MS = 2;
/** A client that takes nothing for so long is gone, ms. */
const GIVE_UP_MS = 120_000;

/**
 * Brings a client what is recorded of a response and what it has not acknowledged, when the back end that sent it can no longer do
 * so: at most the 64 KiB that are kept (ARCHITECTURE §6).
 */
export class Retransmitter {
  readonly #conversation: Conversation;
  readonly #speaker: Pick<Speaker, 'say'>;
  readonly #tracks: Tracks;
  readonly #bytes: Uint8Array;
  readonly #from: number;
  readonly #onEnd: () => void;
  #sentTo: number;
  #acknowledged: number;
  #window = INITIAL_WINDOW;
  #timeoutMs = TIMEOUT_MS;
  #progressMs = performance.now();
  #sentMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param from offset of the first of `bytes` in the server's stream
   * @param onEnd all is acknowledged, or never will be
   */
  constructor(options: {
    conversation: Conversation;
    speaker: Pick<Speaker, 'say'>;
    tracks: Tracks;
    bytes: Uint8Array;
    from: number;
    onEnd: () => void;
  }) {
    this.#conversation = options.conversation;
    this.#speaker = options.speaker;
    this.#tracks = options.tracks;
    this.#bytes = options.bytes;
    this.#from = options.from;
    this.#onEnd = options.onEnd;
    this.#acknowledged = this.#sentTo = Math.max(options.from, options.conversation.acknowledged);
  }

  /** Sends what may go out at once. `onEnd` may be called before this returns. */
  start(): void {
    this.#look();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #look(): void {
    if (this.#closed) return;
    const now = performance.now();
    const { acknowledged, offer } = this.#conversation;
    const end = this.#from + this.#bytes.length;
    if (acknowledged >= end || now - this.#progressMs > GIVE_UP_MS) {
      this.close();
      this.#onEnd();
      return;
    }
    if (acknowledged > this.#acknowledged) {
      // Slow start: a segment more for each that has arrived (RFC 5681 §3.1).
      this.#window += Math.ceil((acknowledged - this.#acknowledged) / offer.mss);
      this.#acknowledged = acknowledged;
      this.#progressMs = now;
      this.#timeoutMs = TIMEOUT_MS;
      this.#sentTo = Math.max(this.#sentTo, acknowledged);
    } else if (this.#sentTo > this.#acknowledged && now - this.#sentMs > this.#timeoutMs) {
      this.#timeoutMs = Math.min(MAX_TIMEOUT_MS, this.#timeoutMs * 2);
      this.#window = 1;
      this.#sentTo = this.#acknowledged;
    }
    const to = Math.min(end, this.#acknowledged + this.#window * offer.mss);
    if (to > this.#sentTo) {
      const { id, slot } = this.#conversation;
      this.#speaker.say(id, {
        seq: this.#conversation.serverSequence(this.#sentTo),
        ack: this.#tracks.told(slot),
        window: 512,
        mss: offer.mss,
        payload: this.#bytes.subarray(this.#sentTo - this.#from, to - this.#from),
      });
      this.#sentTo = to;
      this.#sentMs = now;
    }
    this.#timer = setTimeout(() => this.#look(), LOOK_MS);
  }
}
