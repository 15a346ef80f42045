/** IPv4 addresses as unsigned 32-bit numbers in host order: 10.60.0.1 is 0x0a3c0001. */

/** @throws RangeError if `text` is not four decimal numbers of 0…255 joined by dots (leading zeros are refused). */
export function parseIp(text: string): number {
  const parts = text.split('.');
  let address = 0;
  for (const part of parts) {
    const octet = Number(part);
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || octet > 255) throw notAnAddress(text);
    address = address * 256 + octet;
  }
  if (parts.length !== 4) throw notAnAddress(text);
  return address;
}

export function formatIp(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

function notAnAddress(text: string): RangeError {
  return new RangeError(`'${text}' is not an IPv4 address`);
}
