/** Bytes that wait for what is missing before them, at most; beyond, the sender has to send them again. */
const MAX_WAITING = 1 << 20;
/** In so many pieces at most: more than full segments need for that, and few enough to be looked through for each one. */
const MAX_PIECES = 1024;

/** @param at offset of the byte at `start` */
export type InOrder = (bytes: Uint8Array, start: number, end: number, at: number) => void;

/**
 * Puts one direction of a connection in order. Offsets are bytes since the stream began, as plain numbers: exact, and beyond 2 GiB as
 * well. The first copy of a byte wins.
 */
export class Assembly {
  /** Behind the last byte without a gap. */
  end = 0;
  #waiting: { at: number; bytes: Uint8Array }[] = [];
  #waitingBytes = 0;

  /**
   * @param at offset of the byte at `start`
   * @param take called for what is in order now, at once
   */
  offer(at: number, bytes: Uint8Array, start: number, end: number, take: InOrder): void {
    const known = this.end - at;
    if (known >= end - start) return;
    if (known < 0) {
      this.#wait(at, bytes, start, end);
      return;
    }
    this.#take(bytes, start + known, end, take);
    while (this.#waiting.length > 0) {
      const next = this.#waiting.findIndex(piece => piece.at <= this.end);
      if (next < 0) return;
      const [piece] = this.#waiting.splice(next, 1) as [{ at: number; bytes: Uint8Array }];
      this.#waitingBytes -= piece.bytes.length;
      const skip = this.end - piece.at;
      if (skip < piece.bytes.length) this.#take(piece.bytes, skip, piece.bytes.length, take);
    }
  }

  /** What waits behind gaps, as pairs of offsets: the run that holds `at` first, the others from the lowest on. */
  runs(at: number): [number, number][] {
    const runs: [number, number][] = [];
    for (const piece of this.#waiting.toSorted((a, b) => a.at - b.at)) {
      const end = piece.at + piece.bytes.length;
      const last = runs.at(-1);
      if (last && piece.at <= last[1]) last[1] = Math.max(last[1], end);
      else runs.push([piece.at, end]);
    }
    const isNewest = ([from, to]: [number, number]) => from <= at && at < to;
    return [...runs.filter(isNewest), ...runs.filter(run => !isNewest(run))];
  }

  /** Goes on behind bytes that are not needed; what waits before that is dropped. */
  jump(to: number): void {
    this.end = Math.max(this.end, to);
    this.#waiting = this.#waiting.filter(({ at, bytes }) => at + bytes.length > this.end);
    this.#waitingBytes = this.#waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  #take(bytes: Uint8Array, start: number, end: number, take: InOrder): void {
    const at = this.end;
    this.end += end - start;
    take(bytes, start, end, at);
  }

  #wait(at: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#waitingBytes + end - start > MAX_WAITING || this.#waiting.length >= MAX_PIECES) return;
    // The same again, and again: whoever waits for an acknowledgement says what he has said.
    const holds = (piece: { at: number; bytes: Uint8Array }) =>
      piece.at <= at && at + end - start <= piece.at + piece.bytes.length;
    if (this.#waiting.some(holds)) return;
    this.#waiting.push({ at, bytes: bytes.slice(start, end) });
    this.#waitingBytes += end - start;
  }
}
