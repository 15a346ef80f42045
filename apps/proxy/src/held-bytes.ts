import { add, distance } from '@resplice/dataplane';

/** Room that all holders of one kind share, in bytes: what strangers send must not fill the memory. */
export class Budget {
  readonly #limit: number;
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** False, and nothing taken, if there is not so much left. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.#limit) return false;
    this.#used += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

/** Holes in the bytes of one client; whoever sends every second byte must not cost ever more per segment. */
const MAX_RANGES = 64;

/** What became of a segment. `differs`: some of its bytes are not those that came first; `full`: no room for them. */
export type Holding = 'held' | 'differs' | 'full';

/**
 * What a client has sent before it has a back end.
 *
 * Where segments overlap, the byte that came first stays: what was parsed is what runs.
 */
export class HeldBytes {
  readonly #start: number;
  readonly #limit: number;
  readonly #budget: Budget;
  #bytes: Uint8Array = new Uint8Array(0);
  /** Disjoint [from, to) offsets that have arrived, ascending. */
  #ranges: [number, number][] = [];
  #finAt: number | undefined;

  /**
   * @param start sequence number of the first byte
   * @param limit bytes that are kept at most; what lies beyond is left to the client
   * @param budget shared with others; give it back by `release`
   */
  constructor(start: number, limit: number, budget: Budget) {
    this.#start = start;
    this.#limit = limit;
    this.#budget = budget;
  }

  /** Adds a segment's payload; parts before the start, beyond the limit or already there are passed over. */
  add(sequence: number, payload: Uint8Array, fin = false): Holding {
    const offset = distance(sequence, this.#start);
    const from = Math.max(offset, 0);
    const to = Math.min(offset + payload.length, this.#limit);
    if (from < to) {
      if (!this.#mayMark(from, to) || !this.#reserve(to)) return 'full';
      if (!this.#agrees(payload, offset, from, to)) return 'differs';
      this.#bytes.set(payload.subarray(from - offset, to - offset), from);
      this.#mark(from, to);
    }
    // A FIN at another place than the first one's would make the request another, too.
    if (fin) this.#finAt ??= offset + payload.length;
    return 'held';
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

  /** Gives all room back; nothing is held any more. */
  release(): void {
    this.#budget.give(this.#bytes.length);
    this.#bytes = new Uint8Array(0);
    this.#ranges = [];
  }

  get #contiguousEnd(): number {
    const first = this.#ranges[0];
    return first && first[0] === 0 ? first[1] : 0;
  }

  #reserve(size: number): boolean {
    if (size <= this.#bytes.length) return true;
    const room = Math.min(this.#limit, Math.max(size, this.#bytes.length * 2, 1024));
    if (!this.#budget.take(room - this.#bytes.length)) return false;
    // From a pool: most heads are short, and what has not arrived is never read. As a plain array, whose `slice` copies.
    const { buffer, byteOffset } = Buffer.allocUnsafe(room);
    const grown = new Uint8Array(buffer, byteOffset, room);
    grown.set(this.#bytes);
    this.#bytes = grown;
    return true;
  }

  /** Whether the payload says the same as what has arrived already, where they overlap. */
  #agrees(payload: Uint8Array, offset: number, from: number, to: number): boolean {
    for (const [start, end] of this.#ranges) {
      for (let at = Math.max(from, start); at < Math.min(to, end); at++) {
        if (this.#bytes[at] !== payload[at - offset]) return false;
      }
    }
    return true;
  }

  #mayMark(from: number, to: number): boolean {
    return (
      this.#ranges.length < MAX_RANGES || this.#ranges.some(([start, end]) => end >= from && start <= to)
    );
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
