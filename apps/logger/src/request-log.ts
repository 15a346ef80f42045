import type { RequestStore, Spill } from './request-store.ts';

/** Bytes that wait for the disk beyond a connection's memory, at most: a disk that is slower than the uploads protects nobody. */
const MOST_WAITING = 16 << 20;

/** Buffer's own, which any bytes can be copied by, without a view of them that is made for each copy. */
const { copy } = Buffer.prototype;

/** Memory of a piece, bytes: a multiple of this. */
const ROUNDED = 256;
/** A piece with so much memory at most is used again. */
const LARGEST_SPARE = 2_048;

interface Piece {
  /** Offset of its first byte. */
  at: number;
  length: number;
  /** Where it lies, from the beginning on. */
  memory: Uint8Array;
}

/**
 * What a client has sent and may have to be sent again to another back end (P6.1, P12.4): a window of its stream. Its newest bytes are
 * in memory; when they are more than a connection may have there, the oldest of them go to a file, in order. When there is no room,
 * all is dropped, and nothing is kept until a request begins that fits.
 */
export class RequestLog {
  readonly #store: RequestStore;
  readonly #onLost: () => void;
  readonly #neededFrom: () => number;
  #base = 0;
  #end = 0;
  /** In memory, oldest first; those before `#first` are gone. */
  readonly #pieces: Piece[] = [];
  #first = 0;
  /** A piece that is gone: mostly there is one, and that of the next request is as long. Memory costs more than all else. */
  #spare: Piece | undefined;
  /** Bytes in the pieces. Their memory is about twice as much at most. */
  #held = 0;
  #spill: Spill | undefined;
  /** Offset behind the last byte that is in the file. */
  #spilledTo = 0;
  #isWriting = false;
  /** Offset behind the last byte that was ever on its way to the file: a piece before it is taken as it is. */
  #writtenTo = 0;
  #isKeeping = true;

  /**
   * @param onLost there was no room: what is not needed has been dropped
   * @param neededFrom offset from which bytes are kept whatever happens, since nobody has them yet; Infinity: none
   */
  constructor(store: RequestStore, onLost: () => void, neededFrom = () => Number.POSITIVE_INFINITY) {
    this.#store = store;
    this.#onLost = onLost;
    this.#neededFrom = neededFrom;
  }

  /** Offset of the first byte that is kept. */
  get base(): number {
    return this.#base;
  }

  /** Offset behind the last one. */
  get end(): number {
    return this.#end;
  }

  get size(): number {
    return this.#end - this.#base;
  }

  /** Bytes in memory. */
  get held(): number {
    return this.#held;
  }

  /** Whether bytes are kept; if not, they did not fit, and {@link keepFrom} makes an end of that. */
  get isKeeping(): boolean {
    return this.#isKeeping;
  }

  /** The stream goes on from this offset: nothing before it will be asked for. */
  startAt(offset: number): void {
    this.#drop();
    this.#base = this.#end = offset;
  }

