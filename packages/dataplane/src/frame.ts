/** Ethernet frames around IPv4 packets, as TC programs see them. */
const HEADER = 14;
const ETHERTYPE_IPV4 = 0x0800;

/** A frame from station 02:…:01 to the loopback device, which test runs take place on, or with another ethertype. */
export function frame(packet: Uint8Array, ethertype = ETHERTYPE_IPV4): Uint8Array {
  const bytes = new Uint8Array(HEADER + packet.length);
  bytes.set([0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, ethertype >> 8, ethertype & 0xff]);
  bytes.set(packet, HEADER);
  return bytes;
}

/** The packet in a frame. */
export function unframe(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(HEADER);
}
