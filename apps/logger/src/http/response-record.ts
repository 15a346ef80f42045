import { BLOCK, type RecordPool } from './record-pool.ts';

/** The most that is kept of one response, in bytes from its first one on. */
export const RECORD_LIMIT = 65_536;

/**
 * The first bytes of one response, as the client was given them (P7.1). Offsets count from the response's first byte, that of its
 * first interim response if there is one. One record serves a connection's responses one after the other.
 */
export class ResponseRecord {
  readonly #pool: RecordPool;
  readonly #blocks: number[] = [];
  #length = 0;
  /** Nothing is kept from here on. */
  #limit = RECORD_LIMIT;
  /** Bytes of the whole response; -1 while it has not ended. */
  #total = -1;

  constructor(pool: RecordPool) {
    this.#pool = pool;
  }

  /** Bytes that are kept, 0 to {@link RECORD_LIMIT}. */
  get length(): number {
    return this.#length;
  }

  /** Nothing more will be kept: the limit is reached, the pool had no room, or the response has ended. */
  get isFull(): boolean {
    return this.#length >= this.#limit;
  }

  /** The response has ended, and all of it is kept. */
  get isWhole(): boolean {
    return this.#total === this.#length;
  }

  /**
   * Keeps what is new and has room.
   *
   * @param offset of the first of these bytes in the response; they may overlap what is kept, and are not compared with it
   * @param start index of the first byte in `bytes`, `end` that behind the last one; they are copied
   * @returns false if bytes between the record and these are missing: then nothing is kept
   */
  append(offset: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (offset > this.#length) return this.isFull;
    let from = start + this.#length - offset;
    const to = Math.min(end, start + this.#limit - offset);
    while (from < to) {
      const used = this.#length % BLOCK;
      if (used === 0 && !this.#grow()) break;
      const count = Math.min(to - from, BLOCK - used);
      const block = this.#blocks[this.#blocks.length - 1]!;
      this.#pool.slabOf(block).set(bytes.subarray(from, from + count), this.#pool.placeOf(block) + used);
      this.#length += count;
      from += count;
    }
    return true;
  }

  /**
   * The response has ended.
   *
   * @param total bytes of it
   * @throws RangeError if more than that are kept
   */
  end(total: number): void {
    if (total < this.#length)
      throw new RangeError(`a response of ${total} bytes, of which ${this.#length} are kept`);
    this.#total = total;
    this.#limit = Math.min(this.#limit, total);
  }

  /**
   * A copy.
   *
   * @param from first offset, `to` that behind the last one
   * @throws RangeError if they are not kept
   */
  bytes(from: number, to: number): Uint8Array {
    if (!(from >= 0 && from <= to && to <= this.#length)) {
      throw new RangeError(`bytes ${from} to ${to} of a record of ${this.#length} bytes`);
    }
    const copy = new Uint8Array(to - from);
    for (let at = from; at < to; ) {
      const block = this.#blocks[Math.floor(at / BLOCK)]!;
      const within = at % BLOCK;
      const count = Math.min(to - at, BLOCK - within);
      const place = this.#pool.placeOf(block) + within;
      copy.set(this.#pool.slabOf(block).subarray(place, place + count), at - from);
      at += count;
    }
    return copy;
  }

  /**
   * Compares with what is kept.
   *
   * @param offset of the first of these bytes in the response
   * @returns the offset of the first byte that differs, -1 if none does; bytes that are not kept do not
   */
  differenceFrom(offset: number, bytes: Uint8Array, start: number, end: number): number {
    const to = Math.min(offset + end - start, this.#length);
    for (let at = offset; at < to; ) {
      const block = this.#blocks[Math.floor(at / BLOCK)]!;
      const within = at % BLOCK;
      const count = Math.min(to - at, BLOCK - within);
      const slab = this.#pool.slabOf(block);
      const place = this.#pool.placeOf(block) + within;
      const from = start + at - offset;
      if (slab.compare(bytes, from, from + count, place, place + count) !== 0) {
        let same = 0;
        while (slab[place + same] === bytes[from + same]) same++;
        return at + same;
      }
      at += count;
    }
    return -1;
  }

  /** Forgets all: for the next response, or because the connection ends. */
  release(): void {
    for (const block of this.#blocks) this.#pool.give(block);
    this.#blocks.length = 0;
    this.#length = 0;
    this.#limit = RECORD_LIMIT;
    this.#total = -1;
  }

  #grow(): boolean {
    const block = this.#pool.take();
    // What comes later would have a gap before it.
    if (block < 0) this.#limit = this.#length;
    else this.#blocks.push(block);
    return block >= 0;
  }
}
