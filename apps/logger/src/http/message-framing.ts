import { chunkLines, Line } from './chunk-lines.ts';
import { Phase } from './head-fields.ts';
import type { BodyKind, MessageHead } from './message-head.ts';

/** The longest head, trailer or chunk line that is followed, in bytes. For requests it is what `apps/proxy` accepts. */
export const MAX_HEAD = 65_536;

/** What a framing tells of a stream. Offsets are bytes since the framing began, or was reset. */
export interface FramingSink {
  /** @param at offset behind a message's last byte */
  end(at: number): void;
  /** @param at offset from which the stream is not HTTP/1.1 any more, as both sides agreed */
  opaque(at: number): void;
  /**
   * The stream cannot be followed from here on; nothing is told any more.
   *
   * @param at offset of the first byte of the head, chunk line or trailer that is wrong
   * @param reason for a person
   */
  broken(at: number, reason: string): void;
}

/** What follows a head. `interim`: another head, of the same response. */
export type Sequel = BodyKind | 'opaque' | 'interim';

/** The states of a head and of a trailer are the phases of their reading, those around chunks its lines'; each from here on. */
const HEAD = 0;
const TRAILER = 16;
const CHUNK = 32;
const State = {
  /** Between messages. */
  IDLE: 48,
  /** Behind the carriage return of an empty line between messages. */
  BLANK_LF: 49,
  LENGTH: 50,
  UNTIL_CLOSE: 51,
  OPAQUE: 52,
  BROKEN: 53,
} as const;
const CHUNK_DATA = CHUNK + Line.DATA;

const LF = 0x0a;
const CR = 0x0d;

/**
 * Finds where messages begin and end in one direction of a connection. Bytes come in their order, in pieces of any size, and
 * wherever they are cut, the same is told. A head that comes in one piece is read where it lies; only one in several is copied.
 */
export abstract class MessageFraming<Sink extends FramingSink> {
  #state: number = State.IDLE;
  #position = 0;
  /** Offset of the first byte of the current head, chunk line or trailer. */
  #unitAt = 0;
  /** Bytes of the current body or chunk that are still to come; while a chunk's size is read, the size so far. */
  #rest = 0;
  /** The head so far, if it came in pieces. */
  #pieces: Buffer | undefined;
  #piecesLength = 0;
  /** Empty lines before the next message, in bytes. */
  #blank = 0;

  /** @internal The one head of its kind. */
  protected abstract readonly head: MessageHead;
  /** @internal How many empty lines may come before a message. */
  protected abstract readonly maxBlankLines: number;
  /** @internal Asked at a message's first byte. @returns why there can be no message; undefined if there can */
  protected abstract refusal(sink: Sink): string | undefined;
  /** @internal Tells the sink of the head. @returns what follows */
  protected abstract announce(sink: Sink, at: number, bodyAt: number): Sequel;

  /** Bytes that have passed. */
  get position(): number {
    return this.#position;
  }

  /** Offset of the first byte of a head that is not complete yet; if there is none, the position. */
  get headAt(): number {
    return this.#state < TRAILER ? this.#unitAt : this.#position;
  }

  /** Nothing of a message has come that is not complete. */
  get idle(): boolean {
    return this.#state === State.IDLE;
  }

  /** The stream is followed no more: it became opaque, or is broken. */
  get lost(): boolean {
    return this.#state >= State.OPAQUE;
  }

  /** Bytes that are held for a head in pieces. */
  get heldBytes(): number {
    return this.#pieces?.length ?? 0;
  }

