// The PROXY protocol's header, version 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt), as auxiliary connections carry it:
// on whose behalf, in which transaction (P8.3), and which attempt at it speaks.
//
//   0            12      13      14      16         16+addresses
//   signature    0x2.    family  length  addresses  type u8, length u16, value …
//
// PP2_TYPE_UNIQUE_ID is the transaction ID. The custom type 0xE0 is ours: u16 back-end number, u32 epoch (seconds), u16 attempt,
// u16 step. All numbers are big-endian.

import { isIPv4, isIPv6, SocketAddress } from 'node:net';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const LOCAL = 0x20;
const PROXY = 0x21;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIQUE_ID = 0x05;
const CALLER = 0xe0;
const CALLER_BYTES = 10;

/** Bytes before the part whose length they tell. */
export const PROXY_PREFIX_BYTES = 16;

/** A header that is longer is no header of ours, bytes; the format allows 65,551. */
export const MAX_PROXY_HEADER_BYTES = 1024;

/** What is no PROXY header, or one that cannot be used. */
export class ProxyHeaderError extends Error {
  constructor(what: string) {
    super(`PROXY header: ${what}`);
    this.name = 'ProxyHeaderError';
  }
}

export interface Endpoint {
  /** IPv4 or IPv6 */
  readonly address: string;
  readonly port: number;
}

/** Which attempt at a transaction, and which of its auxiliary connections. */
export interface Caller {
  /** The back end's number, u16. */
  readonly backend: number;
  /** When that back end started, u32 seconds since 1970. */
  readonly epoch: number;
  /** Takeovers of this transaction so far, u16. */
  readonly attempt: number;
  /** Counts the transaction's auxiliary connections, u16. */
  readonly step: number;
}

export interface ProxyHeader {
  /** On whose behalf, and what was connected to; undefined: on the sender's own (LOCAL, UNSPEC). */
  readonly route: { readonly client: Endpoint; readonly server: Endpoint } | undefined;
  /** 1 to 128 letters, digits, `-` and `_`. */
  readonly transaction: string | undefined;
  readonly caller: Caller | undefined;
}

