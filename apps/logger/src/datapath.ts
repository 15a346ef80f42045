import { fileURLToPath } from 'node:url';
import { BpfMap, type BpfObject, mapMemory, parseIp, RingBuffer, u32 } from '@resplice/dataplane';
import { deriveKey } from '@resplice/protocol';
import {
  loggerConfigOffsets as at,
  type Flow,
  type FlowKey,
  flowKey as flowKeyLayout,
  flow as flowLayout,
  type ListenerKey,
  type LogEvent,
  listenerKey,
  logEvent,
  loggerConfig,
} from './layout.generated.ts';
import { LogRecord } from './log-record.ts';
import { Tracks } from './tracks.ts';

export const OBJECT = fileURLToPath(new URL('../bpf/logger.bpf.o', import.meta.url));

/** The table of connections, what leads to it, and what is told of it: other builds go on with them if they see them alike. */
export const TABLE = {
  maps: ['tracks', 'free_slots', 'flows', 'logger_config', 'events'],
  types: [
    ...['track', 'flow_key', 'flow', 'logger_config', 'log_event'],
    ...['log_type', 'client_mode', 'server_mode', 'track_trait'],
  ],
};

/** Between two looks into the ring, ms: a wake-up for each event would cost more than all the rest. */
const LOOK_MS = 1;
/** After so many looks at an empty ring the kernel half is asked to wake this one up. */
const LOOKS_BEFORE_SLEEP = 50;
/** Between two signs of life while nothing happens, ms. */
const BEAT_MS = 200;
/** Events of one turn, so that control records and timers get theirs while an upload goes on. */
const EVENTS_A_TURN = 4096;

/** @param event valid only during the call, like `bytes`, a view into the ring; `start` to `end` are the event's */
export type EventSink = (event: LogEvent, bytes: Uint8Array, start: number, end: number) => void;

/** What was told and nobody has read: a copy of the event, with its bytes. */
export interface WaitingEvent {
  event: LogEvent;
  bytes: Uint8Array;
}

/** The front-end logger's kernel half: its table of connections, what leads to it, and the ring of what it tells. */
export class Datapath {
  readonly tracks: Tracks;
  readonly flows: BpfMap<FlowKey, Flow>;
  readonly #guarded: BpfMap<ListenerKey, number>;
  readonly #ring: RingBuffer;
  readonly #config: Int32Array;
  readonly #beats: BigUint64Array;
  #beatTimer: NodeJS.Timeout | undefined;
  readonly #free: BigUint64Array;
  readonly #afterDrain: (() => void)[] = [];
  readonly #event = new LogRecord();
  #sink: EventSink = () => {};
  #timer: NodeJS.Timeout | undefined;
  #stopWaiting: (() => void) | undefined;
  #idleLooks = 0;
  #inherited: readonly WaitingEvent[] = [];

