/** The Internet checksum (RFC 1071): the one's complement of the one's complement sum of big-endian 16-bit words. */

/**
 * Adds `length` bytes to a running one's complement sum. An odd last byte is padded with a zero on its right, so only
 * the last piece of a message may have an odd length.
 *
 * @param sum an earlier result, to go on with
 * @returns a folded sum, 0…0xffff
 */
export function sumWords(bytes: Uint8Array, offset: number, length: number, sum = 0): number {
  const end = offset + length;
  const even = end - (length & 1);
  let total = sum;
  // 65535 bytes give at most 2^31: no fold is needed inside the loop.
  for (let i = offset; i < even; i += 2) total += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  if (even !== end) total += (bytes[even] as number) << 8;
  return fold(total);
}

/** The checksum of a range of bytes; 0 if the range already holds its own correct checksum. */
export function checksum(bytes: Uint8Array, offset: number, length: number): number {
  return ~sumWords(bytes, offset, length) & 0xffff;
}

/**
 * The TCP checksum with its IPv4 pseudo-header (RFC 9293 §3.1); 0 if the segment already holds a correct one.
 *
 * @param source IPv4 address, host order
 * @param destination IPv4 address, host order
 * @param offset where the TCP header begins
 * @param length TCP header and payload together, in bytes
 */
export function tcpChecksum(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: number,
  destination: number,
): number {
  const pseudo =
    (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + 6 + length;
  return ~sumWords(bytes, offset, length, fold(pseudo)) & 0xffff;
}

/**
 * The checksum after 16 bits of what it covers have changed (RFC 1624, equation 3), without reading the rest.
 *
 * @param old the checksum as it stands in the packet
 */
export function updateChecksum(old: number, from: number, to: number): number {
  return ~fold((~old & 0xffff) + (~from & 0xffff) + to) & 0xffff;
}

function fold(sum: number): number {
  let total = sum;
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}
