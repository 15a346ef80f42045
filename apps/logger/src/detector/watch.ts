import type { ClassKnowledge, Detector } from './detector.ts';
import {
  ACKNOWLEDGEMENT_MS,
  type Bounds,
  FULL_SEGMENT,
  RETRANSMISSION_CAP_MS,
  RETRANSMISSION_GAPS,
  RETRANSMISSION_MS,
  type TimeoutBounds,
} from './settings.ts';

/** What is being waited for. */
type Timer =
  /** Not the server's turn: the request is incomplete, the client's window closed, or the transaction over. */
  | 'none'
  /** The request has been sent and is not acknowledged: it may not have arrived. */
  | 'arrival'
  /** The response's first byte (P10.3, first time-out). */
  | 'first'
  /** More of the response, all of which so far has reached the client (P10.3, second time-out). */
  | 'rest'
  /** Acknowledgements of the client, or the server's sending again what nobody acknowledges. */
  | 'repeat';

/**
 * One transaction at one back end. Whoever sees its packets tells what happens; the watch tells when it is the server that is
 * late. A slow client is none of its business: the second time-out runs only while the client has acknowledged everything
 * and has room for more.
 */
export class Watch {
  readonly #detector: Detector;
  readonly #known: ClassKnowledge;
  readonly #backend: string;
  readonly #bounds: TimeoutBounds;
  /** Time-outs are at least that long, after a suspicion. */
  #leastFirst: number;
  #leastRest: number;

  #timer: Timer = 'none';
  #since = 0;
  /** The detector's delay when the timer began. */
  #delay = 0;
  /** The time-out when the timer began: what is learnt meanwhile may lengthen it but not shorten it. */
  #timeout = 0;

  #complete = false;
  #begun = false;
  #over = false;
  #outstanding = 0;
  #widest = 0;
  #isOpen = true;
  /** Longest silence in this response while it was the server's turn, ms; below 0: there was none. */
  #silence = -1;
  /** Longest gap between packets of the server since the client has acknowledged anything, ms. */
  #gap = 0;

  /** Made by `Detector.watch`. */
  constructor(
    detector: Detector,
    known: ClassKnowledge,
    backend: string,
    bounds: TimeoutBounds,
    before: Watch | undefined,
  ) {
    this.#detector = detector;
    this.#known = known;
    this.#backend = backend;
    this.#bounds = bounds;
    this.#leastFirst = before ? leastAfter(before.#firstTimeout(), bounds.first) : 0;
    this.#leastRest = before ? leastAfter(before.#restTimeout(), bounds.rest) : 0;
  }

