// The emulator's thread. It sleeps in ppoll until a packet comes or is due: the same from an event loop with timers
// costs most of a core, and is late by a millisecond. It never returns to its event loop, so messages to it are
// fetched, after a ring of its bell.

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { DelayLine } from './delay-line.ts';
import { counterNames, type EmulatorData, type EmulatorMessage, Shared } from './emulator-protocol.ts';
import {
  addressOf,
  enterNamespace,
  lastError,
  openTap,
  POLLERR,
  POLLIN,
  ppoll,
  read,
  tightenTimers,
  write,
} from './libc.ts';
import type { Direction } from './shape.ts';

const { namespace, devices, bell, seed, shared, slotBytes, capacity, port } = workerData as EmulatorData;

/** Packets of one direction in a row, so that neither the other one nor what is due waits long. */
const BURST = 64;
/** So often the thread returns to JavaScript even if nothing happens: only there can it be ended. ms */
const LONGEST_SLEEP_MS = 100;

const now = (): number => performance.now();

/** One direction: from a device through the line to the other device. */
class Path {
  readonly line: DelayLine;
  readonly #from: number;
  readonly #to: number;
  readonly #memory = new ArrayBuffer(slotBytes * capacity);
  readonly #base = addressOf(this.#memory);
  readonly #free = new Int32Array(capacity);
  #left = capacity;
  readonly #counters: Float64Array;

  constructor(index: number, from: number, to: number) {
    this.line = new DelayLine(capacity, seed, index);
    this.#from = from;
    this.#to = to;
    this.#counters = new Float64Array(
      shared,
      Shared.counters + index * counterNames.length * 8,
      counterNames.length,
    );
    for (let i = 0; i < capacity; i++) this.#free[i] = capacity - 1 - i;
  }

  /** @returns whether there may be more */
  takeIn(): boolean {
    for (let i = 0; i < BURST; i++) {
      // Slot 0 of nobody: what finds no room is read all the same, or it would wait in the device and come late.
      const slot = this.#left > 1 ? this.#free[this.#left - 1]! : this.#free[0]!;
      const length = read(this.#from, this.#base + slot * slotBytes, slotBytes);
      if (length <= 0) return false;
      if (this.#left <= 1) this.line.overflow();
      else if (this.line.accept(slot, length, now())) this.#left--;
    }
    return true;
  }

  sendDue(): void {
    const { line } = this;
    const { departure } = line;
    while (line.take(now())) {
      const at = this.#base + departure.slot * slotBytes;
      // A device that is down takes nothing: lost, as on a wire that nobody listens to.
      for (let i = 0; i < departure.copies; i++) write(this.#to, at, departure.length);
      this.#free[this.#left++] = departure.slot;
    }
  }

  publish(): void {
    for (let i = 0; i < counterNames.length; i++) this.#counters[i] = this.line.counters[counterNames[i]!];
  }
}

/** `struct pollfd` for each descriptor, and the `struct timespec` that says how long to sleep at most. */
class Sleep {
  readonly #memory = new ArrayBuffer(64);
  readonly #events = new Int16Array(this.#memory, 0, 16);
  readonly #timeout = new BigInt64Array(this.#memory, 48, 2);
  readonly #at = addressOf(this.#memory);
  readonly #count: number;

  constructor(fds: readonly number[]) {
    this.#count = fds.length;
    const numbers = new Int32Array(this.#memory, 0, 2 * fds.length);
    for (const [i, fd] of fds.entries()) {
      numbers[2 * i] = fd;
      this.#events[4 * i + 2] = POLLIN;
    }
  }

  /** Until something can be read, or `ms` have passed. */
  until(ms: number): void {
    const capped = Math.min(LONGEST_SLEEP_MS, Math.max(0, ms));
    this.#timeout[1] = BigInt(Math.floor(capped * 1e6));
    if (ppoll(this.#at, this.#count, this.#at + 48, 0) >= 0) return;
    for (let i = 0; i < this.#count; i++) this.#events[4 * i + 3] = 0;
  }

  found(index: number, event: number): boolean {
    return (this.#events[4 * index + 3]! & event) !== 0;
  }
}

function run(): void {
  if (namespace !== undefined) enterNamespace(namespace);
  tightenTimers();
  const state = new Int32Array(shared, Shared.state, Shared.words);
  // From here the emulator closes them when this thread has ended.
  const near = openTap(devices[0]);
  state[Shared.near] = near;
  const far = openTap(devices[1]);
  state[Shared.far] = far;
  const paths = [new Path(0, near, far), new Path(1, far, near)] as const;
  const ringing = new ArrayBuffer(8);
  const sleep = new Sleep([bell, near, far]);
  const shapes = (there: Direction, back: Direction): void => {
    paths[0].line.shape = there;
    paths[1].line.shape = back;
  };
  parentPort!.postMessage('ready');
  for (;;) {
    sleep.until(Math.min(paths[0].line.due, paths[1].line.due) - now());
    if (sleep.found(0, POLLIN)) {
      read(bell, addressOf(ringing), 8);
      for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
        const message = next.message as EmulatorMessage;
        if (message === 'stop') return;
        shapes(message.there, message.back);
      }
      Atomics.add(state, Shared.answers, 1);
      Atomics.notify(state, Shared.answers);
    }
    if (sleep.found(1, POLLERR) || sleep.found(2, POLLERR)) throw lastError('a device of the link is gone');
    if (sleep.found(1, POLLIN)) paths[0].takeIn();
    if (sleep.found(2, POLLIN)) paths[1].takeIn();
    paths[0].sendDue();
    paths[1].sendDue();
    paths[0].publish();
    paths[1].publish();
  }
}

run();
