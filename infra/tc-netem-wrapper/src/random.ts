const FULL = 2 ** 32;

/** Spreads a seed over 32 bits, a different value at each call (splitmix with 32-bit constants). */
function spreader(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  };
}

function rotated(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}

/** Numbers that look random and repeat with their seed: xoshiro128** (Blackman and Vigna). */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param stream tells generators with the same seed apart */
  constructor(seed: number, stream: number) {
    const next = spreader(Math.imul(seed, 0x2545f491) ^ stream);
    [this.#a, this.#b, this.#c, this.#d] = [next(), next(), next(), next() | 1];
  }

  /** 0 ≤ x < 1 */
  next(): number {
    const result = Math.imul(rotated(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotated(this.#d, 11);
    return result / FULL;
  }
}
