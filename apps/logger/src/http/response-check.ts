import type { ResponseRecord } from './response-record.ts';

/** Fields that differ between two servers, and from second to second, without their content being different. */
export const MASKED: readonly string[] = ['date'];

/** They say where the response ends, so they are never masked. */
const FRAMING = ['content-length', 'transfer-encoding'];
/** Most heads are shorter; of the others more is read. */
const FIRST_LOOK = 2_048;

/** Offsets of a masked value: all between colon and line end. */
interface Mask {
  from: number;
  to: number;
}

/**
 * Whether a response that an alternate has generated again is the one of which the client has the beginning (P12). All that is kept
 * of the first one must be the same, byte for byte, but for the values of masked fields, which must be of the same length: the
 * client keeps the old value. What is not kept is not compared.
 */
export class ResponseCheck {
  readonly #record: ResponseRecord;
  readonly #masks: readonly Mask[];
  /** What was kept when the check began. */
  readonly #until: number;
  /** Bytes of the first response; -1 if it is not known, or beyond the record. */
  readonly #total: number;
  #reached = 0;

  /**
   * @param record as it is now: what is appended during the check is not compared. It must not be released meanwhile
   * @param masked names of fields, in lower case; those that tell a length are compared nevertheless
   */
  constructor(record: ResponseRecord, masked: readonly string[] = MASKED) {
    this.#record = record;
    this.#until = record.length;
    this.#total = record.isWhole ? record.length : -1;
    this.#masks = masksOf(
      record,
      masked.filter(name => !FRAMING.includes(name)),
    );
  }

  /** Bytes without a gap, from the first one on, that have been compared and agree. */
  get reached(): number {
    return this.#reached;
  }

  /** All that is kept has been compared and agrees. More may differ only by being more: see {@link compare} and {@link ended}. */
  get hasPassed(): boolean {
    return this.#reached >= this.#until;
  }

  /**
   * Compares a piece of the regenerated response; in any order, but only what leaves no gap counts for {@link reached}.
   *
   * @param offset of the piece's first byte in the response
   * @param start index of that byte in `bytes`, `end` that behind the last one
   * @returns the offset of a byte that differs, or that the first response did not have; -1 if there is none
   */
  compare(offset: number, bytes: Uint8Array, start: number, end: number): number {
    const behind = offset + end - start;
    const to = Math.min(behind, this.#until);
    let at = offset;
    for (const mask of this.#masks) {
      if (mask.from >= to) break;
      const masked = Math.max(at, mask.from);
      const difference = this.#plain(at, masked, offset, bytes, start);
      if (difference >= 0) return difference;
      const unmasked = Math.min(to, mask.to);
      for (at = masked; at < unmasked; at++) if (!isText(bytes[start + at - offset]!)) return at;
    }
    const difference = this.#plain(at, to, offset, bytes, start);
    if (difference >= 0) return difference;
    if (this.#total >= 0 && behind > this.#total) return Math.max(offset, this.#total);
    if (offset <= this.#reached) this.#reached = Math.max(this.#reached, behind);
    return -1;
  }

  /**
   * The regenerated response has ended.
   *
   * @param total bytes of it
   * @returns whether it may end there, as far as the record tells: not if the first one is known to be longer
   */
  ended(total: number): boolean {
    return this.#total >= 0 ? total === this.#total : total >= this.#until;
  }

  /** Compares the offsets `at` to `to` of a piece that begins at `offset`. */
  #plain(at: number, to: number, offset: number, bytes: Uint8Array, start: number): number {
    return at < to ? this.#record.differenceFrom(at, bytes, start + at - offset, start + to - offset) : -1;
  }
}

/** Whether a byte may stand in a field's value. A line end would make the value shorter. */
function isText(byte: number): boolean {
  return (byte >= 0x20 && byte !== 0x7f) || byte === 0x09;
}

function masksOf(record: ResponseRecord, masked: readonly string[]): Mask[] {
  for (let size = FIRST_LOOK; ; size *= 2) {
    const length = Math.min(size, record.length);
    const { masks, complete } = masksIn(Buffer.from(record.bytes(0, length)).toString('latin1'), masked);
    if (complete || length === record.length) return masks;
  }
}

/** @param text the beginning of a response, cut anywhere */
function masksIn(text: string, masked: readonly string[]): { masks: Mask[]; complete: boolean } {
  const masks: Mask[] = [];
  // Interim responses (RFC 9110 §15.2) come before; a 101 is followed by another protocol.
  const isInterim = (at: number) => /^HTTP\/1\.\d 1(?!01)/.test(text.slice(at, at + 12));
  let head = 0;
  for (let line = 0; ; ) {
    const end = text.indexOf('\r\n', line);
    const isCut = end < 0;
    if (end === line) {
      if (!isInterim(head)) return { masks, complete: true };
      head = end + 2;
    } else if (line > head) {
      const colon = text.indexOf(':', line);
      // Cut between carriage return and line feed: both are compared.
      const to = isCut ? text.length - (text.endsWith('\r') ? 1 : 0) : end;
      if (colon >= 0 && masked.includes(text.slice(line, colon).toLowerCase())) {
        masks.push({ from: colon + 1, to });
      }
    }
    if (isCut) return { masks, complete: false };
    line = end + 2;
  }
}
