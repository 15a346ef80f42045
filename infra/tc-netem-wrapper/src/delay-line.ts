import { Random } from './random.ts';
import { type Direction, wire } from './shape.ts';

/** Packets that wait for their time, first in, first out. */
class Fifo {
  readonly #mask: number;
  readonly #due: Float64Array;
  readonly #slot: Int32Array;
  readonly #length: Int32Array;
  readonly #copies: Uint8Array;
  #head = 0;
  #tail = 0;

  /** @param capacity a power of two */
  constructor(capacity: number) {
    this.#mask = capacity - 1;
    this.#due = new Float64Array(capacity);
    this.#slot = new Int32Array(capacity);
    this.#length = new Int32Array(capacity);
    this.#copies = new Uint8Array(capacity);
  }

  /** When the first one is due; infinite when there is none. */
  get due(): number {
    return this.#head === this.#tail ? Number.POSITIVE_INFINITY : this.#due[this.#head & this.#mask]!;
  }

  push(due: number, slot: number, length: number, copies: number): void {
    const at = this.#tail++ & this.#mask;
    this.#due[at] = due;
    this.#slot[at] = slot;
    this.#length[at] = length;
    this.#copies[at] = copies;
  }

  /** Moves the first one into `into`. */
  shift(into: Departure): void {
    const at = this.#head++ & this.#mask;
    into.slot = this.#slot[at]!;
    into.length = this.#length[at]!;
    into.copies = this.#copies[at]!;
  }
}

/** A packet that is due. */
export interface Departure {
  slot: number;
  length: number;
  /** How often it arrives: 1, or 2. */
  copies: number;
}

export interface LineCounters {
  offered: number;
  delivered: number;
  deliveredBytes: number;
  droppedByQueue: number;
  droppedByLoss: number;
}

/** Each kind of fate has a stream of its own, so that the n-th packet's loss does not depend on what else is set. */
const streams = { loss: 1, duplicate: 2, reorder: 3, jitter: 4 } as const;

/**
 * One direction of a link as arithmetic: when does which packet leave? It knows neither devices nor clocks. Packets
 * are numbers of slots that the caller owns; times are milliseconds on any clock that does not go back.
 */
export class DelayLine {
  readonly counters: LineCounters = {
    offered: 0,
    delivered: 0,
    deliveredBytes: 0,
    droppedByQueue: 0,
    droppedByLoss: 0,
  };
  /** What `take` found. */
  readonly departure: Departure = { slot: -1, length: 0, copies: 0 };
  readonly #ordered: Fifo;
  readonly #overtaking: Fifo;
  readonly #loss: Random;
  readonly #duplicate: Random;
  readonly #reorder: Random;
  readonly #jitter: Random;
  #shape: Direction = wire;
  #msPerByte = 0;
  #maxPackets = 0;
  #maxBytes = 0;
  #lastDue = 0;
  // The queue before the narrow place: when each packet in it will have been sent, and its length.
  readonly #sentAt: Float64Array;
  readonly #queued: Int32Array;
  #queueHead = 0;
  #queueTail = 0;
  #queueBytes = 0;
  #freeAt = 0;

  /**
   * @param capacity a power of two; no more packets may be inside at a time, those in the queue included
   * @param direction 0 or 1: the two directions of a link have the same seed and different fates
   */
  constructor(capacity: number, seed: number, direction: number) {
    this.#ordered = new Fifo(capacity);
    this.#overtaking = new Fifo(capacity);
    this.#sentAt = new Float64Array(capacity);
    this.#queued = new Int32Array(capacity);
    const stream = (kind: keyof typeof streams) => new Random(seed, streams[kind] + direction * 16);
    this.#loss = stream('loss');
    this.#duplicate = stream('duplicate');
    this.#reorder = stream('reorder');
    this.#jitter = stream('jitter');
  }

  /** From now on; packets inside keep their times. */
  set shape(shape: Direction) {
    this.#shape = shape;
    this.#msPerByte = shape.rate === null ? 0 : 8000 / shape.rate;
    this.#maxPackets = 'packets' in shape.queue ? shape.queue.packets : Number.POSITIVE_INFINITY;
    this.#maxBytes = 'bytes' in shape.queue ? shape.queue.bytes : Number.POSITIVE_INFINITY;
  }

  /** When `take` will find something; infinite when nothing is inside. */
  get due(): number {
    return Math.min(this.#ordered.due, this.#overtaking.due);
  }

  /**
   * A packet arrives at the near end.
   * @returns whether it is kept; otherwise its slot is free again
   */
  accept(slot: number, length: number, now: number): boolean {
    const { delay, jitter, loss, duplicate, reorder } = this.#shape;
    this.counters.offered++;
    // Drawn for every packet, whatever becomes of it: the n-th packet's fate repeats although the queue's does not.
    const isLost = this.#loss.next() * 100 < loss;
    const isDoubled = this.#duplicate.next() * 100 < duplicate;
    const overtakes = this.#reorder.next() * 100 < reorder;
    const drawn = this.#jitter.next() * 2 - 1;
    const sent = this.#send(length, now);
    if (sent < 0) {
      this.counters.droppedByQueue++;
      return false;
    }
    // Lost behind the narrow place: it has used the link. Lost and doubled, one of the two arrives.
    if (isLost && !isDoubled) {
      this.counters.droppedByLoss++;
      return false;
    }
    const copies = isDoubled && !isLost ? 2 : 1;
    if (overtakes) {
      this.#overtaking.push(sent, slot, length, copies);
      return true;
    }
    this.#lastDue = Math.max(this.#lastDue, sent + delay + drawn * jitter);
    this.#ordered.push(this.#lastDue, slot, length, copies);
    return true;
  }

  /** No room was left even to read it. */
  overflow(): void {
    this.counters.offered++;
    this.counters.droppedByQueue++;
  }

  /** @returns whether a packet is due; `departure` describes it then */
  take(now: number): boolean {
    const first = this.#overtaking.due < this.#ordered.due ? this.#overtaking : this.#ordered;
    if (first.due > now) return false;
    first.shift(this.departure);
    this.counters.delivered += this.departure.copies;
    this.counters.deliveredBytes += this.departure.copies * this.departure.length;
    return true;
  }

  /** @returns when its last bit is on the line, or -1 when the queue is full */
  #send(length: number, now: number): number {
    const mask = this.#sentAt.length - 1;
    while (this.#queueHead < this.#queueTail && this.#sentAt[this.#queueHead & mask]! <= now) {
      this.#queueBytes -= this.#queued[this.#queueHead++ & mask]!;
    }
    if (this.#msPerByte === 0) return now;
    const inQueue = this.#queueTail - this.#queueHead;
    if (inQueue >= this.#maxPackets || inQueue > mask || this.#queueBytes + length > this.#maxBytes)
      return -1;
    this.#freeAt = Math.max(now, this.#freeAt) + length * this.#msPerByte;
    const at = this.#queueTail++ & mask;
    this.#sentAt[at] = this.#freeAt;
    this.#queued[at] = length;
    this.#queueBytes += length;
    return this.#freeAt;
  }
}
