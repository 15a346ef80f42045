import { isToken, latin1 } from './head-fields.ts';
import { MessageHead } from './message-head.ts';

/** As `apps/proxy` has it. */
const MAX_FIELDS = 100;
const MAX_METHOD = 32;
const SPACE = 0x20;

/** Those that are told without making a string. */
const METHODS = ['GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'CONNECT', 'TRACE'] as const;

/** The head of a request (RFC 9112 §3). Its grammar and its reading are those of `apps/proxy`, which judged the first one. */
export class RequestHead extends MessageHead {
  method = 'GET';
  /** The client asks for another protocol (RFC 9110 §7.8) or for a tunnel: what follows an accepting response is opaque. */
  upgrade = false;
  /** The client may wait for a 100 before it sends the body (RFC 9110 §10.1.1). */
  expectContinue = false;
  #upgradeNamed = false;
  #upgradeListed = false;
  /** Where the target lies. */
  readonly place: { bytes: Uint8Array; from: number; to: number } = {
    bytes: new Uint8Array(0),
    from: 0,
    to: 0,
  };

  constructor() {
    super(MAX_FIELDS);
  }

  /** As sent: `/path?query`, `http://host/path`, `*`. */
  get target(): string {
    const { bytes, from, to } = this.place;
    return latin1(bytes, from, to);
  }

  /** @internal */
  override remember(): number {
    const moved = super.remember();
    this.place.bytes = this.places.bytes;
    this.place.from += moved;
    this.place.to += moved;
    return moved;
  }

  /** What `@resplice/site-config` routes by. */
  routable(): {
    method: string;
    target: string;
    version: string;
    fields: { name: string; value: string }[];
  } {
    // RFC 9112 §2.3: whoever knows 1.1 takes a higher minor version for it.
    const version = this.minor === 0 ? '1.0' : '1.1';
    return { method: this.method, target: this.target, version, fields: this.fields() };
  }

  readFirstLine(bytes: Uint8Array, from: number, to: number): string | undefined {
    let space = from;
    while (space < to && bytes[space] !== SPACE) space++;
    // Behind the method: a space, a target of one byte at least, a space, and eight bytes of version.
    const targetEnd = to - 9;
    if (space - from > MAX_METHOD || targetEnd < space + 2 || !isToken(bytes, from, space)) {
      return 'malformed request line';
    }
    for (let at = space + 1; at < targetEnd; at++) {
      if (bytes[at]! <= SPACE || bytes[at]! > 0x7e) return 'malformed request line';
    }
    if (bytes[targetEnd] !== SPACE || !isVersion(bytes, targetEnd + 1)) return 'malformed request line';
    if (bytes[to - 3] !== 0x31) return 'HTTP version not supported';
    this.minor = bytes[to - 1]! - 0x30;
    this.method = methodOf(bytes, from, space);
    this.place.bytes = bytes;
    this.place.from = space + 1;
    this.place.to = targetEnd;
    return undefined;
  }

  override readFields(): string | undefined {
    this.expectContinue = false;
    this.#upgradeNamed = false;
    this.#upgradeListed = false;
    const flaw = super.readFields();
    if (flaw !== undefined) return flaw;
    this.upgrade = this.method === 'CONNECT' || (this.#upgradeNamed && this.#upgradeListed);
    const hasContent = this.body === 'chunked' || this.length > 0;
    // Many servers do not read it, and take it for the next request.
    if (hasContent && (this.method === 'GET' || this.method === 'HEAD')) return `${this.method} with content`;
    return undefined;
  }

  protected note(field: number): void {
    const { places } = this;
    const size = places.nameLength(field);
    if (size === 6)
      this.expectContinue ||= places.isNamed(field, 'expect') && places.says(field, '100-continue');
    else if (size === 7) this.#upgradeNamed ||= places.isNamed(field, 'upgrade');
    else if (size === 10) {
      this.#upgradeListed ||= places.isNamed(field, 'connection') && places.lists(field, 'upgrade');
    }
  }
}

function isVersion(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === 0x48 &&
    bytes[at + 1] === 0x54 &&
    bytes[at + 2] === 0x54 &&
    bytes[at + 3] === 0x50 &&
    bytes[at + 4] === 0x2f &&
    isDigit(bytes[at + 5]!) &&
    bytes[at + 6] === 0x2e &&
    isDigit(bytes[at + 7]!)
  );
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function methodOf(bytes: Uint8Array, from: number, to: number): string {
  search: for (const method of METHODS) {
    if (method.length !== to - from) continue;
    for (let i = 0; i < method.length; i++) if (bytes[from + i] !== method.charCodeAt(i)) continue search;
    return method;
  }
  return latin1(bytes, from, to);
}
