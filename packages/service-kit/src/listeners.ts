// The VIPs and ports that a BPF program knows.

import { BpfMap, type BpfObject, type Layout, parseIp, u32 } from '@resplice/dataplane';

export interface ListenerKey {
  vip: number;
  port: number;
}

/** Marks an address as a VIP, whatever the port. */
const ANY_PORT = 0;

/** Makes the map `listeners` hold these VIPs and no others; what stays is never missing in between. */
export function writeListeners(
  object: BpfObject,
  keyLayout: Layout<ListenerKey>,
  vips: readonly { address: string; port: number }[],
): void {
  const map = new BpfMap(object.map('listeners'), keyLayout, u32);
  const wanted = new Map<string, ListenerKey>();
  for (const { address, port } of vips) {
    for (const each of [port, ANY_PORT])
      wanted.set(`${address}:${each}`, { vip: parseIp(address), port: each });
  }
  for (const key of wanted.values()) map.set(key, 1);
  const keys = [...wanted.values()];
  for (const [key] of [...map.entries()]) {
    if (!keys.some(({ vip, port }) => vip === key.vip && port === key.port)) map.delete(key);
  }
}
