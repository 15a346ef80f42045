import { HeadFields, MAX_PLACES } from './head-fields.ts';

/** `until-close`: the end of the stream ends it; responses only. */
export type BodyKind = 'none' | 'length' | 'chunked' | 'until-close';

/**
 * What a request's and a response's head have in common. One object serves all heads of its kind: it and all it tells are only
 * valid during the call that brings it.
 */
export abstract class MessageHead {
  /** Of `HTTP/1.x`; 0 to 9. */
  minor = 1;
  /** How the end of the body is found. */
  body: BodyKind = 'none';
  /** Bytes of the body; 0 unless it is of kind `length`. */
  length = 0;
  /** The connection does not outlive this message (RFC 9112 §9.3): `Connection: close`, or 1.0 without `keep-alive`. */
  close = false;
  /** @internal The head's fields, filled by the framing. */
  readonly places = new HeadFields();
  protected readonly maxFields: number;

  /** @param maxFields at most {@link MAX_PLACES} */
  protected constructor(maxFields: number) {
    this.maxFields = Math.min(maxFields, MAX_PLACES);
  }

  /** Bytes of the head, its empty line included. */
  get size(): number {
    return this.places.end - this.places.start;
  }

  /** A copy of the head's bytes, its empty line included. */
  bytes(): Uint8Array {
    // Trap: a Buffer's own `slice` copies nothing.
    return Uint8Array.prototype.slice.call(this.places.bytes, this.places.start, this.places.end);
  }

  /** The value of the first field of this name. @param name in lower case; letters and hyphens only */
  field(name: string): string | undefined {
    const { places } = this;
    for (let i = 0; i < places.count; i++) if (places.isNamed(i, name)) return places.valueOf(i);
    return undefined;
  }

  /** All fields in their order, values without surrounding white space. */
  fields(): { name: string; value: string }[] {
    const { places } = this;
    return Array.from({ length: places.count }, (_, i) => ({
      name: places.nameOf(i),
      value: places.valueOf(i),
    }));
  }

  /** @internal All has been read: what comes next may be the same. @returns by how much the fields' places have moved */
  remember(): number {
    return this.places.remember();
  }

  /** @internal Reads the first line. @returns what is wrong, for a person; undefined if nothing is */
  abstract readFirstLine(bytes: Uint8Array, from: number, to: number): string | undefined;

  /** @internal Looks at one field that is not about framing. */
  protected abstract note(field: number): void;

  /**
   * @internal Draws the conclusions from all fields. What is ambiguous is a flaw, though RFC 9112 §6.3 has a rule for it: two
   * programs in a row may follow different ones.
   */
  readFields(): string | undefined {
    const { places } = this;
    if (places.count > this.maxFields) return `more than ${this.maxFields} header fields`;
    let length = -1;
    let chunked = false;
    let close = false;
    let keepAlive = false;
    for (let i = 0; i < places.count; i++) {
      const size = places.nameLength(i);
      if (size === 14 && places.isNamed(i, 'content-length')) {
        if (length >= 0) return 'more than one Content-Length';
        length = places.lengthOf(i);
        if (length < 0) return 'Content-Length is not a number';
      } else if (size === 17 && places.isNamed(i, 'transfer-encoding')) {
        if (chunked || !places.says(i, 'chunked')) return 'Transfer-Encoding is not chunked';
        chunked = true;
      } else if (size === 10 && places.isNamed(i, 'connection')) {
        close ||= places.lists(i, 'close');
        keepAlive ||= places.lists(i, 'keep-alive');
        this.note(i);
      } else {
        this.note(i);
      }
    }
    if (chunked && length >= 0) return 'both Content-Length and Transfer-Encoding';
    if (chunked && this.minor === 0) return 'Transfer-Encoding in HTTP/1.0';
    this.close = close || (this.minor === 0 && !keepAlive);
    this.length = Math.max(0, length);
    this.body = chunked ? 'chunked' : length >= 0 ? 'length' : 'none';
    return undefined;
  }
}
