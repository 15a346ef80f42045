/** IPv4 packets that carry TCP (RFC 791, RFC 9293): read from a capture, or made from nothing. */
import { checksum, tcpChecksum } from './checksum.ts';

export const TcpFlags = {
  FIN: 0x01,
  SYN: 0x02,
  RST: 0x04,
  PSH: 0x08,
  ACK: 0x10,
  URG: 0x20,
  ECE: 0x40,
  CWR: 0x80,
} as const;

const IP_HEADER = 20;
const TCP_HEADER = 20;
const PROTOCOL_TCP = 6;
const MAX_PACKET = 65535;
const DONT_FRAGMENT = 0x4000;
/** "More fragments" and the fragment offset: zero in a packet that is whole. */
const FRAGMENT_MASK = 0x3fff;
const DEFAULT_TTL = 64;
/**
 * Type of service of what a proxy makes itself towards back ends, SYNs and held-back bytes, so that a fence can tell it from what its
 * kernel half relays. A DSCP for local use (RFC 2474 §6, pool 2). Twin: bpf/packet.h.
 */
export const SELF_MADE_TOS = 0x0c;

/** A TCP segment's headers. Addresses, ports and numbers in host order; offsets count from the start of the buffer. */
export interface TcpPacket {
  src: number;
  dst: number;
  sport: number;
  dport: number;
  seq: number;
  ack: number;
  /** A sum of `TcpFlags`. */
  flags: number;
  /** The field as it stands, not scaled. */
  window: number;
  ttl: number;
  optionsOffset: number;
  optionsLength: number;
  payloadOffset: number;
  payloadLength: number;
}

/**
 * Reads an IPv4/TCP packet without its link-layer header.
 *
 * Padding behind the packet (short Ethernet frames) is not payload: IP's total length counts. Checksums are not looked
 * at, because a packet captured before the device may have partial ones: see `hasValidChecksums`.
 *
 * @param offset where the IP header begins
 * @param length how many bytes there are from `offset` on
 * @returns undefined if this is not a whole, well-formed IPv4 TCP segment
 */
export function parsePacket(
  bytes: Uint8Array | DataView,
  offset = 0,
  length = bytes.byteLength - offset,
): TcpPacket | undefined {
  if (length < IP_HEADER + TCP_HEADER) return undefined;
  const view =
    bytes instanceof DataView ? bytes : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const versionAndLength = view.getUint8(offset);
  const ipHeader = (versionAndLength & 15) * 4;
  const total = view.getUint16(offset + 2);
  if (versionAndLength >> 4 !== 4 || ipHeader < IP_HEADER || total > length) return undefined;
  if (view.getUint8(offset + 9) !== PROTOCOL_TCP || view.getUint16(offset + 6) & FRAGMENT_MASK)
    return undefined;
  if (total < ipHeader + TCP_HEADER) return undefined;
  const tcp = offset + ipHeader;
  const tcpHeader = (view.getUint8(tcp + 12) >> 4) * 4;
  if (tcpHeader < TCP_HEADER || ipHeader + tcpHeader > total) return undefined;
  return {
    src: view.getUint32(offset + 12),
    dst: view.getUint32(offset + 16),
    sport: view.getUint16(tcp),
    dport: view.getUint16(tcp + 2),
    seq: view.getUint32(tcp + 4),
    ack: view.getUint32(tcp + 8),
    flags: view.getUint8(tcp + 13),
    window: view.getUint16(tcp + 14),
    ttl: view.getUint8(offset + 8),
    optionsOffset: tcp + TCP_HEADER,
    optionsLength: tcpHeader - TCP_HEADER,
    payloadOffset: tcp + tcpHeader,
    payloadLength: total - ipHeader - tcpHeader,
  };
}

/** Whether both checksums of the packet at `offset` are right. It must be one that `parsePacket` has accepted. */
export function hasValidChecksums(bytes: Uint8Array, offset = 0): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ipHeader = (view.getUint8(offset) & 15) * 4;
  if (checksum(bytes, offset, ipHeader) !== 0) return false;
  const length = view.getUint16(offset + 2) - ipHeader;
  const [src, dst] = [view.getUint32(offset + 12), view.getUint32(offset + 16)];
  return tcpChecksum(bytes, offset + ipHeader, length, src, dst) === 0;
}

export interface PacketFields {
  src: number;
  dst: number;
  sport: number;
  dport: number;
  seq: number;
  ack: number;
  flags: number;
  window: number;
  /** At most 40 bytes, a multiple of four: see `encodeOptions`. */
  options?: Uint8Array | undefined;
  payload?: Uint8Array | undefined;
  /** The urgent pointer's field, whatever the flags; 0 if absent. */
  urgent?: number | undefined;
  /** 64 if absent. */
  ttl?: number | undefined;
  /** Type of service; 0 if absent. */
  tos?: number | undefined;
  /** Where to write, to spare an allocation; what it held is overwritten. */
  into?: Uint8Array | undefined;
}

/**
 * Makes an IPv4/TCP packet with correct checksums and "don't fragment" set.
 *
 * @returns the packet's bytes: the beginning of `into`, or a new array
 * @throws RangeError if options or packet are too long, or `into` is too short
 */
export function buildPacket(fields: PacketFields): Uint8Array {
  const optionsLength = fields.options?.length ?? 0;
  const tcpHeader = TCP_HEADER + optionsLength;
  const total = IP_HEADER + tcpHeader + (fields.payload?.length ?? 0);
  if (optionsLength > 40 || optionsLength % 4 !== 0) {
    throw new RangeError(`TCP options of ${optionsLength} bytes; they must be a multiple of 4 of at most 40`);
  }
  if (total > MAX_PACKET) throw new RangeError(`a packet of ${total} bytes; IPv4 ends at ${MAX_PACKET}`);
  const bytes = fields.into ? fields.into.subarray(0, total) : new Uint8Array(total);
  if (bytes.length < total) {
    throw new RangeError(`a packet of ${total} bytes does not fit into ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, total);
  view.setUint16(0, 0x4500 | (fields.tos ?? 0));
  view.setUint16(2, total);
  view.setUint16(4, 0);
  view.setUint16(6, DONT_FRAGMENT);
  view.setUint8(8, fields.ttl ?? DEFAULT_TTL);
  view.setUint8(9, PROTOCOL_TCP);
  view.setUint16(10, 0);
  view.setUint32(12, fields.src);
  view.setUint32(16, fields.dst);
  view.setUint16(10, checksum(bytes, 0, IP_HEADER));
  view.setUint16(20, fields.sport);
  view.setUint16(22, fields.dport);
  view.setUint32(24, fields.seq);
  view.setUint32(28, fields.ack);
  view.setUint16(32, (tcpHeader << 10) | fields.flags);
  view.setUint16(34, fields.window);
  view.setUint32(36, fields.urgent ?? 0); // the checksum, for now 0, and the urgent pointer
  if (fields.options) bytes.set(fields.options, IP_HEADER + TCP_HEADER);
  if (fields.payload) bytes.set(fields.payload, IP_HEADER + tcpHeader);
  const sum = tcpChecksum(bytes, IP_HEADER, total - IP_HEADER, fields.src, fields.dst);
  view.setUint16(36, sum);
  return bytes;
}
