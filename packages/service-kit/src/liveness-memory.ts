// What the main thread and the liveness worker share without messages: a message waits for an event loop, and the worker
// must know at once that the main thread has stalled or is no longer ready.

import { monotonicMs } from './clock.ts';

export const LIVENESS_COUNTERS = [
  /** Probes sent. */
  'probes',
  /** Probes of others that were answered. */
  'answers',
  /** Probes of others left unanswered since the main thread stalled. */
  'withheld',
  /** Datagrams whose seal did not open: forged, replayed, old, damaged. */
  'refused',
  /** Authentic datagrams that were not for us, or answered nothing that was asked. */
  'unexpected',
  /** Datagrams that the kernel would not send, since a route or device is missing. */
  'unsendable',
  /** Own rounds that ended too late to count misses. */
  'late_rounds',
  /** Times that all live targets went silent at once. */
  'self_suspicions',
  /** Times that this process stood still, or was silent, for so long that others may have taken it for dead. */
  'lapses',
] as const;

export type LivenessCounter = (typeof LIVENESS_COUNTERS)[number];

const BEAT = 0;
const READY = 1;
const STATUS = 2;
const LAPSES = 3;
const LAPSES_SETTLED = 4;
const FIRST_COUNTER = 5;

export class LivenessMemory {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer = new SharedArrayBuffer(4 * (FIRST_COUNTER + LIVENESS_COUNTERS.length))) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** The main thread's sign of life. */
  beat(): void {
    Atomics.store(this.#words, BEAT, monotonicMs() | 0);
  }

  /** Ms since the last beat; the 32-bit difference survives the wrap-around after 49 days. */
  sinceBeat(): number {
    return ((monotonicMs() | 0) - Atomics.load(this.#words, BEAT)) | 0;
  }

  /** Whether the main thread has not dealt with the last lapse yet. */
  get isLapsed(): boolean {
    return this.lapses !== Atomics.load(this.#words, LAPSES_SETTLED);
  }

  /** Not before the main thread has dealt with the last lapse, whatever it said before. */
  get ready(): boolean {
    return Atomics.load(this.#words, READY) === 1 && !this.isLapsed;
  }

  set ready(ready: boolean) {
    Atomics.store(this.#words, READY, ready ? 1 : 0);
  }

  /** u32 */
  get status(): number {
    return Atomics.load(this.#words, STATUS) >>> 0;
  }

  set status(status: number) {
    Atomics.store(this.#words, STATUS, status | 0);
  }

  get lapses(): number {
    return Atomics.load(this.#words, LAPSES);
  }

  lapse(): void {
    Atomics.add(this.#words, LAPSES, 1);
  }

  /** @param lapses as many as had been seen when the main thread began to deal with them */
  settle(lapses: number): void {
    Atomics.store(this.#words, LAPSES_SETTLED, lapses);
  }

  count(counter: LivenessCounter): void {
    Atomics.add(this.#words, FIRST_COUNTER + LIVENESS_COUNTERS.indexOf(counter), 1);
  }

  read(counter: LivenessCounter): number {
    return Atomics.load(this.#words, FIRST_COUNTER + LIVENESS_COUNTERS.indexOf(counter)) >>> 0;
  }
}

/** Of one target: figures that are read when somebody looks. */
export class TargetMemory {
  readonly buffer: SharedArrayBuffer;
  readonly #numbers: Float64Array;

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer;
    this.#numbers = new Float64Array(buffer);
  }

  heard(rttUs: number): void {
    this.#numbers[0] = rttUs;
    this.#numbers[1] = monotonicMs();
  }

  /** Round trip of the newest answer in µs; 0 before the first. */
  get rttUs(): number {
    return this.#numbers[0]!;
  }

  /** Ms since the newest answer; Infinity before the first. */
  get sinceHeardMs(): number {
    return this.#numbers[1] === 0 ? Number.POSITIVE_INFINITY : monotonicMs() - this.#numbers[1]!;
  }
}
