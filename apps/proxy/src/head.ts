import { placeOf, type RoutableHead } from '@resplice/site-config';
import { framingFlaw } from './head-framing.ts';

/** The head of an HTTP/1.x request (RFC 9112 §2–5), as far as a proxy needs it to choose a back end. */
export interface RequestHead extends RoutableHead {
  /** Length in bytes, the empty line included. */
  length: number;
}

export type HeadVerdict =
  | { kind: 'incomplete' }
  | { kind: 'complete'; head: RequestHead }
  /** `status` is what the client is to be told. */
  | { kind: 'refused'; status: 400 | 431 | 505; reason: string };

/** The longest head that is accepted, in bytes. */
export const MAX_HEAD = 65_536;

/** Fields of a head at most. Servers have limits of their own, and some cut off what is beyond. */
const MAX_FIELDS = 100;
const MAX_EMPTY_LINES = 4;
const CR = 0x0d;
const LF = 0x0a;

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP\/(\d)\.(\d)$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e\x80-\xff]*)$/;

/**
 * Looks at the beginning of a connection's bytes.
 *
 * @param bytes what has arrived so far, from the request's first byte on
 * @param final no more can be kept, or will come
 */
export function readHead(bytes: Uint8Array, final?: 'full' | 'finished'): HeadVerdict {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = emptyLines(buffer);
  const end = buffer.indexOf('\r\n\r\n', start);
  if (end < 0) {
    if (final === 'full' || bytes.length >= MAX_HEAD) return refused(431, 'request head too large');
    // Whoever will never complete a head must not wait for an answer: other protocols, other line ends, half-closed clients.
    if (start < bytes.length && !/^[!-~\r]/.test(String.fromCharCode(bytes[start]!))) {
      return refused(400, 'not an HTTP request');
    }
    if (hasBareLineFeed(buffer)) return refused(400, 'line feed without carriage return');
    const lineEnd = buffer.indexOf('\r\n', start);
    if (lineEnd > start && !REQUEST_LINE.test(buffer.toString('latin1', start, lineEnd))) {
      return refused(400, 'malformed request line'); // HTTP/0.9, for one, sends nothing more
    }
    return final === 'finished' ? refused(400, 'request head incomplete') : { kind: 'incomplete' };
  }
  if (end + 4 > MAX_HEAD) return refused(431, 'request head too large');
  const lines = buffer.toString('latin1', start, end).split('\r\n');
  const request = REQUEST_LINE.exec(lines[0]!);
  if (!request) return refused(400, 'malformed request line');
  const [, method, target, major, minor] = request;
  if (major !== '1') return refused(505, 'HTTP version not supported');
  if (lines.length - 1 > MAX_FIELDS) return refused(431, `more than ${MAX_FIELDS} header fields`);
  const fields: { name: string; value: string }[] = [];
  for (let i = 1; i < lines.length; i++) {
    const parts = FIELD_LINE.exec(lines[i]!);
    if (!parts) return refused(400, 'malformed header field');
    fields.push({ name: parts[1]!, value: trimmed(parts[2]!) });
  }
  // RFC 9112 §2.3: whoever knows 1.1 takes a higher minor version for it.
  const version = minor === '0' ? '1.0' : '1.1';
  const head = { method: method!, target: target!, version, fields, length: end + 4 };
  const flaw = framingFlaw(head);
  if (flaw) return refused(400, flaw);
  // What two programs may read differently is given to none, whether a route looks at it or not.
  const place = placeOf(head);
  return typeof place === 'string' ? refused(400, place) : { kind: 'complete', head };
}

function refused(status: 400 | 431 | 505, reason: string): HeadVerdict {
  return { kind: 'refused', status, reason };
}

/** Without the white space around a field's value. */
function trimmed(text: string): string {
  return text.replace(/^[\t ]+|[\t ]+$/g, '');
}

/** Bytes of empty lines before the request line; a recipient passes over them (RFC 9112 §2.2). */
function emptyLines(buffer: Buffer): number {
  let at = 0;
  while (at < MAX_EMPTY_LINES * 2 && buffer[at] === CR && buffer[at + 1] === LF) at += 2;
  return at;
}

function hasBareLineFeed(buffer: Buffer): boolean {
  for (let at = buffer.indexOf(LF); at >= 0; at = buffer.indexOf(LF, at + 1)) {
    if (buffer[at - 1] !== CR) return true;
  }
  return false;
}
