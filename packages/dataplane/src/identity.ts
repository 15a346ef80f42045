/**
 * The tag of the identity option (see `options.ts`): proof to a back end that a host which holds the tier's key asked
 * for this very translation (ARCHITECTURE §2.3). `bpf/identity.h` computes the same.
 */
import { siphash24 } from './siphash.ts';

/** Length of the tag in bytes. */
export const IDENTITY_MAC_LENGTH = 8;

/** How many requests of a connection back ends were given before, where nobody knows, or where it does not fit into the option. */
export const UNKNOWN_START = 0xffff;
/** The most that can be told. */
export const MOST_START = 65_533;
const ORDER_UNKNOWN = 0xffff;

/**
 * What the option says of the requests that others were given: 0 for a connection that is new; else, by a logger, one more than their
 * number; 65,535 where that is not known.
 *
 * @param start 0…65,533, or more for "not known"; undefined: the connection is new
 */
export function orderOf(start: number | undefined): number {
  return start === undefined ? 0 : Math.min(start + 1, ORDER_UNKNOWN);
}

/** The other way round. @returns 0 for a new connection, {@link UNKNOWN_START} where it is not known */
export function startOf(order: number): number {
  return order === ORDER_UNKNOWN ? UNKNOWN_START : Math.max(0, order - 1);
}

/** What the tag covers. Addresses, ports and numbers in host order. */
export interface IdentityMacFields {
  clientIp: number;
  backendIp: number;
  clientPort: number;
  backendPort: number;
  /** Sequence number of the SYN that carries the option. */
  synIsn: number;
  /** The sequence number before the first that the back end is to speak with, as the client knows it; the SYN's acknowledgement field. */
  p0: number;
  proxyId: number;
  originalIsn: number;
  originalP0: number;
  vip: number;
  vipPort: number;
  /** See {@link orderOf}. */
  order: number;
  /**
   * Bytes of the request that the proxies have acknowledged to the client, and so must deliver themselves; 0…65,535. It
   * travels in the SYN's urgent pointer.
   */
  owed: number;
}

const message = new Uint8Array(40);
const view = new DataView(message.buffer);

/**
 * SipHash-2-4 over the fields in the order above, packed and in network order (40 bytes).
 *
 * @param key 16 bytes
 * @returns the 64-bit hash, least significant byte first, as SipHash itself writes its output
 */
export function identityMac(key: Uint8Array, fields: IdentityMacFields): Uint8Array {
  view.setUint32(0, fields.clientIp);
  view.setUint32(4, fields.backendIp);
  view.setUint16(8, fields.clientPort);
  view.setUint16(10, fields.backendPort);
  view.setUint32(12, fields.synIsn);
  view.setUint32(16, fields.p0);
  view.setUint16(20, fields.proxyId);
  view.setUint32(22, fields.originalIsn);
  view.setUint32(26, fields.originalP0);
  view.setUint32(30, fields.vip);
  view.setUint16(34, fields.vipPort);
  view.setUint16(36, fields.order);
  view.setUint16(38, fields.owed);
  const hash = siphash24(key, message);
  const mac = new Uint8Array(IDENTITY_MAC_LENGTH);
  const out = new DataView(mac.buffer);
  out.setUint32(0, hash.lo, true);
  out.setUint32(4, hash.hi, true);
  return mac;
}