  /**
   * The request's last byte was forwarded. For a pipelined one: that, or the end of the response before it, whichever is later.
   * What has not arrived is not late, if its sender has to repeat it: a full listen queue, say, drops what comes.
   */
  requestSent(now: number): void {
    if (this.#complete || this.#over || this.#begun) return;
    this.#start('arrival', now, this.#arrivalTimeout());
  }

  /** The back end has acknowledged the request's last byte. */
  requestComplete(now: number): void {
    if (this.#complete || this.#over) return;
    this.#complete = true;
    // A server may answer before it has everything; then it owes the rest from now on.
    if (this.#begun) {
      this.#consider(now);
      return;
    }
    const [timer, since, delay] = [this.#timer, this.#since, this.#delay];
    this.#start('first', now, this.#firstTimeout());
    if (timer !== 'arrival' || now - since > ACKNOWLEDGEMENT_MS) return;
    this.#since = since;
    this.#delay = delay;
  }

  get isComplete(): boolean {
    return this.#complete;
  }

  /**
   * The suspicion was premature: the server has twice the time, and at least `start`. What it takes is learnt in full.
   *
   * @returns whether it is not suspect any more; its time-out may be at its cap
   */
  reprieve(now: number): boolean {
    this.#leastFirst = leastAfter(this.#firstTimeout(), this.#bounds.first);
    this.#leastRest = leastAfter(this.#restTimeout(), this.#bounds.rest);
    if (this.#timer === 'repeat') this.serverRepeat(now);
    return !this.isSuspect(now);
  }

  /** The first byte of what the server sends, be it an interim response (RFC 9110 §15.2). */
  firstByte(now: number): void {
    if (this.#begun || this.#over) return;
    this.#begun = true;
    if (this.#timer === 'first' || this.#timer === 'arrival')
      this.#known.first.learn(this.#backend, Math.max(0, now - this.#since));
    this.#sent(now);
  }

  /** Later bytes of the response, after `firstByte`, which were not forwarded before. */
  serverBytes(now: number): void {
    if (this.#over || !this.#begun) return;
    if (this.#timer === 'rest') {
      const silence = Math.max(0, now - this.#since);
      if (silence > this.#silence) {
        this.#silence = silence;
        // At once, not only at the end: a stream of events may not end for hours, and others like it begin meanwhile.
        this.#known.rest.raise(silence);
      }
    } else if (this.#timer === 'repeat') this.#gap = Math.max(this.#gap, now - this.#since);
    this.#sent(now);
  }

  /** A packet of the server that brings nothing new: sent again, a window probe. Its kernel lives. */
  serverRepeat(now: number): void {
    if (this.#timer !== 'repeat') return;
    this.#gap = Math.max(this.#gap, now - this.#since);
    this.#start('repeat', now, this.#repeatTimeout());
  }

  /**
   * An acknowledgement or window update of the client.
   *
   * @param outstandingBytes forwarded to the client and not acknowledged by it
   * @param windowBytes what it announces, unscaled, from the acknowledged byte on
   */
  clientAck(now: number, outstandingBytes: number, windowBytes: number): void {
    if (this.#over) return;
    if (windowBytes > this.#widest) this.#widest = windowBytes;
    const isProgress = outstandingBytes < this.#outstanding;
    this.#outstanding = Math.max(0, outstandingBytes);
    // Less room than this a sender may leave unused (RFC 9293 §3.8.6.2.1).
    const room = Math.min(FULL_SEGMENT, this.#widest / 2);
    this.#isOpen = windowBytes > 0 && windowBytes - this.#outstanding >= room;
    if (!this.#begun) return;
    if (isProgress) {
      this.#gap = 0;
      if (this.#timer === 'repeat') this.#start('repeat', now, this.#repeatTimeout());
    }
    this.#consider(now);
  }

  /** The response is complete: what it took is learnt. */
  done(): void {
    if (this.#over) return;
    if (this.#silence >= 0) this.#known.rest.learn(this.#backend, this.#silence);
    this.abandon();
  }

  /** Nobody waits any more: the client has gone, or the back end is no longer asked. */
  abandon(): void {
    this.#over = true;
    this.#timer = 'none';
  }

  /** When suspicion falls if nothing more happens, ms; undefined while it is not the server's turn. */
  deadline(): number | undefined {
    if (this.#timer === 'none') return undefined;
    return this.#since + Math.max(this.#timeout, this.#currentTimeout()) + this.#detector.delay - this.#delay;
  }

  /** Whether the server has been silent for too long. */
  isSuspect(now: number): boolean {
    return this.#timer !== 'none' && now >= this.deadline()!;
  }

  #sent(now: number): void {
    // The exact number comes with the client's next packet; until then it has not acknowledged all.
    this.#outstanding = Math.max(1, this.#outstanding);
    this.#start('repeat', now, this.#repeatTimeout());
  }

  /** Whose turn is it, with the response begun? */
  #consider(now: number): void {
    if (this.#outstanding > 0) {
      if (this.#timer !== 'repeat') this.#start('repeat', now, this.#repeatTimeout());
    } else if (!this.#complete || !this.#isOpen) {
      this.#timer = 'none';
    } else if (this.#timer !== 'rest') {
      this.#start('rest', now, this.#restTimeout());
    }
  }

  #start(timer: Timer, now: number, timeout: number): void {
    this.#timer = timer;
    this.#since = now;
    this.#timeout = timeout;
    this.#delay = this.#detector.delay;
  }

  #currentTimeout(): number {
    if (this.#timer === 'first') return this.#firstTimeout();
    if (this.#timer === 'arrival') return this.#arrivalTimeout();
    return this.#timer === 'rest' ? this.#restTimeout() : this.#repeatTimeout();
  }

  #arrivalTimeout(): number {
    return Math.max(this.#bounds.first.start, this.#firstTimeout());
  }

  #firstTimeout(): number {
    return Math.max(this.#leastFirst, this.#known.first.timeout(this.#backend, this.#bounds.first));
  }

  #restTimeout(): number {
    const learnt = this.#known.rest.timeout(this.#backend, this.#bounds.rest);
    return Math.max(this.#leastRest, learnt);
  }

  #repeatTimeout(): number {
    const steps = Math.max(RETRANSMISSION_MS, RETRANSMISSION_GAPS * this.#gap);
    return Math.min(RETRANSMISSION_CAP_MS, steps);
  }
}

/** What is slow at every back end must not be chased from one to the next. */
function leastAfter(expired: number, { start, cap }: Bounds): number {
  return Math.min(cap, Math.max(2 * expired, start));
}
