// Which proxies may have connections translated, and where the answers to their SYNs go.

import { BpfMap, type BpfObject, type Layout, parseIp, u32 } from '@resplice/dataplane';

/** A bare `__be32`: no struct, so there is none generated. */
const address: Layout<number> = {
  size: 4,
  read: (view, offset) => view.getUint32(offset, false),
  write: (view, offset, value) => view.setUint32(offset, value, false),
};

/** Makes the map `proxies` hold these and no others; who stays is never missing in between. */
export function writeProxyAddresses(
  object: BpfObject,
  proxies: readonly { id: number; address: string }[],
): void {
  const map = new BpfMap(object.map('proxies'), u32, address);
  for (const proxy of proxies) map.set(proxy.id, parseIp(proxy.address));
  const ids = new Set(proxies.map(({ id }) => id));
  for (const [id] of [...map.entries()]) if (!ids.has(id)) map.delete(id);
}
