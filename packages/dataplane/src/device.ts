import { readFileSync } from 'node:fs';
import { DataplaneError } from './errors.ts';
import { ifNameToIndex, lastErrno } from './libc.ts';

/**
 * The number of a network device in the calling thread's network namespace.
 *
 * @throws DataplaneError if there is no such device
 */
export function ifindex(device: string): number {
  const index = ifNameToIndex(device);
  if (index === 0)
    throw new DataplaneError(`no network device '${device}' in this network namespace`, lastErrno());
  return index;
}

/** Of an ARP entry: the answer has come (ATF_COM of net/if_arp.h). */
const COMPLETE = 2;

/** The link-layer addresses that the kernel knows at a device, by IPv4 address; only those that have answered (RFC 826). */
export function neighbours(device: string): Map<string, number[]> {
  const found = new Map<string, number[]>();
  // Columns: address, hardware type, flags, link-layer address, mask, device.
  for (const line of readFileSync('/proc/net/arp', 'utf8').split('\n').slice(1)) {
    const [address, , flags, mac, , at] = line.trim().split(/\s+/);
    if (at !== device || !(Number(flags) & COMPLETE)) continue;
    found.set(
      address!,
      mac!.split(':').map(byte => Number.parseInt(byte, 16)),
    );
  }
  return found;
}