const isTransaction = (text: string): boolean => /^[\w-]{1,128}$/.test(text);

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) throw new ProxyHeaderError(`${JSON.stringify(address)} is no IP address`);
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const groups = (text: string): number[] =>
    text.split(':').flatMap(group => {
      if (group === '') return [];
      if (!group.includes('.')) return [Number.parseInt(group, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
      return [a * 256 + b, c * 256 + d];
    });
  const [first, last] = [groups(head), groups(tail ?? '')];
  const all = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  const bytes = Buffer.alloc(16);
  for (const [i, group] of all.entries()) bytes.writeUInt16BE(group, 2 * i);
  return bytes;
}

function tlv(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(3);
  head.writeUInt8(type, 0);
  head.writeUInt16BE(value.length, 1);
  return Buffer.concat([head, value]);
}

function callerBytes({ backend, epoch, attempt, step }: Caller): Buffer {
  const bytes = Buffer.alloc(CALLER_BYTES);
  bytes.writeUInt16BE(backend, 0);
  bytes.writeUInt32BE(epoch, 2);
  bytes.writeUInt16BE(attempt, 6);
  bytes.writeUInt16BE(step, 8);
  return bytes;
}

/**
 * The header's bytes, to be sent before anything else.
 * @throws ProxyHeaderError for what is no address or transaction ID, RangeError for a number that does not fit
 */
export function encodeProxyHeader({ route, transaction, caller }: ProxyHeader): Buffer {
  let family = 0;
  const parts: Buffer[] = [];
  if (route !== undefined) {
    const source = addressBytes(route.client.address);
    const target = addressBytes(route.server.address);
    if (source.length !== target.length) throw new ProxyHeaderError('one address is IPv4, the other IPv6');
    family = source.length === 4 ? TCP4 : TCP6;
    const ports = Buffer.alloc(4);
    ports.writeUInt16BE(route.client.port, 0);
    ports.writeUInt16BE(route.server.port, 2);
    parts.push(source, target, ports);
  }
  if (transaction !== undefined) {
    if (!isTransaction(transaction))
      throw new ProxyHeaderError(`${JSON.stringify(transaction)} is no transaction ID`);
    parts.push(tlv(UNIQUE_ID, Buffer.from(transaction, 'latin1')));
  }
  if (caller !== undefined) parts.push(tlv(CALLER, callerBytes(caller)));
  const rest = Buffer.concat(parts);
  const prefix = Buffer.alloc(PROXY_PREFIX_BYTES);
  SIGNATURE.copy(prefix);
  prefix.writeUInt8(route === undefined ? LOCAL : PROXY, 12);
  prefix.writeUInt8(family, 13);
  prefix.writeUInt16BE(rest.length, 14);
  return Buffer.concat([prefix, rest]);
}

/**
 * The whole header's length, by its first 16 bytes or fewer; undefined while they do not tell.
 * @throws ProxyHeaderError as soon as this cannot become a header
 */
export function proxyHeaderLength(bytes: Uint8Array): number | undefined {
  const known = Math.min(bytes.length, SIGNATURE.length);
  if (SIGNATURE.compare(bytes, 0, known, 0, known) !== 0) throw new ProxyHeaderError('not there');
  if (bytes.length < PROXY_PREFIX_BYTES) return undefined;
  const length = PROXY_PREFIX_BYTES + bytes[14]! * 256 + bytes[15]!;
  if (length > MAX_PROXY_HEADER_BYTES) throw new ProxyHeaderError(`of ${length} bytes is too long`);
  return length;
}

function takeRoute(family: number, rest: Buffer): { route: ProxyHeader['route']; size: number } {
  const size = family === TCP4 ? 4 : family === TCP6 ? 16 : 0;
  if (size === 0) return { route: undefined, size: 0 };
  if (rest.length < 2 * size + 4) throw new ProxyHeaderError('its addresses are cut short');
  const addressAt = (at: number): string => {
    if (size === 4) return rest.subarray(at, at + 4).join('.');
    const groups = Array.from({ length: 8 }, (_, i) => rest.readUInt16BE(at + 2 * i).toString(16));
    // In the shortest spelling, which is what sockets report (RFC 5952).
    return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
  };
  const client = { address: addressAt(0), port: rest.readUInt16BE(2 * size) };
  const server = { address: addressAt(size), port: rest.readUInt16BE(2 * size + 2) };
  return { route: { client, server }, size: 2 * size + 4 };
}

function takeCaller(value: Buffer): Caller {
  if (value.length !== CALLER_BYTES) throw new ProxyHeaderError(`its caller has ${value.length} bytes`);
  return {
    backend: value.readUInt16BE(0),
    epoch: value.readUInt32BE(2),
    attempt: value.readUInt16BE(6),
    step: value.readUInt16BE(8),
  };
}

/**
 * Reads a header; values of types that are not ours are skipped.
 * @param bytes exactly as many as proxyHeaderLength() says
 * @throws ProxyHeaderError
 */
export function decodeProxyHeader(bytes: Uint8Array): ProxyHeader {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (proxyHeaderLength(all) !== all.length) throw new ProxyHeaderError('cut short');
  const command = all.readUInt8(12);
  if (command !== PROXY && command !== LOCAL) {
    throw new ProxyHeaderError(`of version and command 0x${command.toString(16)}: 0x20 and 0x21 are known`);
  }
  const rest = all.subarray(PROXY_PREFIX_BYTES);
  const { route, size } = takeRoute(all.readUInt8(13), rest);
  let transaction: string | undefined;
  let caller: Caller | undefined;
  for (let at = size; at < rest.length; ) {
    if (rest.length - at < 3) throw new ProxyHeaderError('its last value is cut short');
    const type = rest.readUInt8(at);
    const value = rest.subarray(at + 3, at + 3 + rest.readUInt16BE(at + 1));
    if (value.length !== rest.readUInt16BE(at + 1)) throw new ProxyHeaderError('its last value is cut short');
    at += 3 + value.length;
    if (type === UNIQUE_ID) {
      transaction = value.toString('latin1');
      if (!isTransaction(transaction)) throw new ProxyHeaderError('its unique ID is no transaction ID');
    } else if (type === CALLER) caller = takeCaller(value);
  }
  return { route: command === LOCAL ? undefined : route, transaction, caller };
}
