/** Bytes of one block. Most small responses take one. */
export const BLOCK = 2_048;

const BLOCKS_PER_SLAB = 512;
const MIN_FREE = 64;

/**
 * Memory for records, in blocks. It grows with the need, is used again, and not given back: what was needed once will be needed
 * again.
 */
export class RecordPool {
  /** Bytes that all records may hold together; a multiple of {@link BLOCK}. */
  readonly limit: number;
  readonly #slabs: Buffer[] = [];
  #free = new Int32Array(MIN_FREE);
  #freeCount = 0;
  /** Blocks that have ever been taken: those from here on are untouched. */
  #touched = 0;

  /** @param limit bytes, rounded down to whole blocks */
  constructor(limit: number) {
    this.limit = Math.floor(limit / BLOCK) * BLOCK;
  }

  /** Bytes of the blocks that are in use. */
  get used(): number {
    return (this.#touched - this.#freeCount) * BLOCK;
  }

  /** @returns a block's number, with whatever it held before; -1 if the limit is reached */
  take(): number {
    if (this.#freeCount > 0) {
      this.#freeCount--;
      return this.#free[this.#freeCount]!;
    }
    if ((this.#touched + 1) * BLOCK > this.limit) return -1;
    if (this.#touched === this.#slabs.length * BLOCKS_PER_SLAB) {
      this.#slabs.push(Buffer.allocUnsafeSlow(BLOCKS_PER_SLAB * BLOCK));
    }
    return this.#touched++;
  }

  /** @param block from {@link take}, and given back only once */
  give(block: number): void {
    if (this.#freeCount === this.#free.length) {
      const more = new Int32Array(this.#free.length * 2);
      more.set(this.#free);
      this.#free = more;
    }
    this.#free[this.#freeCount] = block;
    this.#freeCount++;
  }

  /** The memory that a block lies in. */
  slabOf(block: number): Buffer {
    return this.#slabs[Math.floor(block / BLOCKS_PER_SLAB)]!;
  }

  /** Index of a block's first byte there. */
  placeOf(block: number): number {
    return (block % BLOCKS_PER_SLAB) * BLOCK;
  }
}