  /** Copies bytes that follow the last ones. */
  append(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    // The last bytes of a request that does not fit may come with the first ones of one that does.
    if (!this.#isKeeping) this.dropBefore(Math.min(this.#end, this.#neededFrom()));
    else if (this.size + length > this.#store.longest) this.#lose();
    const last = this.#pieces.at(-1);
    if (last && last.at >= this.#writtenTo && last.length + length <= last.memory.length) {
      // Else a client that sends byte by byte would have a piece's memory for each.
      copy.call(bytes, last.memory, last.length, start, end);
      last.length += length;
    } else {
      const piece = this.#pieceOf(length);
      copy.call(bytes, piece.memory, 0, start, end);
      this.#pieces.push(piece);
    }
    this.#end += length;
    this.#hold(length);
    if (this.#held > this.#store.memory || this.#store.isFull) this.#relieve();
  }

  /** Forgets what comes before `offset`. */
  dropBefore(offset: number): void {
    if (offset >= this.#end) {
      this.#drop();
      this.#base = this.#end;
      return;
    }
    if (offset <= this.#base) return;
    this.#base = offset;
    while (this.#first < this.#pieces.length) {
      const { at, length } = this.#pieces[this.#first]!;
      if (at + length > offset) break;
      this.#first++;
      this.#hold(-length);
    }
    this.#compact();
    if (this.#spill && this.#spilledTo <= offset) this.#closeFile();
  }

  /** A request that does not fit has ended: what comes from `offset` on is kept again. */
  keepFrom(offset: number): void {
    this.#isKeeping = true;
    this.dropBefore(offset);
  }

  /** Forgets everything; the file, too. */
  close(): void {
    this.dropBefore(this.#end);
    this.#spare = undefined;
  }

  /**
   * A copy of bytes `from` to `to`, fewer if they are not kept. What is on disk is read at once: few bytes at a time do not
   * keep others waiting for long.
   *
   * @param from not before `base`
   */
  read(from: number, to: number): Uint8Array {
    const start = Math.max(from, this.#base);
    const end = Math.max(start, Math.min(to, this.#end));
    const bytes = new Uint8Array(end - start);
    let at = start;
    const firstHeld = this.#pieces[this.#first]?.at ?? this.#end;
    if (at < firstHeld && at < end) {
      const count = Math.min(end, firstHeld) - at;
      if (!this.#spill?.read(bytes.subarray(0, count), at)) {
        this.#drop();
        this.#base = this.#end;
        this.#lose();
        return new Uint8Array(0);
      }
      at += count;
    }
    for (let index = this.#find(at); at < end; index++) {
      const piece = this.#pieces[index]!;
      const part = piece.memory.subarray(at - piece.at, Math.min(piece.length, end - piece.at));
      bytes.set(part, at - start);
      at += part.length;
    }
    return bytes;
  }

  /** One for so many bytes that follow the last ones. */
  #pieceOf(length: number): Piece {
    const at = this.#end;
    const spare = this.#spare;
    if (!spare || spare.memory.length < length) {
      return { at, length, memory: new Uint8Array(Math.ceil(length / ROUNDED) * ROUNDED) };
    }
    this.#spare = undefined;
    spare.at = at;
    spare.length = length;
    return spare;
  }

  /** Index of the piece that has this offset. */
  #find(offset: number): number {
    let low = this.#first;
    let high = this.#pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#pieces[middle]!.at <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Makes room in memory: by the disk, or by giving up. */
  #relieve(): void {
    if (!this.#isKeeping) return;
    if (!this.#store.spills || this.#held > this.#store.memory + MOST_WAITING) this.#lose();
    else if (!this.#isWriting) void this.#write();
  }

  /** Writes what is in memory now, and goes on while there is too much. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    const pieces = this.#pieces.slice(this.#first);
    const to = this.#end;
    this.#writtenTo = to;
    this.#spill ??= this.#store.open(pieces[0]!.at);
    const spill = this.#spill;
    const isWritten = await spill.append(
      pieces.map(({ memory, length }) => memory.subarray(0, length)),
      pieces[0]!.at,
    );
    this.#isWriting = false;
    // All of it was forgotten meanwhile.
    if (this.#spill !== spill) {
      if (this.#held > this.#store.memory) this.#relieve();
      return;
    }
    if (!isWritten) {
      this.#lose();
      return;
    }
    this.#spilledTo = to;
    while (this.#first < this.#pieces.length && this.#pieces[this.#first]!.at < to)
      this.#hold(-this.#pieces[this.#first++]!.length);
    this.#compact();
    if (this.#base >= to) this.#closeFile();
    if (this.#held > this.#store.memory) this.#relieve();
  }

  #lose(): void {
    this.dropBefore(Math.min(this.#end, this.#neededFrom()));
    this.#isKeeping = false;
    this.#onLost();
  }

  #drop(): void {
    const pieces = this.#pieces;
    for (let index = this.#first; index < pieces.length; index++) this.#hold(-pieces[index]!.length);
    const last = pieces.at(-1);
    // While something goes to the disk it may be what this one holds.
    if (last && last.memory.length <= LARGEST_SPARE && !this.#isWriting) this.#spare = last;
    pieces.length = 0;
    this.#first = 0;
    this.#closeFile();
  }

  #closeFile(): void {
    this.#spill?.close();
    this.#spill = undefined;
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    this.#store.hold(bytes);
  }

  /** Frees the slots of pieces that are gone, when they are most of all. */
  #compact(): void {
    if (this.#first < 64 || this.#first * 2 < this.#pieces.length) return;
    this.#pieces.splice(0, this.#first);
    this.#first = 0;
  }
}
