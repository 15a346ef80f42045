import { type BodyKind, MessageHead } from './message-head.ts';

/** Far beyond what servers send; so that a head that never ends is no matter. */
const MAX_FIELDS = 1_000;
const SPACE = 0x20;
const QUOTE = 0x22;

/** The head of a response (RFC 9112 §4). */
export class ResponseHead extends MessageHead {
  /** 100 to 599. */
  status = 200;
  /** Its length is known, and a strong ETag or a Last-Modified tells one version of its content from another (RFC 9110 §8.8). */
  hasValidator = false;
  /** What the fields say of the body, whatever was asked for: another request may get the same head. */
  #own: { body: BodyKind; length: number; close: boolean } = { body: 'none', length: 0, close: false };
  /** Which of them are there. */
  #isTagged = false;
  #isDated = false;

  constructor() {
    super(MAX_FIELDS);
  }

  readFirstLine(bytes: Uint8Array, from: number, to: number): string | undefined {
    const text = 'HTTP/1.';
    if (to - from < 12) return 'malformed status line';
    for (let i = 0; i < text.length; i++)
      if (bytes[from + i] !== text.charCodeAt(i)) return 'not an HTTP/1.1 response';
    this.minor = bytes[from + 7]! - 0x30;
    const [hundreds, tens, ones] = [
      bytes[from + 9]! - 0x30,
      bytes[from + 10]! - 0x30,
      bytes[from + 11]! - 0x30,
    ];
    const isNumber = hundreds >= 1 && hundreds <= 5 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9;
    const isSpaced = bytes[from + 8] === SPACE && (to - from === 12 || bytes[from + 12] === SPACE);
    if (!isNumber || !isSpaced || (this.minor !== 0 && this.minor !== 1)) return 'malformed status line';
    this.status = hundreds * 100 + tens * 10 + ones;
    return undefined;
  }

  override readFields(): string | undefined {
    this.#isTagged = this.#isDated = false;
    const flaw = super.readFields();
    this.#own.body = this.body;
    this.#own.length = this.length;
    this.#own.close = this.close;
    return flaw;
  }

  protected note(field: number): void {
    const { places } = this;
    const size = places.nameLength(field);
    if (size === 4 && places.isNamed(field, 'etag')) {
      this.#isTagged ||= places.bytes[places.valueStart(field)] === QUOTE;
    } else if (size === 13 && places.isNamed(field, 'last-modified')) this.#isDated = true;
  }

  /** Whether that is so of fields which may not differ: a masked one tells nothing. */
  hasValidatorBut(masked: ReadonlySet<string>): boolean {
    if (!this.hasValidator) return false;
    return (this.#isTagged && !masked.has('etag')) || (this.#isDated && !masked.has('last-modified'));
  }

  /** @internal The request decides, too, how long the body is (RFC 9112 §6.3). */
  settle(method: string): void {
    const { status } = this;
    this.body = this.#own.body;
    this.length = this.#own.length;
    this.close = this.#own.close;
    if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
      this.body = 'none';
      this.length = 0;
    } else if (method === 'CONNECT' && status < 300) {
      this.body = 'none';
      this.length = 0;
    } else if (this.body === 'none') {
      this.body = 'until-close';
      this.close = true;
    }
    this.hasValidator = this.body === 'length' && (this.#isTagged || this.#isDated);
  }
}
