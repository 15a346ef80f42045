/**
 * The tag of the identity option (see `options.ts`): proof to a back end that a host which holds the tier's key asked
 * for this very translation (ARCHITECTURE §2.3). `bpf/identity.h` computes the same.
 */
import { siphash24 } from './siphash.ts';

/** Length of the tag in bytes. */
export const IDENTITY_MAC_LENGTH = 8;

/** What the tag covers. Addresses, ports and numbers in host order. */
export interface IdentityMacFields {
  clientIp: number;
  backendIp: number;
  clientPort: number;
  backendPort: number;
  /** Sequence number of the SYN that carries the option. */
  synIsn: number;
  /** The cookie that the client was answered with; it travels in the SYN's acknowledgement field. */
  p0: number;
  proxyId: number;
  epoch: number;
  originalIsn: number;
  vip: number;
  vipPort: number;
  /**
   * Bytes of the request that the proxies have acknowledged to the client, and so must deliver themselves; 0…65,535. It
   * travels in the SYN's urgent pointer.
   */
  owed: number;
}

const message = new Uint8Array(38);
const view = new DataView(message.buffer);

/**
 * SipHash-2-4 over the fields in the order above, packed and in network order (38 bytes).
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
  view.setUint32(22, fields.epoch);
  view.setUint32(26, fields.originalIsn);
  view.setUint32(30, fields.vip);
  view.setUint16(34, fields.vipPort);
  view.setUint16(36, fields.owed);
  const hash = siphash24(key, message);
  const mac = new Uint8Array(IDENTITY_MAC_LENGTH);
  const out = new DataView(mac.buffer);
  out.setUint32(0, hash.lo, true);
  out.setUint32(4, hash.hi, true);
  return mac;
}
