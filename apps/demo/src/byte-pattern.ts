/**
 * Endless known bytes: the byte at an offset is a pure function of that offset, so that every back end serves
 * the same file without storing it, and a checker can say *which* byte is wrong.
 *
 * A block of 1 MiB is made once from a 32-bit mixing function; block k is that block XORed word by word with a
 * mask that is different for every k. No two blocks are equal and no block resembles a shifted one, so bytes that
 * were lost, doubled, moved or exchanged always change the content (and its hash).
 */
import { Readable } from 'node:stream';

/** Bytes in one block of the pattern. */
export const BLOCK_BYTES = 1 << 20;

/** Largest size that the site serves: 1 GiB. */
export const MAX_BYTES = 2 ** 30;

/** Size of `/100mb.bin`. */
export const HUNDRED_MB = 100_000_000;

/** SHA-256 of the first 100,000,000 bytes; a test computes it anew. */
export const HUNDRED_MB_SHA256 = '18f6a88a0c6904c99e3cf1aa45a05db690118c4a8ac7cf65f9f7f7d0c865294f';

const WORDS = BLOCK_BYTES / 4;
/** Enough for a crowd that reads the same file at the same time; 32 MiB at most. */
const CACHED_BLOCKS = 32;

/** Murmur3's finalizer: a bijection on 32-bit words, so different inputs give different masks. */
function mix(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

const base = new Int32Array(WORDS);
for (let i = 0; i < WORDS; i++) base[i] = mix(Math.imul(i + 1, 0x9e3779b9));

const cache = new Map<number, Buffer>();

/** Block `index` of the pattern. Shared and cached: read it, never write to it. */
export function patternBlock(index: number): Buffer {
  const cached = cache.get(index);
  if (cached) return cached;
  const words = new Int32Array(WORDS);
  const mask = mix(index + 0x51ce);
  for (let i = 0; i < WORDS; i++) words[i] = base[i]! ^ mask;
  const block = Buffer.from(words.buffer);
  if (cache.size >= CACHED_BLOCKS) cache.delete(cache.keys().next().value!);
  cache.set(index, block);
  return block;
}

/**
 * The longest run of pattern bytes from `offset` on that lies in one block, at most `length` bytes.
 * No copy is made: the result shares the cached block.
 */
export function patternSlice(offset: number, length: number): Buffer {
  const index = Math.floor(offset / BLOCK_BYTES);
  const start = offset - index * BLOCK_BYTES;
  return patternBlock(index).subarray(start, Math.min(start + length, BLOCK_BYTES));
}

/** Position in `data` of the first byte that is not the pattern's at `offset` + position, or -1 if all are. */
export function firstDifference(data: Uint8Array, offset: number): number {
  let done = 0;
  while (done < data.length) {
    const expected = patternSlice(offset + done, data.length - done);
    const actual = data.subarray(done, done + expected.length);
    if (expected.compare(actual) !== 0) {
      for (let i = 0; i < actual.length; i++) if (actual[i] !== expected[i]) return done + i;
    }
    done += expected.length;
  }
  return -1;
}

/** The pattern's bytes [start, end) as a stream that is as fast, or as slow, as its reader. */
export class PatternStream extends Readable {
  #offset: number;
  readonly #end: number;

  constructor(start: number, end: number) {
    super({ highWaterMark: BLOCK_BYTES });
    this.#offset = start;
    this.#end = end;
  }

  override _read(): void {
    if (this.#offset >= this.#end) {
      this.push(null);
      return;
    }
    const slice = patternSlice(this.#offset, this.#end - this.#offset);
    this.#offset += slice.length;
    this.push(slice);
  }
}
