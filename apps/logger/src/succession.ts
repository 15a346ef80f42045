import {
  after,
  BpfMap,
  type BpfObject,
  type FormerMaps,
  type Layout,
  mapMemory,
  RingBuffer,
  type Translation,
} from '@resplice/dataplane';
import type { WaitingEvent } from './datapath.ts';
import {
  loggerConfigOffsets as configAt,
  flowKey,
  flow as flowLayout,
  logEvent,
  loggerConfig,
  type Track,
  track as trackLayout,
  trackOffsets,
} from './layout.generated.ts';
import { Tracks } from './tracks.ts';

/** Free slots that are left to the former programs until they are gone. */
const RESERVED = 1024;

/** What only grows, as numbers modulo 2^32. */
const NUMBERS = [
  ...(['clientLogged', 'clientAck', 'serverNext', 'serverLogged'] as const),
  ...(['serverSeen', 'serverAcked', 'told'] as const),
];
/** CLOCK_MONOTONIC, ns. */
const TIMES = ['clientNs', 'serverNs'] as const;
/** What is said once. */
const FLAGS = ['clientEnded', 'endPasses', 'unattended'] as const;

/**
 * Goes on with the table of connections that another build has left, which lays it out otherwise: everything is copied before this
 * build's programs are attached, and what the former ones have noted meanwhile follows when they are gone. In between, some milliseconds,
 * an acknowledgement of what only the other ones have seen may be dropped; its sender repeats it.
 */
export class Succession {
  readonly #former: FormerMaps;
  readonly #object: BpfObject;
  readonly #translation: Translation;
  /** The former table, and this build's. */
  readonly #from: Uint8Array;
  readonly #to: DataView;
  readonly #words: Int32Array;
  readonly #doubleWords: BigInt64Array;
  /** Connections, and what their entries were when they were copied. */
  readonly #copied = new Map<number, Uint8Array>();
  #reserved: readonly number[] = [];
  /** How many slots the former programs had taken by then. */
  #taken = 0;

  constructor(former: FormerMaps, object: BpfObject) {
    this.#former = former;
    this.#object = object;
    this.#translation = former.translation('track');
    this.#from = new Uint8Array(mapMemory(former.map('tracks')));
    const memory = mapMemory(object.map('tracks'));
    this.#to = new DataView(memory);
    this.#words = new Int32Array(memory);
    this.#doubleWords = new BigInt64Array(memory);
  }

  /** Whether this build's table has room for all. */
  get fits(): boolean {
    return this.#former.map('tracks').maxEntries <= this.#object.map('tracks').maxEntries;
  }

