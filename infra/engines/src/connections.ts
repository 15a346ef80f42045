import type { Topology } from '@resplice/topology';
import type { ConnectionState, LoggedConnection, ProxyConnection, SlotTable } from './daemon-status.ts';
import type { HostInspection } from './inspection.ts';

export interface Connection {
  readonly client: string;
  /** The one its packets pass now. */
  readonly proxy: string;
  /** Null: nobody has it, its next request finds somebody. */
  readonly backend: string | null;
  /** The listener's `address:port` that it came to. */
  readonly vip: string;
  /** The oldest unfinished one: its number within the connection, its method, and how far it is. */
  readonly transaction: string | null;
  /** Its ID (P4.6), by which kits, journals and auxiliary servers know it too; null where there is none. */
  readonly transactionId: string | null;
  readonly state: ConnectionState;
  /** Why it is unprotected. */
  readonly reason: string | null;
  /** How often it has changed its back end. */
  readonly failovers: number;
}

const most = 1000;

type Known = Pick<ProxyConnection, 'client' | 'vip'> & { readonly owner?: string | undefined };
type ProxyFor = (connection: Known) => string;

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
    return (index === undefined ? undefined : table.proxies[index]) ?? owner ?? 'unknown';
  };
}

function keyOf({ client, vip }: Pick<ProxyConnection, 'client' | 'vip'>): string {
  return `${client} ${vip}`;
}

/** One a client and listener, the youngest, since a client may use its port again. */
function youngest<T extends Pick<ProxyConnection, 'client' | 'vip' | 'ageMs'>>(
  all: readonly T[],
): Map<string, T> {
  const byClient = new Map<string, T>();
  for (const connection of all) {
    const key = keyOf(connection);
    const known = byClient.get(key);
    if (!known || connection.ageMs < known.ageMs) byClient.set(key, connection);
  }
  return byClient;
}

/** As the logger knows it, or as the proxies do. */
type Listed = Omit<Connection, 'proxy'> & { readonly ageMs: number; readonly owner?: string | undefined };

/** What only the proxies know passes the logger unread. */
function unlogged({ client, vip, backend, owner, ageMs }: ProxyConnection): Listed {
  const reason = 'the logger does not know it';
  return {
    client,
    vip,
    backend,
    owner,
    ageMs,
    transaction: null,
    transactionId: null,
    state: 'unprotected',
    reason,
    failovers: 0,
  };
}

function newestOf(inspections: readonly HostInspection[]): Listed[] {
  const statuses = inspections.flatMap(({ processes }) => processes.flatMap(each => each.status ?? []));
  // Every proxy holds a copy of every entry.
  const relayed = youngest(statuses.flatMap(each => each.connections));
  const logged: Map<string, LoggedConnection> = youngest(statuses.flatMap(each => each.conversations ?? []));
  // A logger that lists as many as it may knows older ones too.
  const isWhole = logged.size < most;
  const others = [...relayed].filter(([key]) => isWhole && !logged.has(key));
  const listed: Listed[] = [
    ...[...logged].map(([key, each]) => ({ ...each, owner: relayed.get(key)?.owner })),
    ...others.map(([, each]) => unlogged(each)),
  ];
  return listed.sort((a, b) => a.ageMs - b.ageMs).slice(0, most);
}

/** At most the 1,000 newest connections, newest first: as the logger knows them, and what passes it unread. */
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
  const proxyFor: ProxyFor = table ? await byTable(table, topology) : ({ owner }) => owner ?? 'unknown';
  return newest.map(connection => ({
    client: connection.client,
    proxy: proxyFor(connection),
    backend: connection.backend,
    vip: connection.vip ?? `${topology.vip.address}:${topology.vip.port}`,
    transaction: connection.transaction,
    transactionId: connection.transactionId,
    state: connection.state,
    reason: connection.reason,
    failovers: connection.failovers,
  }));
}
