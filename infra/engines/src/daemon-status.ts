/** What the daemons' `/status` tells us, as far as the lab reads it. All of it is optional: a daemon may be young. */
export interface DaemonStatus {
  readonly ready: boolean;
  readonly metrics: Readonly<Record<string, number>>;
  readonly connections: readonly ProxyConnection[];
  /** The logger's; undefined: it is another daemon. */
  readonly conversations: readonly LoggedConnection[] | undefined;
  readonly backends: readonly { readonly name: string; readonly up: boolean }[];
  readonly peers: readonly { readonly name: string; readonly live: boolean }[];
  readonly table: SlotTable | undefined;
  /** Which configuration it follows; `sha256` of the file's bytes. */
  readonly config: ConfigStatus | undefined;
  /** Proxies: the pools, and their members as the proxy sees them. */
  readonly pools: readonly PoolStatus[];
  /** The logger's: back ends that are to be empty, and what they still have. */
  readonly draining: readonly DrainStatus[];
  /** Links: what emulates them. */
  readonly emulator: string | undefined;
  /** The auxiliary logger's. */
  readonly services: readonly AuxiliaryService[];
  /** Agents: does the back end's application accept connections? */
  readonly accepting: boolean | undefined;
}

export interface ConfigStatus {
  readonly sha256: string;
  readonly refused?: { readonly sha256: string | null; readonly problems: readonly string[] };
}

export interface PoolStatus {
  readonly name: string;
  readonly backends: readonly { readonly name: string; readonly up: boolean; readonly active: number }[];
}

export interface ProxyConnection {
  readonly client: string;
  readonly vip: string;
  readonly backend: string;
  readonly owner: string;
  readonly ageMs: number;
}

export interface LoggedConnection {
  readonly client: string;
  readonly vip: string;
  /** Null: nobody, until its next request. */
  readonly backend: string | null;
  readonly transaction: string | null;
  readonly transactionId: string | null;
  readonly state: ConnectionState;
  readonly reason: string | null;
  readonly failovers: number;
  readonly ageMs: number;
}

/** `passing`: a back end has it; `moving`: to another one; `resting`: idle, nobody has it; `unprotected`: lost with its back end. */
export type ConnectionState = 'passing' | 'moving' | 'resting' | 'unprotected';

export interface AuxiliaryService {
  readonly name: string;
  readonly protocol: string;
  /** From back ends. */
  readonly connections: number;
  /** Spoken in now, or kept for a successor. */
  readonly dialogues: number;
}

export interface DrainStatus {
  readonly backend: string;
  readonly connections: number;
  /** Of these, what cannot be moved. */
  readonly unprotected: number;
}

export interface SlotTable {
  readonly live: readonly string[];
  readonly seed: number;
  readonly slots: readonly number[];
  readonly proxies: readonly string[];
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function list<T>(value: unknown): readonly T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

function numbers(value: unknown): Record<string, number> {
  const entries = Object.entries(record(value));
  return Object.fromEntries(
    entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

export function readDaemonStatus(body: unknown): DaemonStatus {
  const status = record(body);
  const table = record(status.table);
  const { accepting } = record(status.app);
  const config = record(status.config);
  return {
    ready: status.ready === true,
    metrics: numbers(status.metrics),
    connections: status.role === 'front' ? [] : list(status.connections),
    conversations: status.role === 'front' ? list(status.connections) : undefined,
    backends: list(status.backends),
    peers: list(status.peers),
    table: Array.isArray(table.slots) && Array.isArray(table.live) ? (status.table as SlotTable) : undefined,
    config: typeof config.sha256 === 'string' ? (status.config as ConfigStatus) : undefined,
    pools: list(status.pools),
    draining: list(status.draining),
    services: list(status.services),
    emulator: typeof status.emulator === 'string' ? status.emulator : undefined,
    accepting: typeof accepting === 'boolean' ? accepting : undefined,
  };
}
