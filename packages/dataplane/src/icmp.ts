/** ICMP "destination unreachable, fragmentation needed" (RFC 792, RFC 1191): a router cannot pass a packet on whole. */
import { checksum } from './checksum.ts';

const IP_HEADER = 20;
const ICMP_HEADER = 8;
const PROTOCOL_ICMP = 1;
const DEFAULT_TTL = 64;

export interface FragmentationNeededFields {
  /** The router's address, host order. */
  src: number;
  /** Whose packet was too long, host order. */
  dst: number;
  /** Of the link that it would have had to pass, in bytes; 0: a router that does not tell. */
  mtu: number;
  /** The beginning of that packet, with its IP header: 28 bytes at least, as much as fits 576 bytes in practice. */
  quoted: Uint8Array;
  /** 3 and 4 if absent. */
  type?: number | undefined;
  code?: number | undefined;
}

/** Makes the message, an IPv4 packet with correct checksums. What is quoted is taken as it is. */
export function buildFragmentationNeeded(fields: FragmentationNeededFields): Uint8Array {
  const total = IP_HEADER + ICMP_HEADER + fields.quoted.length;
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x4500);
  view.setUint16(2, total);
  view.setUint8(8, DEFAULT_TTL);
  view.setUint8(9, PROTOCOL_ICMP);
  view.setUint32(12, fields.src);
  view.setUint32(16, fields.dst);
  view.setUint16(10, checksum(bytes, 0, IP_HEADER));
  view.setUint8(20, fields.type ?? 3);
  view.setUint8(21, fields.code ?? 4);
  view.setUint16(26, fields.mtu);
  bytes.set(fields.quoted, IP_HEADER + ICMP_HEADER);
  view.setUint16(22, checksum(bytes, IP_HEADER, total - IP_HEADER));
  return bytes;
}
