import { add, type BpfMap } from '@resplice/dataplane';
import { type ConnectionId, type Entry, tupleKey } from '@resplice/protocol';
import type { Backend, Backends } from '@resplice/splice';
import { type Connection, type Splice, SpliceFlag } from './layout.generated.ts';
import type { EntryStore } from './replication.ts';
import type { Tally } from './tally.ts';

/** A closed connection's last packets may still come for so long. */
const LINGER_MS = 60_000;
/** After the client's FIN alone: a server may think for long before it answers a half-closed client. */
const HALF_CLOSED_MS = 600_000;
/** A replica of a closed connection whose own proxy has died before it said 'forget'. */
const REPLICA_LINGER_MS = 600_000;
/** A server that took a client's RST says nothing for so long: one that did not asks at once whether it was meant. */
const RST_SILENCE_MS = 5000;
/** Every entry is looked at within about ten seconds, in many short turns. */
const SWEEP_MS = 250;
const SWEEP_TURNS = 40;
const SWEEP_BATCH = 500;

/** The kernel's map, as far as it is needed here. */
export type KernelSplices = Pick<BpfMap<Connection, Splice>, 'get' | 'set' | 'delete' | 'entries'>;

/** What user space remembers of an entry that the kernel holds. */
interface Record {
  readonly connection: Connection;
  readonly isn: number;
  readonly backend: Backend;
  readonly owner: number;
  readonly createdMs: number;
  /** Wall clock when the client closed its half; 0: open. */
  closedMs: number;
}

export interface ConnectionView {
  connection: Connection;
  backend: string;
  owner: number;
  createdMs: number;
  /** ms since the last packet through this proxy; undefined if there was none. */
  idleMs: number | undefined;
}

/** The splices of this proxy: the kernel's map is the truth, this counts and tidies. */
export class SpliceTable implements EntryStore {
  readonly #map: KernelSplices;
  readonly #backends: Backends;
  readonly #tally: Tally;
  readonly #records = new Map<string, Record>();
  readonly #announceForget: (connection: ConnectionId) => void;
  readonly #timer: NodeJS.Timeout;
  #sweep: Iterator<[string, Record]> | undefined;

  /** Adopts whatever the map holds already: a daemon's restart loses no connection. */
  constructor(
    map: KernelSplices,
    backends: Backends,
    tally: Tally,
    announceForget: (connection: ConnectionId) => void,
  ) {
    this.#map = map;
    this.#backends = backends;
    this.#tally = tally;
    this.#announceForget = announceForget;
    for (const [connection, splice] of map.entries()) this.#remember(connection, splice);
    this.#timer = setInterval(() => this.#sweepSome(), SWEEP_MS);
  }

  get size(): number {
    return this.#records.size;
  }

  find(id: Omit<ConnectionId, 'isn'>): Entry | undefined {
    const splice = this.#map.get(id);
    return splice && toEntry(id, splice);
  }

  /**
   * Makes a splice effective: from here on the kernel forwards.
   *
   * @param clientNext sequence number behind what this proxy has delivered itself; absent if the client's packets have passed
   * elsewhere, so that it is not known
   */
  install(entry: Entry, clientNext?: number): boolean {
    const backend = this.#backends.byId(entry.backend);
    if (!backend) {
      this.#tally.neverUnknownBackend++;
      return false;
    }
    const { client, vip, clientPort, vipPort } = entry;
    const connection: Connection = { client, vip, clientPort, vipPort };
    const splice: Splice = {
      backend: backend.address,
      backendPort: backend.port,
      backendId: backend.id,
      delta: entry.delta,
      isn: entry.isn,
      p0: entry.p0,
      clientNext: clientNext ?? 0,
      challengeIsn: 0,
      acked: 0,
      windowEnd: 0,
      finEnd: 0,
      spare: 0,
      owner: entry.owner,
      flags: 0,
      createdMs: BigInt(Math.round(entry.createdMs)),
      seenNs: clientNext === undefined ? 0n : process.hrtime.bigint(),
    };
    this.#map.set(connection, splice);
    this.#forgetRecord(tupleKey(entry));
    this.#remember(connection, splice);
    return true;
  }

