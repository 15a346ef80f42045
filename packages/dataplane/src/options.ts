/** TCP options: those of a handshake, SACK blocks, and our own identity option. */
import { IDENTITY_MAC_LENGTH } from './identity.ts';

/** Option kinds (IANA, TCP Option Kind Numbers). 254 is RFC 4727's second experimental one, shared by RFC 6994. */
const KIND = { end: 0, nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, experiment: 254 } as const;

/** Our experiment identifier (RFC 6994 §3): "RS". */
export const IDENTITY_EXID = 0x5253;
export const IDENTITY_VERSION = 3;
/** Length of the whole identity option in bytes, kind and length included. */
export const IDENTITY_LENGTH = 31;
/** The most that a TCP header can hold, in bytes (RFC 9293 §3.1). */
export const MAX_OPTIONS_LENGTH = 40;

/**
 * What a proxy's or a logger's SYN tells the back end about the connection: who asks, which connection of the client it is (original
 * ISN and cookie, VIP), how many of its requests others were given (see `identity.ts`), and the proof. Numbers in host order; `mac` as on
 * the wire.
 */
export interface Identity {
  proxyId: number;
  originalIsn: number;
  /** The cookie that the client was answered with. */
  originalP0: number;
  vip: number;
  vipPort: number;
  order: number;
  mac: Uint8Array;
}

export interface SynOptions {
  /** Maximum segment size in bytes, 1…65535. */
  mss?: number | undefined;
  sackPermitted?: boolean | undefined;
  /** Shift count, 0…14. */
  windowScale?: number | undefined;
  identity?: Identity | undefined;
}

export interface TcpOptions extends SynOptions {
  sackPermitted: boolean;
  /** Pairs [left edge, right edge) (RFC 2018), in the order of the packet. */
  sackBlocks: readonly (readonly [number, number])[];
}

/**
 * Writes options in the order MSS, SACK-permitted, window scale, identity, and pads with NOPs to a multiple of four.
 *
 * @throws RangeError if a field does not fit, since a silently cut field would become another connection's
 */
export function encodeOptions(options: SynOptions): Uint8Array {
  const bytes = new Uint8Array(MAX_OPTIONS_LENGTH).fill(KIND.nop);
  const view = new DataView(bytes.buffer);
  let at = 0;
  if (options.mss !== undefined) {
    view.setUint16(at, (KIND.mss << 8) | 4);
    view.setUint16(at + 2, within('mss', options.mss, 0xffff));
    at += 4;
  }
  if (options.sackPermitted) {
    view.setUint16(at, (KIND.sackPermitted << 8) | 2);
    at += 2;
  }
  if (options.windowScale !== undefined) {
    view.setUint16(at, (KIND.windowScale << 8) | 3);
    view.setUint8(at + 2, within('windowScale', options.windowScale, 14));
    at += 3;
  }
  if (options.identity) {
    writeIdentity(view, at, options.identity);
    at += IDENTITY_LENGTH;
  }
  return bytes.subarray(0, (at + 3) & ~3);
}

/**
 * Writes a SACK option (RFC 2018 §3), padded in front to a multiple of four.
 *
 * @param blocks pairs [left edge, right edge), the newest first; those beyond the fourth are left out
 */
export function encodeSack(blocks: readonly (readonly [number, number])[]): Uint8Array {
  const told = blocks.slice(0, 4);
  if (told.length === 0) return new Uint8Array(0);
  const bytes = new Uint8Array(4 + 8 * told.length).fill(KIND.nop);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, (KIND.sack << 8) | (2 + 8 * told.length));
  for (const [index, [left, right]] of told.entries()) {
    view.setUint32(4 + 8 * index, left);
    view.setUint32(8 + 8 * index, right);
  }
  return bytes;
}

/**
 * Reads the options of a TCP header. As RFC 9293 §3.1 asks, unknown ones are skipped; what follows a malformed one is
 * ignored, and an option of a wrong length counts as absent.
 */
export function parseOptions(bytes: Uint8Array, offset = 0, length = bytes.length - offset): TcpOptions {
  const options: TcpOptions = { sackPermitted: false, sackBlocks: [] };
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
  let at = 0;
  while (at < length) {
    const kind = view.getUint8(at);
    if (kind === KIND.end) break;
    if (kind === KIND.nop) {
      at++;
      continue;
    }
    if (at + 2 > length) break;
    const size = view.getUint8(at + 1);
    if (size < 2 || at + size > length) break;
    readOption(options, view, at, kind, size);
    at += size;
  }
  return options;
}

function readOption(options: TcpOptions, view: DataView, at: number, kind: number, size: number): void {
  if (kind === KIND.mss && size === 4) options.mss = view.getUint16(at + 2);
  else if (kind === KIND.sackPermitted && size === 2) options.sackPermitted = true;
  // RFC 7323 §2.3: a larger shift must be taken as 14.
  else if (kind === KIND.windowScale && size === 3) options.windowScale = Math.min(view.getUint8(at + 2), 14);
  else if (kind === KIND.sack && size > 2 && size % 8 === 2) {
    const blocks: [number, number][] = [];
    for (let edge = at + 2; edge < at + size; edge += 8) {
      blocks.push([view.getUint32(edge), view.getUint32(edge + 4)]);
    }
    options.sackBlocks = blocks;
  } else if (kind === KIND.experiment && size === IDENTITY_LENGTH) {
    const identity = readIdentity(view, at);
    if (identity) options.identity = identity;
  }
}

function writeIdentity(view: DataView, at: number, identity: Identity): void {
  if (identity.mac.length !== IDENTITY_MAC_LENGTH) {
    throw new RangeError(
      `an identity's mac has ${IDENTITY_MAC_LENGTH} bytes, this one has ${identity.mac.length}`,
    );
  }
  view.setUint8(at, KIND.experiment);
  view.setUint8(at + 1, IDENTITY_LENGTH);
  view.setUint16(at + 2, IDENTITY_EXID);
  view.setUint8(at + 4, IDENTITY_VERSION);
  view.setUint16(at + 5, within('proxyId', identity.proxyId, 0xffff));
  view.setUint32(at + 7, within('originalIsn', identity.originalIsn, 0xffffffff));
  view.setUint32(at + 11, within('originalP0', identity.originalP0, 0xffffffff));
  view.setUint32(at + 15, within('vip', identity.vip, 0xffffffff));
  view.setUint16(at + 19, within('vipPort', identity.vipPort, 0xffff));
  view.setUint16(at + 21, within('order', identity.order, 0xffff));
  for (let i = 0; i < IDENTITY_MAC_LENGTH; i++) view.setUint8(at + 23 + i, identity.mac[i] as number);
}

function readIdentity(view: DataView, at: number): Identity | undefined {
  if (view.getUint16(at + 2) !== IDENTITY_EXID || view.getUint8(at + 4) !== IDENTITY_VERSION)
    return undefined;
  const mac = new Uint8Array(IDENTITY_MAC_LENGTH);
  for (let i = 0; i < IDENTITY_MAC_LENGTH; i++) mac[i] = view.getUint8(at + 23 + i);
  return {
    proxyId: view.getUint16(at + 5),
    originalIsn: view.getUint32(at + 7),
    originalP0: view.getUint32(at + 11),
    vip: view.getUint32(at + 15),
    vipPort: view.getUint16(at + 19),
    order: view.getUint16(at + 21),
    mac,
  };
}

function within(field: string, value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`${field} is ${value}; it must be a whole number of 0…${max}`);
  }
  return value;
}
