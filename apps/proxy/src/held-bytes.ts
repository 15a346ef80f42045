import { add, distance } from '@resplice/dataplane';

/**
 * What a client has sent and nobody has acknowledged yet. It is soft state: the client still has every byte and sends it again.
 *
 * Where segments overlap, the byte that came first stays: what was parsed is what runs.
 */
export class HeldBytes {
  readonly #start: number;
  readonly #limit: number;
  #bytes: Uint8Array;
  /** Disjoint [from, to) offsets that have arrived, ascending. */
  #ranges: [number, number][] = [];
  #finAt: number | undefined;

  /**
   * @param start sequence number of the first byte
   * @param limit bytes that are kept at most; what lies beyond is left to the client
   */
  constructor(start: number, limit: number) {
    this.#start = start;
    this.#limit = limit;
    // From a pool: most heads are short, and what has not arrived is never read. As a plain array, whose `slice` copies.
    const { buffer, byteOffset, length } = Buffer.allocUnsafe(Math.min(limit, 1024));
    this.#bytes = new Uint8Array(buffer, byteOffset, length);
  }

  /** Adds a segment's payload; parts before the start, beyond the limit or already there are passed over. */
  add(sequence: number, payload: Uint8Array, fin = false): void {
    const offset = distance(sequence, this.#start);
    if (fin) this.#finAt = offset + payload.length;
    const from = Math.max(offset, 0);
    const to = Math.min(offset + payload.length, this.#limit);
    if (from >= to) return;
    this.#reserve(to);
    for (const [gapFrom, gapTo] of this.#gaps(from, to)) {
      this.#bytes.set(payload.subarray(gapFrom - offset, gapTo - offset), gapFrom);
    }
    this.#mark(from, to);
  }

  /** The bytes from the start up to the first hole; valid until the next add. */
  get contiguous(): Uint8Array {
    return this.#bytes.subarray(0, this.#contiguousEnd);
  }

  /** Sequence number behind `contiguous`. */
  get end(): number {
    return add(this.#start, this.#contiguousEnd);
  }

  /** Whether the client's FIN follows directly on `contiguous`. */
  get finished(): boolean {
    return this.#finAt === this.#contiguousEnd;
  }

  get full(): boolean {
    return this.#contiguousEnd >= this.#limit;
  }

  get #contiguousEnd(): number {
    const first = this.#ranges[0];
    return first && first[0] === 0 ? first[1] : 0;
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.min(this.#limit, Math.max(size, this.#bytes.length * 2)));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  *#gaps(from: number, to: number): Iterable<[number, number]> {
    let at = from;
    for (const [start, end] of this.#ranges) {
      if (end <= at) continue;
      if (start >= to) break;
      if (start > at) yield [at, start];
      at = Math.max(at, end);
    }
    if (at < to) yield [at, to];
  }

  #mark(from: number, to: number): void {
    const merged: [number, number][] = [];
    let [start, end] = [from, to];
    for (const range of this.#ranges) {
      if (range[1] < start || range[0] > end) merged.push(range);
      else [start, end] = [Math.min(start, range[0]), Math.max(end, range[1])];
    }
    merged.push([start, end]);
    this.#ranges = merged.sort((a, b) => a[0] - b[0]);
  }
}
