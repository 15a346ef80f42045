// The VIPs and ports that a BPF program knows.

import { BpfMap, type BpfObject, type Layout, parseIp, u32 } from '@resplice/dataplane';

export interface ListenerKey {
  vip: number;
  port: number;
}

/** Marks an address as a VIP, whatever the port. */
const ANY_PORT = 0;
/** `enum listener_state` of listener.h. */
const OPEN = 1;
const CLOSING = 2;

/**
 * Opens these listeners in the map `listeners`. Those that are no longer among them go on as closing ones: their connections live
 * on, and new ones are not accepted. What stays is never missing in between.
 */
export function writeListeners(
  object: BpfObject,
  keyLayout: Layout<ListenerKey>,
  vips: readonly { address: string; port: number }[],
): void {
  const handle = object.map('listeners');
  const map = new BpfMap(handle, keyLayout, u32);
  const wanted = new Map<string, ListenerKey>();
  for (const { address, port } of vips) {
    for (const each of [port, ANY_PORT]) {
      const key = { vip: parseIp(address), port: each };
      wanted.set(nameOf(key), key);
    }
  }
  const former = [...map.entries()].map(([key]) => key).filter(key => !wanted.has(nameOf(key)));
  // Nobody counts the connections of a closing listener. When the map is full of them, some make room.
  const room = Math.max(0, handle.maxEntries - wanted.size);
  for (const key of former.splice(room)) map.delete(key);
  for (const key of former) map.set(key, CLOSING);
  for (const key of wanted.values()) map.set(key, OPEN);
}

function nameOf({ vip, port }: ListenerKey): string {
  return `${vip}:${port}`;
}
