/** What a client has sent and may have to be sent again to another back end (P6.1, P12.4): a window of its stream, in pieces as they came. */
export class RequestLog {
  /** Offset of the first byte that is kept. */
  base = 0;
  /** Offset behind the last one. */
  end = 0;
  #pieces: Uint8Array[] = [];
  /** Of the first piece: bytes before `base`. */
  #dropped = 0;

  /** Copies bytes that follow the last ones. */
  append(bytes: Uint8Array, start: number, end: number): void {
    this.#pieces.push(bytes.slice(start, end));
    this.end += end - start;
  }

  get size(): number {
    return this.end - this.base;
  }

  /** Forgets what comes before `offset`. */
  dropBefore(offset: number): void {
    if (offset >= this.end) {
      if (this.#pieces.length > 0) this.#pieces = [];
      this.#dropped = 0;
      this.base = this.end;
      return;
    }
    let drop = offset - this.base + this.#dropped;
    if (offset <= this.base) return;
    let whole = 0;
    while (drop >= this.#pieces[whole]!.length) drop -= this.#pieces[whole++]!.length;
    this.#pieces.splice(0, whole);
    this.#dropped = drop;
    this.base = offset;
  }

  /**
   * A copy of bytes `from` to `to`, fewer if they are not kept.
   *
   * @param from not before `base`
   */
  read(from: number, to: number): Uint8Array {
    const start = Math.max(from, this.base);
    const length = Math.max(0, Math.min(to, this.end) - start);
    const copy = new Uint8Array(length);
    let skip = start - this.base + this.#dropped;
    let filled = 0;
    for (const piece of this.#pieces) {
      if (filled === length) break;
      if (skip >= piece.length) {
        skip -= piece.length;
        continue;
      }
      const part = piece.subarray(skip, skip + length - filled);
      copy.set(part, filled);
      filled += part.length;
      skip = 0;
    }
    return copy;
  }
}
