/** The head of an HTTP/1.x request (RFC 9112 §2–5), as far as a proxy needs it to choose a back end. */
export interface RequestHead {
  method: string;
  target: string;
  version: string;
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

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (\S{1,65000}) HTTP\/(\d)\.(\d)$/;
const FIELD_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Looks at the beginning of a connection's bytes.
 *
 * @param bytes what has arrived so far, from the request's first byte on
 * @param full no more can be kept
 */
export function readHead(bytes: Uint8Array, full = false): HeadVerdict {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = buffer.indexOf('\r\n\r\n');
  if (end < 0) {
    if (full || bytes.length >= MAX_HEAD)
      return { kind: 'refused', status: 431, reason: 'request head too large' };
    // A client that speaks another protocol would wait for an answer for ever.
    if (bytes.length > 0 && !/^[!-~]/.test(String.fromCharCode(bytes[0]!)))
      return { kind: 'refused', status: 400, reason: 'not an HTTP request' };
    return { kind: 'incomplete' };
  }
  const lines = buffer.toString('latin1', 0, end).split('\r\n');
  const request = REQUEST_LINE.exec(lines[0]!);
  if (!request) return { kind: 'refused', status: 400, reason: 'malformed request line' };
  const [, method, target, major, minor] = request;
  if (major !== '1') return { kind: 'refused', status: 505, reason: 'HTTP version not supported' };
  for (let i = 1; i < lines.length; i++) {
    if (!FIELD_LINE.test(lines[i]!))
      return { kind: 'refused', status: 400, reason: 'malformed header field' };
  }
  return {
    kind: 'complete',
    head: { method: method!, target: target!, version: `${major}.${minor}`, length: end + 4 },
  };
}
