/** The lines of an HTTP/1.1 head or trailer (RFC 9112 §2–5), read byte by byte: the reading can stop and go on anywhere. */

/** What the next byte belongs to. */
export const Phase = {
  /** The request or status line. */
  FIRST_LINE: 0,
  /** Its line feed. */
  FIRST_LF: 1,
  /** The first byte of a field, or of the empty line. */
  LINE: 2,
  NAME: 3,
  VALUE: 4,
  /** A field's line feed. */
  LINE_LF: 5,
  /** The empty line's line feed. */
  LAST_LF: 6,
  DONE: 7,
  FLAWED: 8,
} as const;

/** Fields whose places are kept. More are counted, and left to whoever limits them. */
export const MAX_PLACES = 1_000;

/** The longest head that is remembered, bytes, and the most fields of one. */
const LONGEST_REMEMBERED = 2_048;
const MOST_REMEMBERED = 64;

/** After so many heads none of which came again, only one of so many is remembered. */
const SELDOM = 16;

/** Buffer's own, which any bytes can be copied by. */
const { copy } = Buffer.prototype;

const HT = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;

const UNPAIRED = 'carriage return without line feed';

/** 1: may stand in a token (RFC 9110 §5.6.2). */
const TOKEN = tableOf(/[!#$%&'*+.^_`|~0-9A-Za-z-]/);
/** 1: may stand in a field's value or in a first line. */
const TEXT = tableOf(/[\t\x20-\x7e\x80-\xff]/);

function tableOf(pattern: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (pattern.test(String.fromCharCode(byte)) ? 1 : 0));
}

export function isToken(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (TOKEN[bytes[at]!] === 0) return false;
  return from < to;
}

/**
 * The places of one head's fields. There is one for all requests and one for all responses, since a head is looked at as soon as it
 * is complete: so nothing is allocated for it, and a connection holds nothing.
 */
export class HeadFields {
  /** Where the head lies; only valid while it is looked at. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Index of the head's first byte. */
  start = 0;
  /** Index behind the empty line. */
  end = 0;
  /** Number of fields, also beyond {@link MAX_PLACES}. */
  count = 0;
  /** Where the last reading stopped. */
  phase: number = Phase.FIRST_LINE;
  /** Why it gave up, for a person. */
  flaw = '';
  /** The places are still those of the head that was remembered. */
  #isRemembered = false;
  /** Heads that were read since the last one that came again. */
  #misses = 0;
  readonly #memory = Buffer.alloc(LONGEST_REMEMBERED);
  readonly #names = new Int32Array(MAX_PLACES + 1);
  readonly #colons = new Int32Array(MAX_PLACES + 1);
  readonly #ends = new Int32Array(MAX_PLACES + 1);

  /**
   * Reads the first line on.
   *
   * @param from index of the next byte
   * @param to index behind the last one that is there
   * @param phase where the last call stopped: FIRST_LINE or FIRST_LF
   * @returns the index behind what was read: behind the line, if the phase is LINE now; else `to`, or that of the flaw
   */
  scanFirstLine(bytes: Uint8Array, from: number, to: number, phase: number): number {
    this.#isRemembered = false;
    let at = from;
    if (phase === Phase.FIRST_LINE) {
      while (at < to && TEXT[bytes[at]!] === 1) at++;
      if (at < to) {
        if (bytes[at] !== CR) return this.#flawed(at, flawOf(bytes[at]!));
        phase = Phase.FIRST_LF;
        at++;
      }
    }
    if (phase === Phase.FIRST_LF && at < to) {
      if (bytes[at] !== LF) return this.#flawed(at, UNPAIRED);
      phase = Phase.LINE;
      at++;
    }
    this.phase = phase;
    return at;
  }

  /**
   * Reads the fields and the empty line on. Only a reading from LINE to DONE in one call leaves the fields' places behind.
   *
   * @param from index of the next byte
   * @param to index behind the last one that is there
   * @param phase where the last call stopped: LINE to LAST_LF
   * @returns the index behind what was read: behind the empty line, if the phase is DONE now; else `to`, or that of the flaw
   */
  scanFields(bytes: Uint8Array, from: number, to: number, phase: number): number {
    this.#isRemembered = false;
    let at = from;
    let count = 0;
    const names = this.#names;
    const colons = this.#colons;
    const ends = this.#ends;
    while (at < to) {
      switch (phase) {
        case Phase.LINE:
          if (bytes[at] === CR) {
            phase = Phase.LAST_LF;
            at++;
            break;
          }
          if (TOKEN[bytes[at]!] === 0) return this.#flawed(at, 'malformed header field');
          names[Math.min(count, MAX_PLACES)] = at;
          phase = Phase.NAME;
          at++;
          break;
        case Phase.NAME:
          while (at < to && TOKEN[bytes[at]!] === 1) at++;
          if (at === to) break;
          if (bytes[at] !== COLON) return this.#flawed(at, 'malformed header field');
          colons[Math.min(count, MAX_PLACES)] = at;
          phase = Phase.VALUE;
          at++;
          break;
        case Phase.VALUE:
          while (at < to && TEXT[bytes[at]!] === 1) at++;
          if (at === to) break;
          if (bytes[at] !== CR) return this.#flawed(at, flawOf(bytes[at]!));
          ends[Math.min(count, MAX_PLACES)] = at;
          count++;
          phase = Phase.LINE_LF;
          at++;
          break;
        default:
          if (bytes[at] !== LF) return this.#flawed(at, UNPAIRED);
          at++;
          if (phase === Phase.LAST_LF) {
            this.count = count;
            this.phase = Phase.DONE;
            return at;
          }
          phase = Phase.LINE;
      }
    }
    this.phase = phase;
    return at;
  }

  /**
   * Keeps a copy of the head that has been read, where it is not too long, and leads the places there. Seldom, while no head comes again:
   * where all differ it would be in vain.
   *
   * @returns by how much they have moved
   */
  remember(): number {
    const length = this.end - this.start;
    this.#misses++;
    if (this.#misses > SELDOM && this.#misses % SELDOM > 0) return 0;
    if (length > LONGEST_REMEMBERED || this.count > MOST_REMEMBERED) return 0;
    const { bytes, start, count } = this;
    copy.call(bytes, this.#memory, 0, start, this.end);
    for (let i = 0; i < count; i++) {
      this.#names[i]! -= start;
      this.#colons[i]! -= start;
      this.#ends[i]! -= start;
    }
    this.bytes = this.#memory;
    this.start = 0;
    this.end = length;
    this.#isRemembered = true;
    return -start;
  }

  /**
   * Whether the head that was read last comes once more: pollers, checks of health and their answers repeat themselves, and comparing
   * takes a fifth of reading.
   *
   * @param to index behind the last byte that is there
   */
  recalls(bytes: Uint8Array, from: number, to: number): boolean {
    const { end } = this;
    if (!this.#isRemembered || to - from < end) return false;
    if (this.#memory.compare(bytes, from, from + end, 0, end) !== 0) return false;
    this.#misses = 0;
    return true;
  }

  #flawed(at: number, flaw: string): number {
    this.phase = Phase.FLAWED;
    this.flaw = flaw;
    return at;
  }

  /** Length of a field's name. @param field 0 to `count` - 1, below {@link MAX_PLACES} */
  nameLength(field: number): number {
    return this.#colons[field]! - this.#names[field]!;
  }

  /** Whether a field has this name. @param name in lower case; letters and hyphens only */
  isNamed(field: number, name: string): boolean {
    return this.nameLength(field) === name.length && saysAt(this.bytes, this.#names[field]!, name);
  }

  nameOf(field: number): string {
    return latin1(this.bytes, this.#names[field]!, this.#colons[field]!);
  }

  /** Index of the first byte of a field's value, without the white space before it. */
  valueStart(field: number): number {
    const { bytes } = this;
    const end = this.#ends[field]!;
    let at = this.#colons[field]! + 1;
    while (at < end && isBlank(bytes[at]!)) at++;
    return at;
  }

  /** Index behind a field's value, without the white space after it. */
  valueEnd(field: number): number {
    const { bytes } = this;
    const start = this.#colons[field]! + 1;
    let at = this.#ends[field]!;
    while (at > start && isBlank(bytes[at - 1]!)) at--;
    return Math.max(at, this.valueStart(field));
  }

  valueOf(field: number): string {
    return latin1(this.bytes, this.valueStart(field), this.valueEnd(field));
  }

  /** Whether a field's value is this text, in whatever case. @param text in lower case; letters, digits and hyphens only */
  says(field: number, text: string): boolean {
    const start = this.valueStart(field);
    return this.valueEnd(field) - start === text.length && saysAt(this.bytes, start, text);
  }

  /** Whether a field's value is a list that holds this member, in whatever case. @param member as for {@link says} */
  lists(field: number, member: string): boolean {
    const { bytes } = this;
    const end = this.valueEnd(field);
    for (let from = this.valueStart(field); from < end; ) {
      let comma = from;
      while (comma < end && bytes[comma] !== 0x2c) comma++;
      let to = comma;
      while (to > from && isBlank(bytes[to - 1]!)) to--;
      if (to - from === member.length && saysAt(bytes, from, member)) return true;
      from = comma + 1;
      while (from < end && isBlank(bytes[from]!)) from++;
    }
    return false;
  }

  /** A field's value as a length: one to fifteen digits, so it is exact; anything else is -1. */
  lengthOf(field: number): number {
    const { bytes } = this;
    const end = this.valueEnd(field);
    let at = this.valueStart(field);
    if (at === end || end - at > 15) return -1;
    let value = 0;
    for (; at < end; at++) {
      const digit = bytes[at]! - 0x30;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return value;
  }
}

function flawOf(byte: number): string {
  return byte === LF ? 'line feed without carriage return' : 'control character';
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === HT;
}

/** Compares without regard to case. For letters, digits and hyphens, 0x20 makes no other byte that a token may have equal to them. */
function saysAt(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if ((bytes[at + i]! | 0x20) !== text.charCodeAt(i)) return false;
  return true;
}

export function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
}