  adopt(entry: Entry): void {
    if (this.install(entry)) this.#tally.adopted++;
  }

  move(entry: Entry): void {
    const key = tupleKey(entry);
    const record = this.#records.get(key);
    const backend = this.#backends.byId(entry.backend);
    const splice = record && this.#map.get(record.connection);
    if (!backend || !record || splice?.isn !== entry.isn) {
      this.adopt(entry);
      return;
    }
    const moved: Splice = {
      ...splice,
      backend: backend.address,
      backendPort: backend.port,
      backendId: backend.id,
      delta: entry.delta,
      owner: entry.owner,
      createdMs: BigInt(Math.round(entry.createdMs)),
    };
    this.#map.set(record.connection, moved, 'exist');
    const { closedMs } = record;
    this.#forgetRecord(key);
    this.#remember(record.connection, moved);
    const again = this.#records.get(key);
    if (again && closedMs) close(again);
    this.#tally.movedByLogger++;
  }

  closing(id: ConnectionId): void {
    const record = this.#records.get(tupleKey(id));
    if (record?.isn !== id.isn || !close(record)) return;
    // In the kernel too: whoever adopts the entry after a restart must not take it for open.
    this.#change(record, splice => ({ ...splice, flags: splice.flags | SpliceFlag.SPLICE_CLOSED }));
  }

  /**
   * The client's FIN or RST has passed here. Returns the connection, the first time.
   *
   * @param by who has seen it: the kernel half has marked its entry already
   */
  closed(tuple: Omit<ConnectionId, 'isn'>, by: 'kernel' | 'us'): ConnectionId | undefined {
    const record = this.#records.get(tupleKey(tuple));
    if (!record || record.closedMs) return undefined;
    const id = idOf(record);
    if (by === 'kernel') close(record);
    else this.closing(id);
    return id;
  }