  /** To be called before any program of this build is attached. @returns how many connections there are */
  begin(): number {
    const { head, free } = this.#formerFree();
    this.#taken = head;
    const slots = this.#slots;
    this.#reserved = free.slice(0, Math.min(RESERVED, free.length >> 1));
    const isFree = new Set(free);
    const generationAt = this.#translation.offsetOf('generation') ?? 0;
    const words = new Uint32Array(this.#from.buffer);
    for (let slot = 0; slot < slots.former; slot++) {
      const generation = words[(slot * this.#stride + generationAt) >> 2]!;
      if (generation === 0) continue;
      // Of a free slot only that is of use: what is told of a former connection must not be taken for the next one's.
      if (isFree.has(slot)) this.#setWord(slot, 'generation', generation);
      else this.#copy(slot);
    }
    const more = Array.from({ length: slots.own - slots.former }, (_, i) => slots.former + i);
    this.#makeFree([...free.slice(this.#reserved.length), ...more], true);
    this.#copyFlows();
    return this.#copied.size;
  }

  /**
   * To be called when all programs of this build are attached.
   *
   * @returns what the former ones have told and nobody has read, oldest first
   */
  end(): WaitingEvent[] {
    for (const [slot, before] of this.#copied) {
      const entry = this.#entry(slot);
      if (Buffer.compare(before, entry) !== 0) this.#catchUp(slot, this.#read(entry));
    }
    const taken = Math.min(this.#reserved.length, (this.#formerFree().head - this.#taken) | 0);
    for (const slot of this.#reserved.slice(0, taken)) this.#copy(slot);
    this.#makeFree(this.#reserved.slice(taken), false);
    this.#copyFlows();
    return this.#takeWaiting();
  }

  get #slots(): { former: number; own: number } {
    return {
      former: this.#former.map('tracks').maxEntries,
      own: this.#object.map('tracks').maxEntries,
    };
  }

  /** Bytes from one entry of the former table to the next: arrays are aligned to 8. */
  get #stride(): number {
    return (this.#translation.formerSize + 7) & ~7;
  }

  #entry(slot: number): Uint8Array {
    const at = slot * this.#stride;
    return this.#from.subarray(at, at + this.#translation.formerSize);
  }

  #read(entry: Uint8Array): Track {
    return trackLayout.read(new DataView(this.#translation.translate(entry).buffer), 0);
  }

  #copy(slot: number): void {
    const entry = this.#entry(slot).slice();
    this.#copied.set(slot, entry);
    trackLayout.write(this.#to, slot * trackLayout.size, this.#read(entry));
  }

  /** What the former programs have noted of a connection that both have seen. */
  #catchUp(slot: number, former: Track): void {
    for (const field of NUMBERS) {
      const at = (slot * trackLayout.size + trackOffsets[field]) >> 2;
      // The programs write here, too.
      for (let known = Atomics.load(this.#words, at); after(former[field], known >>> 0); ) {
        const found = Atomics.compareExchange(this.#words, at, known, former[field] | 0);
        if (found === known) break;
        known = found;
      }
    }
    const own = trackLayout.read(this.#to, slot * trackLayout.size);
    for (const field of TIMES)
      if (former[field] > own[field])
        this.#doubleWords[(slot * trackLayout.size + trackOffsets[field]) >> 3] = former[field];
    for (const field of FLAGS)
      if (former[field] !== 0)
        this.#to.setUint8(slot * trackLayout.size + trackOffsets[field], former[field]);
    if (former.bound !== 0 && own.bound === 0)
      new Tracks(this.#object.map('tracks')).bind(slot, bindingOf(former, own));
  }

  #setWord(slot: number, field: keyof Track, value: number): void {
    this.#to.setUint32(slot * trackLayout.size + trackOffsets[field], value, true);
  }

  #formerFree(): { head: number; free: number[] } {
    const translation = this.#former.translation('logger_config');
    const bytes = new Uint8Array(mapMemory(this.#former.map('logger_config')), 0, translation.formerSize);
    const { freeHead, freeTail } = loggerConfig.read(new DataView(translation.translate(bytes).buffer), 0);
    const ring = new BigUint64Array(mapMemory(this.#former.map('free_slots')));
    const count = (freeTail - freeHead) >>> 0;
    const { former } = this.#slots;
    const free = Array.from({ length: count }, (_, i) => Number(ring[((freeHead + i) >>> 0) % former]));
    return { head: freeHead, free };
  }

  /** @param isAll whether no other slots are free */
  #makeFree(free: readonly number[], isAll: boolean): void {
    const ring = new BigUint64Array(mapMemory(this.#object.map('free_slots')));
    const config = new Int32Array(mapMemory(this.#object.map('logger_config')));
    if (isAll) Atomics.store(config, configAt.freeHead / 4, 0);
    const tail = isAll ? 0 : Atomics.load(config, configAt.freeTail / 4) >>> 0;
    const { own } = this.#slots;
    free.forEach((slot, i) => {
      ring[((tail + i) >>> 0) % own] = BigInt(slot);
    });
    Atomics.store(config, configAt.freeTail / 4, (tail + free.length) | 0);
  }

  /** What leads to connections that are copied; what this build's programs know is left as it is. */
  #copyFlows(): void {
    const [ofKey, ofFlow] = (['flow_key', 'flow'] as const).map(type => this.#former.translation(type));
    const from = new BpfMap(this.#former.map('flows'), bytes(ofKey!.formerSize), bytes(ofFlow!.formerSize));
    const to = new BpfMap(this.#object.map('flows'), flowKey, flowLayout);
    for (const [key, value] of from.entries()) {
      const flow = flowLayout.read(new DataView(ofFlow!.translate(value).buffer), 0);
      if (this.#copied.has(flow.slot))
        to.set(flowKey.read(new DataView(ofKey!.translate(key).buffer), 0), flow, 'new');
    }
  }

  #takeWaiting(): WaitingEvent[] {
    const { formerSize, translate } = this.#former.translation('log_event');
    const waiting: WaitingEvent[] = [];
    const ring = new RingBuffer(this.#former.map('events'));
    const take = (view: DataView, offset: number): void => {
      const all = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      const head = translate(all.subarray(offset, offset + formerSize));
      const event = logEvent.read(new DataView(head.buffer), 0);
      const start = offset + formerSize;
      waiting.push({ event, bytes: all.slice(start, start + event.captured) });
    };
    while (ring.drain(take) > 0);
    ring.close();
    return waiting;
  }
}

/** As the first byte of a connection has told it. */
function bindingOf({ backend, backendPort, delta, mac }: Track, { serverSeen, serverAcked }: Track) {
  return { address: backend, port: backendPort, delta, mac, responseAt: serverSeen, acked: serverAcked };
}

function bytes(size: number): Layout<Uint8Array> {
  return {
    size,
    read: (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, size).slice(),
    write: (view, offset, value) => new Uint8Array(view.buffer, view.byteOffset + offset, size).set(value),
  };
}
