import { readFileSync } from 'node:fs';
import { DataplaneError } from './errors.ts';
import { close, ifIndexToName, ifNameToIndex, ioctl, lastErrno, socket } from './libc.ts';

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

const AF_INET = 2;
const SOCK_DGRAM = 2;
/** linux/sockios.h */
const SIOCGIFMTU = 0x8921;
/** `struct ifreq { char name[16]; int mtu; … }` of net/if.h. */
const IFREQ = 40;
const IFREQ_MTU = 16;

/**
 * The largest packet that a device of the calling thread's network namespace sends, in bytes from the IP header on. Not from /sys:
 * what is mounted there may show another namespace.
 *
 * @throws DataplaneError if there is no such device
 */
export function mtuOf(device: string): number {
  const request = Buffer.alloc(IFREQ);
  request.write(device.slice(0, IFREQ_MTU - 1));
  const fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) throw new DataplaneError('cannot open a socket to ask for devices', lastErrno());
  const result = ioctl(fd, SIOCGIFMTU, request);
  const errno = lastErrno();
  close(fd);
  if (result < 0) throw new DataplaneError(`cannot read the MTU of device '${device}'`, errno);
  return request.readInt32LE(IFREQ_MTU);
}

/** A device may have several names; this is the one by which the kernel calls it in its own lists. */
function firstNameOf(device: string): string | undefined {
  const index = ifNameToIndex(device);
  const name = Buffer.alloc(IFREQ_MTU);
  if (index === 0 || ifIndexToName(index, name) === null) return undefined;
  return name.toString('latin1', 0, name.indexOf(0));
}

/** Of an ARP entry: the answer has come (ATF_COM of net/if_arp.h). */
const COMPLETE = 2;

/** The link-layer addresses that the kernel knows at a device, by IPv4 address; only those that have answered (RFC 826). */
export function neighbours(device: string): Map<string, number[]> {
  const found = new Map<string, number[]>();
  const name = firstNameOf(device);
  // Columns: address, hardware type, flags, link-layer address, mask, device.
  for (const line of readFileSync('/proc/net/arp', 'utf8').split('\n').slice(1)) {
    const [address, , flags, mac, , at] = line.trim().split(/\s+/);
    if (at !== name || !(Number(flags) & COMPLETE)) continue;
    found.set(
      address!,
      mac!.split(':').map(byte => Number.parseInt(byte, 16)),
    );
  }
  return found;
}
