import type { Topology } from '@resplice/topology';
import type { ProxyConnection, SlotTable } from './daemon-status.ts';
import type { HostInspection } from './inspection.ts';

export interface Connection {
  readonly client: string;
  /** The one its packets pass now. */
  readonly proxy: string;
  readonly backend: string;
  /** The listener's `address:port` that it came to. */
  readonly vip: string;
  readonly transaction: string | null;
  readonly failovers: number;
}

const most = 1000;

type ProxyFor = (connection: ProxyConnection) => string;

function endpoint(text: string): { address: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { address: text.slice(0, colon), port: Number(text.slice(colon + 1)) };
}

/** The balancer's choice for a flow, from the table that it publishes and the hash that it shares with us (P4.1). */
async function byTable(table: SlotTable, topology: Topology): Promise<ProxyFor> {
  // Loads the data plane's native half, which only a lab with connections needs.
  const { flowHash, parseIp } = await import('@resplice/dataplane');
  return ({ client, vip, owner }) => {
    const from = endpoint(client);
    const to = vip ? endpoint(vip) : topology.vip;
    const hash = flowHash(parseIp(from.address), from.port, parseIp(to.address), to.port, table.seed);
    const index = table.slots[hash % table.slots.length];
    return (index === undefined ? undefined : table.proxies[index]) ?? owner;
  };
}

/** Every proxy holds a copy of every entry: one a client and listener, the youngest, since a client may use its port again. */
function newestOf(inspections: readonly HostInspection[]): ProxyConnection[] {
  const byClient = new Map<string, ProxyConnection>();
  for (const { processes } of inspections) {
    for (const connection of processes.flatMap(each => each.status?.connections ?? [])) {
      const key = `${connection.client} ${connection.vip}`;
      const known = byClient.get(key);
      if (!known || connection.ageMs < known.ageMs) byClient.set(key, connection);
    }
  }
  return [...byClient.values()].sort((a, b) => a.ageMs - b.ageMs).slice(0, most);
}

/** At most the 1,000 newest connections, newest first. */
export async function connectionsOf(
  topology: Topology,
  inspections: readonly HostInspection[],
): Promise<Connection[]> {
  const newest = newestOf(inspections);
  if (newest.length === 0) return [];
  const table = inspections
    .filter(({ host }) => host.role === 'lb')
    .flatMap(({ processes }) => processes.map(each => each.status?.table))
    .find(each => each !== undefined);
  const proxyFor: ProxyFor = table ? await byTable(table, topology) : ({ owner }) => owner;
  return newest.map(connection => ({
    client: connection.client,
    proxy: proxyFor(connection),
    backend: connection.backend,
    vip: connection.vip ?? `${topology.vip.address}:${topology.vip.port}`,
    // The logger, which will know them, does not exist yet.
    transaction: null,
    failovers: 0,
  }));
}
