/**
 * The reading end of a BPF_MAP_TYPE_RINGBUF: plain loads and stores on memory that is shared with the kernel, no system
 * call and no allocation per record (kernel/bpf/ringbuf.c, Documentation/bpf/ringbuf.rst).
 */
import koffi from 'koffi';
import { DataplaneError } from './errors.ts';
import { MapType } from './kernel.ts';
import { type Mapping, mapShared, PROT_READ, PROT_WRITE, pageSize } from './libc.ts';
import type { BpfMapHandle } from './object.ts';

/**
 * Called for one record. `view` covers the whole ring, the record lies at `offset` and is aligned to 8 bytes. It is only
 * valid during the call: the kernel writes over it afterwards.
 */
export type RecordCallback = (view: DataView, offset: number, length: number) => void;

/** A record's header: its length, of which the top two bits are flags, and 4 bytes that are the kernel's own. */
const HEADER = 8;
/** Reserved, not yet submitted. As the sign bit of an Int32. */
const BUSY = 0x80000000 | 0;
/** Given up by the program: to be skipped. */
const DISCARD = 0x40000000;
const LENGTH_MASK = 0x3fffffff;

/** Records between two announcements of the reading position: producers get room while a long drain goes on. */
const ANNOUNCE = 64;

/** A producer that never stops must not keep the event loop for ever. */
const DEFAULT_MAX = 65_536;

type PollHandle = ReturnType<typeof koffi.node.poll>;

/** Poll handles stop when they are collected, so somebody must hold them. */
const polls = new Set<PollHandle>();

/** One reader a ring: two would skip each other's records. */
export class RingBuffer {
  /** Size of the data area in bytes. */
  readonly size: number;
  readonly #fd: number;
  readonly #name: string;
  readonly #mappings: readonly Mapping[];
  readonly #consumer: BigUint64Array;
  readonly #producer: BigUint64Array;
  readonly #headers: Int32Array;
  readonly #view: DataView;
  #poll: PollHandle | undefined;
  /** Bytes read since the ring was made; a double is exact up to 8 PiB. */
  #position: number;
  #open = true;

  /**
   * Goes on where the last reader of this ring left off.
   *
   * @throws Error if the map is not a ring buffer
   * @throws DataplaneError if it cannot be mapped
   */
  constructor(handle: BpfMapHandle) {
    const { fd, name, maxEntries: size } = handle;
    if (handle.type !== MapType.RINGBUF) throw new Error(`map ${name} is not a ring buffer`);
    if (size < pageSize || size & (size - 1)) {
      throw new Error(
        `ring buffer ${name} has ${size} bytes; it must be a power of two of at least ${pageSize}`,
      );
    }
    const consumer = mapShared(fd, pageSize, PROT_READ | PROT_WRITE, 0, `ring buffer ${name}`);
    let producer: Mapping;
    try {
      // The data area follows the producer's page, twice: so a record that wraps around is contiguous.
      producer = mapShared(fd, pageSize + 2 * size, PROT_READ, pageSize, `ring buffer ${name}`);
    } catch (error) {
      consumer.unmap();
      throw error;
    }
    this.size = size;
    this.#fd = fd;
    this.#name = name;
    this.#mappings = [consumer, producer];
    this.#consumer = new BigUint64Array(consumer.memory, 0, 1);
    this.#producer = new BigUint64Array(producer.memory, 0, 1);
    this.#headers = new Int32Array(producer.memory, pageSize);
    this.#view = new DataView(producer.memory, pageSize);
    this.#position = Number(Atomics.load(this.#consumer, 0));
  }

  /** Bytes that wait to be read, headers and unfinished records included: `size` means that records are being lost. */
  get pending(): number {
    this.#mustBeOpen();
    return Number(Atomics.load(this.#producer, 0)) - this.#position;
  }

  /**
   * Reads what is there, oldest first, at most `max` records (65,536 if absent), and stops at one that a program has reserved but not yet
   * submitted. If `callback` throws, its record counts as read and the error is passed on.
   *
   * @returns how many records were passed to `callback`
   */
  drain(callback: RecordCallback, max = DEFAULT_MAX): number {
    this.#mustBeOpen();
    const { size } = this;
    const headers = this.#headers;
    let position = this.#position;
    let announced = position;
    let end = Number(Atomics.load(this.#producer, 0));
    let records = 0;
    try {
      for (let steps = 1; records < max; steps++) {
        // The producers do not stop meanwhile: `max` bounds the work, not the end as it was at the start.
        if (position >= end) {
          end = Number(Atomics.load(this.#producer, 0));
          if (position >= end) break;
        }
        const offset = position % size;
        // An atomic load: nothing of the record is read before its header says that it is complete.
        const header = Atomics.load(headers, offset >> 2);
        if (header & BUSY) break;
        const length = header & LENGTH_MASK;
        position += (length + HEADER + 7) & ~7;
        if (!(header & DISCARD)) {
          records++;
          callback(this.#view, offset + HEADER, length);
          if (!this.#open) return records;
        }
        if (steps % ANNOUNCE === 0) {
          this.#announce(position);
          announced = position;
        }
      }
    } finally {
      if (this.#open) {
        this.#position = position;
        if (position !== announced) this.#announce(position);
      }
    }
    return records;
  }

  /**
   * Calls `callback` whenever there is something to read, until the returned function is called; also for what was
   * produced before. `callback` is to drain: as long as records wait it is called again in each turn of the event loop.
   * Keeps the process alive. The map's handle must stay open.
   *
   * A program that submits with BPF_RB_NO_WAKEUP wakes nobody: poll by a timer as well.
   *
   * @throws Error if somebody waits already
   */
  onReadable(callback: () => void): () => void {
    this.#mustBeOpen();
    if (this.#poll) throw new Error(`ring buffer ${this.#name} has somebody waiting already`);
    let scheduled = false;
    // libuv's callback comes outside of any turn of JavaScript: errors would vanish there and promises not go on. An
    // immediate runs in the same turn of the event loop, and properly.
    const poll = koffi.node.poll(this.#fd, { readable: true }, ((status: number) => {
      if (status < 0) stop();
      if (scheduled) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        if (status < 0) throw new DataplaneError(`cannot wait for ring buffer ${this.#name}`, -status);
        if (this.#poll === poll) callback();
      });
    }) as () => void);
    const stop = () => {
      if (this.#poll === poll) this.#poll = undefined;
      if (polls.delete(poll)) poll.close();
    };
    this.#poll = poll;
    polls.add(poll);
    return stop;
  }

  /** Ends the waiting and unmaps the ring. Records not yet read stay there for the next reader. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#poll && polls.delete(this.#poll)) this.#poll.close();
    this.#poll = undefined;
    for (const mapping of this.#mappings) mapping.unmap();
  }

  #announce(position: number): void {
    Atomics.store(this.#consumer, 0, BigInt(position));
  }

  /** The memory of a closed ring is gone: touching it would kill the process. */
  #mustBeOpen(): void {
    if (!this.#open) throw new Error(`ring buffer ${this.#name} is closed`);
  }
}