  /** @param options.patienceMs how long the kernel half waits for somebody to read the ring, before it lets connections pass unlogged */
  constructor(object: BpfObject, options: { key: Uint8Array; address: string; patienceMs: number }) {
    this.tracks = new Tracks(object.map('tracks'));
    this.flows = new BpfMap(object.map('flows'), flowKeyLayout, flowLayout);
    this.#guarded = new BpfMap(object.map('guarded'), listenerKey, u32);
    this.#ring = new RingBuffer(object.map('events'));
    const memory = mapMemory(object.map('logger_config'));
    this.#config = new Int32Array(memory);
    this.#beats = new BigUint64Array(memory);
    this.#free = new BigUint64Array(mapMemory(object.map('free_slots')));
    const view = new DataView(memory);
    const secret = Buffer.from(deriveKey(options.key, 'splice-syn', 16));
    const { slots } = this.tracks;
    loggerConfig.write(view, 0, {
      identityKey: { k0: secret.readBigUInt64LE(0), k1: secret.readBigUInt64LE(8) },
      address: parseIp(options.address),
      slots,
      sleeping: 0,
      fences: view.getUint32(at.fences, true),
      freeHead: view.getUint32(at.freeHead, true),
      freeTail: view.getUint32(at.freeTail, true),
      beatNs: process.hrtime.bigint(),
      patienceNs: BigInt(options.patienceMs) * 1_000_000n,
      guards: view.getUint32(at.guards, true),
      straysNs: 0n,
    });
    if (this.#word(at.freeTail) === 0) {
      for (let slot = 0; slot < slots; slot++) this.#free[slot] = BigInt(slot);
      Atomics.store(this.#config, at.freeTail / 4, slots);
    }
  }

  /** Connections that have a slot. */
  get used(): number {
    return this.tracks.slots - ((this.#word(at.freeTail) - this.#word(at.freeHead)) | 0);
  }

  /** Bytes that wait in the ring. */
  get pending(): number {
    return this.#ring.pending;
  }

  /** Gives a slot back; nothing may lead to it any more. */
  free(slot: number): void {
    const tail = this.#word(at.freeTail) >>> 0;
    this.#free[tail % this.tracks.slots] = BigInt(slot);
    Atomics.store(this.#config, at.freeTail / 4, tail + 1);
  }

  /** Tells the kernel half whether to look for fenced proxies. */
  setFences(count: number): void {
    Atomics.store(this.#config, at.fences / 4, count);
  }

  /**
   * Keeps what clients of these listeners send from the back ends, from the next connection on. Others are free; of a listener that is
   * no longer served its connections stay guarded.
   */
  setGuarded(listeners: readonly { address: string; port: number; isGuarded: boolean }[]): void {
    for (const { address, port, isGuarded } of listeners) {
      const key = { vip: parseIp(address), port };
      if (isGuarded) this.#guarded.set(key, 1);
      else this.#guarded.delete(key);
    }
    Atomics.store(this.#config, at.guards / 4, [...this.#guarded.entries()].length);
  }

  /** Whether any listener is guarded: nothing passes then of a connection that is not known. */
  get isGuarding(): boolean {
    return this.#word(at.guards) !== 0;
  }

  /** Slots that hold a connection. */
  usedSlots(): Iterable<number> {
    const { slots } = this.tracks;
    const used = new Set<number>(Array.from({ length: slots }, (_, slot) => slot));
    const tail = this.#word(at.freeTail) >>> 0;
    for (let next = this.#word(at.freeHead) >>> 0; next !== tail; next = (next + 1) >>> 0)
      used.delete(Number(this.#free[next % slots]));
    return used;
  }

  /** What another build's programs have told waits as well. */
  inherit(waiting: readonly WaitingEvent[]): void {
    this.#inherited = waiting;
  }

  /** Takes out of the ring what waits there, to look through it first; oldest first. */
  takeWaiting(): WaitingEvent[] {
    const waiting = [...this.#inherited];
    this.#inherited = [];
    this.#ring.drain((view, offset) => {
      const event = logEvent.read(view, offset);
      const start = offset + logEvent.size;
      waiting.push({ event, bytes: this.#bytesOf(view).slice(start, start + event.captured) });
    });
    return waiting.sort((a, b) => Number(a.event.timeNs - b.event.timeNs));
  }

  /** Begins to hand events to `sink`, those that wait already too. */
  listen(sink: EventSink): void {
    this.#sink = sink;
    this.#beatTimer = setInterval(() => this.#beat(), BEAT_MS);
    this.#look();
  }

  /**
   * Calls back when everything that the kernel half had told until now has been handed over, and no event is being handled.
   */
  afterDrain(callback: () => void): void {
    this.#afterDrain.push(callback);
    if (this.#stopWaiting) this.#wake();
  }

  close(): void {
    clearInterval(this.#beatTimer);
    clearTimeout(this.#timer);
    this.#stopWaiting?.();
    this.#ring.close();
  }

  /** Tells the kernel half that somebody reads. Its clock is that of `hrtime`. */
  #beat(): void {
    this.#beats[at.beatNs >> 3] = process.hrtime.bigint();
  }

  #look(): void {
    this.#beat();
    const waiting = this.#afterDrain.splice(0);
    const count = this.#ring.drain(this.#deliver, EVENTS_A_TURN);
    // There may be more: what waits for all of it waits on.
    if (count === EVENTS_A_TURN) this.#afterDrain.unshift(...waiting);
    else for (const callback of waiting) callback();
    if (count === EVENTS_A_TURN || this.#afterDrain.length > 0) {
      this.#idleLooks = 0;
      setImmediate(() => this.#look());
      return;
    }
    this.#idleLooks = count > 0 ? 0 : this.#idleLooks + 1;
    if (this.#idleLooks < LOOKS_BEFORE_SLEEP) {
      this.#timer = setTimeout(() => this.#look(), LOOK_MS);
      return;
    }
    this.#stopWaiting = this.#ring.onReadable(() => this.#wake());
    Atomics.store(this.#config, at.sleeping / 4, 1);
    // What came before the kernel half could see that: nobody would be woken up for it.
    if (this.#ring.pending > 0) this.#wake();
  }

  #wake(): void {
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    Atomics.store(this.#config, at.sleeping / 4, 0);
    this.#idleLooks = 0;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), 0);
  }

  readonly #deliver = (view: DataView, offset: number): void => {
    const event = this.#event;
    event.read(view, offset);
    const start = offset + logEvent.size;
    this.#sink(event, this.#bytesOf(view), start, start + event.captured);
  };

  #bytes: Uint8Array | undefined;
  #bytesOf(view: DataView): Uint8Array {
    this.#bytes ??= new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    return this.#bytes;
  }

  #word(offset: number): number {
    return Atomics.load(this.#config, offset / 4);
  }
}
