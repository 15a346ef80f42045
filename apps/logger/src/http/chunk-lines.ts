/** The lines around the chunks of a body (RFC 9112 §7.1), read byte by byte: the reading can stop and go on anywhere. */

/** What the next byte belongs to. */
export const Line = {
  /** The first digit of a chunk's size. */
  SIZE_FIRST: 0,
  SIZE: 1,
  EXTENSION: 2,
  /** The line feed behind size and extensions. */
  SIZE_LF: 3,
  /** The carriage return behind a chunk's data. */
  DATA_CR: 4,
  DATA_LF: 5,
  /** The chunk's data. */
  DATA: 6,
  /** The trailer, behind the last chunk's line. */
  TRAILER: 7,
  FLAWED: 8,
} as const;

const HT = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const SEMICOLON = 0x3b;
const DELETE = 0x7f;

/** Reads the lines around chunks. What it says is only valid until it reads again: there is one for all. */
class ChunkLines {
  /** Where the last reading stopped. */
  phase: number = Line.SIZE_FIRST;
  /** The chunk's size, as far as its digits have been read. */
  size = 0;
  /** Why it gave up, for a person. */
  flaw = '';

  /**
   * Reads on, at most to the end of a line.
   *
   * @param phase where the last call for this body stopped: SIZE_FIRST to DATA_LF
   * @param size what that call said
   * @returns the index behind what was read: `to`, or behind the line, or that of the flaw
   */
  read(bytes: Uint8Array, from: number, to: number, phase: number, size: number): number {
    this.size = size;
    let at = from;
    while (at < to) {
      const byte = bytes[at]!;
      switch (phase) {
        case Line.SIZE_FIRST:
        case Line.SIZE: {
          const digit = hexDigit(byte);
          if (digit >= 0) {
            this.size = this.size * 16 + digit;
            if (this.size > Number.MAX_SAFE_INTEGER) return this.#flawed(at, 'chunk size too large');
            phase = Line.SIZE;
          } else if (phase === Line.SIZE && byte === CR) phase = Line.SIZE_LF;
          // Some servers pad sizes with spaces.
          else if (phase === Line.SIZE && (byte === SEMICOLON || byte === SPACE || byte === HT)) {
            phase = Line.EXTENSION;
          } else return this.#flawed(at, 'not a chunk size');
          break;
        }
        case Line.EXTENSION:
          if (byte === CR) phase = Line.SIZE_LF;
          // A bare line feed above all: some take it for the line's end, and what follows for a chunk.
          else if ((byte < SPACE && byte !== HT) || byte === DELETE) {
            return this.#flawed(at, 'control character in a chunk line');
          }
          break;
        case Line.DATA_CR:
          if (byte !== CR) return this.#flawed(at, 'data beyond the chunk');
          phase = Line.DATA_LF;
          break;
        default:
          if (byte !== LF) return this.#flawed(at, 'carriage return without line feed');
          if (phase === Line.DATA_LF) this.phase = Line.SIZE_FIRST;
          else this.phase = this.size > 0 ? Line.DATA : Line.TRAILER;
          return at + 1;
      }
      at++;
    }
    this.phase = phase;
    return at;
  }

  #flawed(at: number, flaw: string): number {
    this.phase = Line.FLAWED;
    this.flaw = flaw;
    return at;
  }
}

export const chunkLines = new ChunkLines();

/** The value of a hexadecimal digit; -1 if it is none. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