  /** How many of the coming bytes need not be seen: see {@link skip}. Infinity, if only the stream's end matters. */
  get skippable(): number {
    if (this.#state === State.LENGTH || this.#state === CHUNK_DATA) return this.#rest;
    return this.#state >= State.UNTIL_CLOSE ? Number.POSITIVE_INFINITY : 0;
  }

  /**
   * Moves on without bytes.
   *
   * @param count 0 to {@link skippable}
   * @throws RangeError if it is more: those bytes would have had to be read
   */
  skip(count: number, sink: Sink): void {
    if (!(count >= 0 && count <= this.skippable)) {
      throw new RangeError(
        `${count} bytes cannot be skipped at ${this.#position}: only ${this.skippable} can`,
      );
    }
    if (count > 0) this.#pass(count, sink);
  }

  /**
   * Reads on. `bytes` is not looked at after the call.
   *
   * @param start index of the stream's next byte in `bytes`
   * @param end index behind the last one that is there
   */
  feed(bytes: Uint8Array, start: number, end: number, sink: Sink): void {
    for (let at = start; at < end; ) at += this.#step(bytes, at, end, sink);
  }

  /** Both sides have agreed on another protocol: nothing is told after this. */
  becomeOpaque(sink: Sink): void {
    if (this.lost) return;
    const at = this.headAt;
    this.#state = State.OPAQUE;
    this.#forget();
    sink.opaque(at);
  }

  /**
   * The stream has ended (FIN).
   *
   * @returns whether it may end here: between messages, behind a body that only this ends (whose `end` is told now), or lost
   */
  finish(sink: Sink): boolean {
    if (this.#state === State.UNTIL_CLOSE) this.#complete(sink);
    return this.#state === State.IDLE || this.lost;
  }

  /**
   * Makes it as new. Not to be called by a sink.
   *
   * @param position offset of the next byte, where a message begins
   */
  reset(position = 0): void {
    this.#state = State.IDLE;
    this.#position = position;
    this.#rest = 0;
    this.#blank = 0;
    this.#forget();
  }

  /** @returns how many bytes were read; 0 only if the state has changed */
  #step(bytes: Uint8Array, at: number, end: number, sink: Sink): number {
    const state = this.#state;
    if (state < TRAILER) return this.#readHead(bytes, at, end, sink);
    if (state < CHUNK) return this.#readTrailer(bytes, at, end, sink);
    switch (state) {
      case State.IDLE:
        return this.#start(bytes[at]!, sink);
      case State.BLANK_LF:
        if (bytes[at] !== LF) return this.#break(sink, 'carriage return without line feed');
        this.#state = State.IDLE;
        this.#blank += 2;
        this.#position++;
        return 1;
      case State.LENGTH:
      case CHUNK_DATA: {
        const count = Math.min(this.#rest, end - at);
        this.#pass(count, sink);
        return count;
      }
      case State.UNTIL_CLOSE:
      case State.OPAQUE:
      case State.BROKEN:
        this.#position += end - at;
        return end - at;
      default:
        return this.#readChunkLine(bytes, at, end, sink);
    }
  }

  #start(byte: number, sink: Sink): number {
    this.#unitAt = this.#position;
    const refusal = this.refusal(sink);
    if (refusal !== undefined) return this.#break(sink, refusal);
    if (byte === CR && this.#blank < 2 * this.maxBlankLines) {
      this.#state = State.BLANK_LF;
      this.#position++;
      return 1;
    }
    this.#state = HEAD + Phase.FIRST_LINE;
    return 0;
  }

  #readHead(bytes: Uint8Array, at: number, end: number, sink: Sink): number {
    const { head } = this;
    const { places } = head;
    const held = this.#piecesLength;
    // Empty lines count, as they do for a proxy.
    const room = MAX_HEAD - this.#blank;
    if (held === 0 && this.#state === HEAD && places.recalls(bytes, at, Math.min(end, at + room)))
      return this.#finishHead(head.size, sink);
    let phase = this.#state - HEAD;
    let source = bytes;
    let start = at;
    if (held > 0) {
      source = this.#keep(bytes, at, Math.min(end, at + room - held));
      start = 0;
    }
    const to = held > 0 ? this.#piecesLength : Math.min(end, at + room);
    let stop = start + held;
    if (phase <= Phase.FIRST_LF) {
      // The first line is judged as soon as it is there: other protocols have no empty line that could be waited for.
      stop = places.scanFirstLine(source, stop, to, phase);
      phase = places.phase;
      if (phase === Phase.LINE) {
        const flaw = head.readFirstLine(source, start, stop - 2);
        if (flaw !== undefined) return this.#break(sink, flaw);
      }
    }
    if (phase > Phase.FIRST_LF && phase < Phase.DONE) {
      stop = places.scanFields(source, stop, to, phase);
      phase = places.phase;
    }
    if (phase === Phase.FLAWED) return this.#break(sink, places.flaw);
    if (phase !== Phase.DONE) {
      if (stop - start === room) return this.#break(sink, `more than ${MAX_HEAD} bytes of head`);
      if (held === 0) this.#keep(bytes, at, end);
      this.#state = HEAD + phase;
      this.#position += end - at;
      return end - at;
    }
    if (held > 0) {
      // Others have used the places meanwhile.
      const lineEnd = places.scanFirstLine(source, 0, stop, Phase.FIRST_LINE);
      head.readFirstLine(source, 0, lineEnd - 2);
      places.scanFields(source, lineEnd, stop, Phase.LINE);
    }
    places.bytes = source;
    places.start = start;
    places.end = stop;
    const flaw = head.readFields();
    if (flaw !== undefined) return this.#break(sink, flaw);
    head.remember();
    return this.#finishHead(stop - start - held, sink);
  }

  /** @param count bytes of it that have not been counted yet */
  #finishHead(count: number, sink: Sink): number {
    const { head } = this;
    this.#position += count;
    this.#blank = 0;
    this.#forget();
    this.#state = State.IDLE;
    const sequel = this.announce(sink, this.#unitAt, this.#position);
    this.#begin(sequel, head.length, sink);
    return count;
  }

  #begin(sequel: Sequel, length: number, sink: Sink): void {
    if (sequel === 'interim') return;
    if (sequel === 'opaque') this.becomeOpaque(sink);
    else if (sequel === 'until-close') this.#state = State.UNTIL_CLOSE;
    else if (sequel === 'chunked') this.#expectChunk();
    else if (sequel === 'length' && length > 0) {
      this.#state = State.LENGTH;
      this.#rest = length;
    } else this.#complete(sink);
  }

