// IPv4 networks in CIDR notation (RFC 4632 §3.1). Addresses are unsigned 32-bit numbers in host order.

export interface Network {
  /** First address; host bits are zero. */
  address: number;
  /** Prefix length, 0…32. */
  bits: number;
}

export type NetworkReading = { network: Network } | { problem: string };

const SHAPE = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,3}))?$/;

/** The netmask of a prefix length. */
export function maskOf(bits: number): number {
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
}

/** `10.0.0.0/8`; an address alone is a /32. Host bits that are set are refused: they are nearly always a slip. */
export function readNetwork(text: string): NetworkReading {
  if (text.includes(':')) return { problem: `${text} is not IPv4, and only IPv4 is served` };
  const parts = SHAPE.exec(text);
  if (!parts) return { problem: 'must be an IPv4 network such as 10.0.0.0/8' };
  let address = 0;
  for (const part of parts.slice(1, 5)) {
    const octet = Number(part);
    // 010 is 8 to some parsers and 10 to others.
    if (part.length > 1 && part.startsWith('0')) return { problem: `${part} has a leading zero` };
    if (octet > 255) return { problem: `${part} is above 255` };
    address = address * 256 + octet;
  }
  const bits = parts[5] === undefined ? 32 : Number(parts[5]);
  if (bits > 32) return { problem: `/${parts[5]} is above /32` };
  const first = (address & maskOf(bits)) >>> 0;
  if (first !== address) {
    const network = formatNetwork({ address: first, bits });
    return {
      problem: `${text} has host bits set: write ${network}, or ${text.split('/')[0]} for one address`,
    };
  }
  return { network: { address, bits } };
}

export function formatNetwork({ address, bits }: Network): string {
  const octets = [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255];
  return `${octets.join('.')}/${bits}`;
}

/** Whether every address of `inner` is one of `outer`. */
export function containsNetwork(outer: Network, inner: Network): boolean {
  return outer.bits <= inner.bits && (inner.address & maskOf(outer.bits)) >>> 0 === outer.address;
}