  /**
   * The client's packets pass here again after they have passed elsewhere.
   *
   * @param clientNext where they are now
   * @param fin a FIN was among them; whether it is the client's, the server's acknowledgement tells
   */
  resume(id: ConnectionId, clientNext: number, fin = false): void {
    const record = this.#records.get(tupleKey(id));
    if (record?.isn !== id.isn || record.closedMs) return;
    const { SPLICE_FIN_SEEN } = SpliceFlag;
    this.#change(record, splice => ({
      ...splice,
      clientNext,
      seenNs: process.hrtime.bigint(),
      ...(fin && { finEnd: add(clientNext, 1), flags: splice.flags | SPLICE_FIN_SEEN }),
    }));
  }

  /**
   * What a peer should know, closed connections with their mark, in steps of at most `size`.
   *
   * @param sinceMs wall clock; only what was made or closed since then
   */
  *batches(size: number, sinceMs: number): Iterable<{ entry: Entry; closed: boolean }[]> {
    let batch: { entry: Entry; closed: boolean }[] = [];
    for (const record of this.#records.values()) {
      if (record.createdMs < sinceMs && record.closedMs < sinceMs) continue;
      const splice = this.#map.get(record.connection);
      if (!splice || splice.isn !== record.isn) continue;
      batch.push({ entry: toEntry(record.connection, splice), closed: record.closedMs !== 0 });
      if (batch.length < size) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }

  forget(id: ConnectionId): void {
    const key = tupleKey(id);
    const record = this.#records.get(key);
    if (!record || record.isn !== id.isn) return;
    // The announcing proxy saw no packet for a while; if this one did, the connection lives here.
    const idle = this.#idleMs(record.connection);
    if (idle !== undefined && idle < LINGER_MS) return;
    this.#map.delete(record.connection);
    this.#forgetRecord(key);
  }

  /** Open connections, newest first. */
  *views(limit: number): Iterable<ConnectionView> {
    const newest = [...this.#records.values()].filter(record => !record.closedMs);
    newest.sort((a, b) => b.createdMs - a.createdMs);
    for (const { connection, backend, owner, createdMs } of newest.slice(0, limit)) {
      yield { connection, backend: backend.name, owner, createdMs, idleMs: this.#idleMs(connection) };
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #remember(connection: Connection, splice: Splice): void {
    const backend = this.#backends.byId(splice.backendId);
    if (!backend) {
      this.#tally.neverUnknownBackend++;
      return;
    }
    const record: Record = {
      connection,
      isn: splice.isn,
      backend,
      owner: splice.owner,
      createdMs: Number(splice.createdMs),
      closedMs: splice.flags & SpliceFlag.SPLICE_CLOSED ? Date.now() : 0,
    };
    if (!record.closedMs) backend.active++;
    this.#records.set(tupleKey(connection), record);
  }

  #forgetRecord(key: string): void {
    const record = this.#records.get(key);
    if (!record) return;
    this.#records.delete(key);
    if (!record.closedMs) record.backend.active--;
  }

  #idleMs(connection: Connection): number | undefined {
    const splice = this.#map.get(connection);
    return splice && idleMs(splice);
  }

  #change(record: Record, change: (splice: Splice) => Splice): void {
    const splice = this.#map.get(record.connection);
    if (splice?.isn === record.isn) this.#map.set(record.connection, change(splice), 'exist');
  }

  #sweepSome(): void {
    this.#sweep ??= this.#records.entries();
    const now = Date.now();
    const batch = Math.max(SWEEP_BATCH, this.#records.size / SWEEP_TURNS);
    for (let i = 0; i < batch; i++) {
      const next = this.#sweep.next();
      if (next.done) {
        this.#sweep = undefined;
        return;
      }
      const [key, record] = next.value;
      // Most of them: a closed entry is met several times before its time has come.
      if (record.closedMs && now - record.closedMs < LINGER_MS) continue;
      const splice = this.#map.get(record.connection);
      if (!splice || splice.isn !== record.isn) {
        this.#forgetRecord(key); // the kernel has evicted or replaced it
        continue;
      }
      if (splice.flags & SpliceFlag.SPLICE_CLOSED) close(record);
      // The server would have asked whether it was meant.
      else if (splice.flags & SpliceFlag.SPLICE_RST_SEEN && idleMs(splice)! > RST_SILENCE_MS)
        this.closing(idOf(record));
      if (!record.closedMs || now - record.closedMs < LINGER_MS) continue;
      const idle = idleMs(splice);
      // Half-closed connections may go on for long: the packets tell. A replica hears of them from the proxy that sees them.
      const linger = splice.flags & SpliceFlag.SPLICE_SERVER_CLOSED ? LINGER_MS : HALF_CLOSED_MS;
      if (idle === undefined ? now - record.closedMs < REPLICA_LINGER_MS : idle < linger) continue;
      this.#map.delete(record.connection);
      this.#forgetRecord(key);
      if (idle !== undefined) this.#announceForget(idOf(record));
    }
  }
}

function idOf({ connection, isn }: Record): ConnectionId {
  const { client, vip, clientPort, vipPort } = connection;
  return { client, vip, clientPort, vipPort, isn };
}

/** ms since the client's last packet through this proxy; undefined if there was none. */
function idleMs({ seenNs }: Splice): number | undefined {
  return seenNs === 0n ? undefined : Number(process.hrtime.bigint() - seenNs) / 1e6;
}

/** Takes a connection out of the count. False if it was out already. */
function close(record: Record): boolean {
  if (record.closedMs) return false;
  record.closedMs = Date.now();
  record.backend.active--;
  return true;
}

function toEntry(connection: Connection, splice: Splice): Entry {
  return {
    client: connection.client,
    vip: connection.vip,
    clientPort: connection.clientPort,
    vipPort: connection.vipPort,
    isn: splice.isn,
    p0: splice.p0,
    delta: splice.delta,
    backend: splice.backendId,
    owner: splice.owner,
    createdMs: Number(splice.createdMs),
  };
}