  #readChunkLine(bytes: Uint8Array, at: number, end: number, sink: Sink): number {
    const phase = this.#state - CHUNK;
    if (phase === Line.SIZE_FIRST || phase === Line.DATA_CR) this.#unitAt = this.#position;
    const room = MAX_HEAD - (this.#position - this.#unitAt);
    const count = chunkLines.read(bytes, at, Math.min(end, at + room), phase, this.#rest) - at;
    if (chunkLines.phase === Line.FLAWED) return this.#break(sink, chunkLines.flaw);
    this.#rest = chunkLines.size;
    this.#position += count;
    if (chunkLines.phase === Line.TRAILER) {
      this.#state = TRAILER + Phase.LINE;
      this.#unitAt = this.#position;
    } else if (chunkLines.phase === Line.SIZE_FIRST) this.#expectChunk();
    else if (chunkLines.phase < Line.DATA && count === room) {
      return this.#break(sink, `more than ${MAX_HEAD} bytes of chunk line`);
    } else this.#state = CHUNK + chunkLines.phase;
    return count;
  }

  #readTrailer(bytes: Uint8Array, at: number, end: number, sink: Sink): number {
    const { places } = this.head;
    const room = MAX_HEAD - (this.#position - this.#unitAt);
    const stop = places.scanFields(bytes, at, Math.min(end, at + room), this.#state - TRAILER);
    if (places.phase === Phase.FLAWED) return this.#break(sink, `${places.flaw} in a trailer`);
    const count = stop - at;
    if (places.phase === Phase.DONE) {
      this.#position += count;
      this.#complete(sink);
    } else {
      if (count === room) return this.#break(sink, `more than ${MAX_HEAD} bytes of trailer`);
      this.#state = TRAILER + places.phase;
      this.#position += count;
    }
    return count;
  }

  #expectChunk(): void {
    this.#state = CHUNK + Line.SIZE_FIRST;
    this.#rest = 0;
  }

  #pass(count: number, sink: Sink): void {
    this.#position += count;
    if (this.#state >= State.UNTIL_CLOSE) return;
    this.#rest -= count;
    if (this.#rest > 0) return;
    if (this.#state === CHUNK_DATA) this.#state = CHUNK + Line.DATA_CR;
    else this.#complete(sink);
  }

  #complete(sink: Sink): void {
    this.#state = State.IDLE;
    sink.end(this.#position);
  }

  #break(sink: Sink, reason: string): 0 {
    this.#state = State.BROKEN;
    this.#forget();
    sink.broken(this.#unitAt, reason);
    return 0;
  }

  /** Adds to the pieces of a head. @returns all of them */
  #keep(bytes: Uint8Array, from: number, to: number): Buffer {
    const length = this.#piecesLength + to - from;
    let pieces = this.#pieces;
    if (pieces === undefined || pieces.length < length) {
      let size = pieces?.length ?? 512;
      while (size < length) size *= 2;
      pieces = Buffer.allocUnsafeSlow(size);
      this.#pieces?.copy(pieces, 0, 0, this.#piecesLength);
      this.#pieces = pieces;
    }
    pieces.set(bytes.subarray(from, to), this.#piecesLength);
    this.#piecesLength = length;
    return pieces;
  }

  #forget(): void {
    this.#pieces = undefined;
    this.#piecesLength = 0;
  }
}
