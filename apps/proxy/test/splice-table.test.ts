import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { type ConnectionId, type Entry, tupleKey } from '@resplice/protocol';
import { Backends } from '@resplice/splice';
import { type Connection, type Splice, SpliceFlag } from '../src/layout.generated.ts';
import { type KernelSplices, SpliceTable } from '../src/splice-table.ts';
import { Tally } from '../src/tally.ts';

const TUPLE = { client: 1, vip: 2, clientPort: 40_000, vipPort: 80 };
const ENTRY: Entry = {
  ...TUPLE,
  isn: 10,
  p0: 20,
  delta: 30,
  backend: 1,
  owner: 2,
  createdMs: 1_000_000,
};

/** The kernel's map, without a kernel. */
class FakeMap implements KernelSplices {
  readonly stored = new Map<string, [Connection, Splice]>();
  get(key: Connection) {
    return this.stored.get(tupleKey(key))?.[1];
  }
  set(key: Connection, value: Splice) {
    this.stored.set(tupleKey(key), [key, value]);
    return true;
  }
  delete(key: Connection) {
    return this.stored.delete(tupleKey(key));
  }
  *entries() {
    yield* this.stored.values();
  }
}

let map: FakeMap;
let backends: Backends;
let forgotten: ConnectionId[];
let table: SpliceTable;

beforeEach(() => {
  mock.timers.enable({ apis: ['setInterval', 'Date'], now: 1_000_000 });
  map = new FakeMap();
  backends = new Backends([
    { name: 'backend-1', id: 1, address: '10.64.0.11', port: 8080 },
    { name: 'backend-2', id: 2, address: '10.64.0.12', port: 8080 },
  ]);
  forgotten = [];
  table = open();
});

afterEach(() => {
  table.close();
  mock.timers.reset();
});

function open(): SpliceTable {
  return new SpliceTable(map, backends, new Tally(), connection => forgotten.push(connection));
}

const active = () => backends.all.map(backend => backend.active);

/** As the kernel does on a packet. */
function packet(ageMs: number): void {
  const splice = map.get(ENTRY)!;
  map.set(ENTRY, { ...splice, seenNs: process.hrtime.bigint() - BigInt(ageMs) * 1_000_000n });
}

test('an installed splice is found again as it was', () => {
  assert.equal(table.install(ENTRY), true);
  assert.deepEqual(table.find(ENTRY), ENTRY);
  assert.deepEqual(active(), [1, 0]);
});

test('a splice to a back end that is not configured is not installed', () => {
  assert.equal(table.install({ ...ENTRY, backend: 9 }), false);
  assert.equal(table.find(ENTRY), undefined);
});

test('closing takes it out of the count once, and out of the list; packets still find it', () => {
  table.install(ENTRY);
  assert.deepEqual(table.closed(TUPLE, 'us'), { ...TUPLE, isn: 10 });
  assert.equal(table.closed(TUPLE, 'us'), undefined);
  table.closing(ENTRY);
  assert.deepEqual(active(), [0, 0]);
  assert.deepEqual([...table.views(10)], []);
  assert.ok(table.find(ENTRY));
});

test('what the kernel half has marked as closed itself is not written to it again', () => {
  table.install(ENTRY);
  const set = mock.method(map, 'set');
  assert.deepEqual(table.closed(TUPLE, 'kernel'), { ...TUPLE, isn: 10 });
  assert.equal(table.closed(TUPLE, 'kernel'), undefined);
  assert.deepEqual(active(), [0, 0]);
  assert.equal(set.mock.callCount(), 0);
});

test('a closed entry is not read from the kernel before its time', () => {
  table.install(ENTRY);
  table.closed(ENTRY, 'us');
  const get = mock.method(map, 'get');
  mock.timers.tick(55_000);
  assert.equal(get.mock.callCount(), 0);
  mock.timers.tick(20_000);
  assert.ok(get.mock.callCount() > 0);
});

test('a port that is used again counts for its new back end only', () => {
  table.install(ENTRY);
  table.install({ ...ENTRY, isn: 11, backend: 2 });
  assert.deepEqual(active(), [0, 1]);
  table.closing(ENTRY); // of the former connection: late
  assert.deepEqual(active(), [0, 1]);
});

test('a restarted daemon finds its splices in the kernel, closed ones as closed', () => {
  table.install(ENTRY);
  table.install({ ...ENTRY, clientPort: 40_001 });
  map.set(
    { ...ENTRY, clientPort: 40_001 },
    { ...map.get({ ...ENTRY, clientPort: 40_001 })!, flags: SpliceFlag.SPLICE_CLOSED },
  );
  for (const backend of backends.all) backend.active = 0;
  const successor = open();
  assert.equal(successor.size, 2);
  assert.deepEqual(active(), [1, 0]);
  assert.equal([...successor.views(10)].length, 1);
  successor.close();
});

test('closed by both sides and silent for a minute: forgotten, and the peers are told', () => {
  table.install(ENTRY);
  packet(0);
  table.closed(ENTRY, 'us');
  mock.timers.tick(59_000);
  assert.equal(map.stored.size, 1);
  packet(61_000);
  mock.timers.tick(2_000);
  assert.equal(map.stored.size, 1, 'the server may still be thinking');
  const splice = map.get(ENTRY)!;
  map.set(ENTRY, { ...splice, flags: splice.flags | SpliceFlag.SPLICE_SERVER_CLOSED });
  mock.timers.tick(2_000);
  assert.equal(map.stored.size, 0);
  assert.equal(table.size, 0);
  assert.deepEqual(
    forgotten.map(({ isn }) => isn),
    [10],
  );
});

test('a FIN whose event was lost is found by the sweep', () => {
  table.install(ENTRY);
  map.set(ENTRY, { ...map.get(ENTRY)!, flags: SpliceFlag.SPLICE_CLOSED });
  mock.timers.tick(1_000);
  assert.deepEqual(active(), [0, 0]);
});

test('closed by word of a peer: a restarted daemon does not take it for open', () => {
  table.install(ENTRY);
  table.closing(ENTRY);
  const successor = open();
  assert.equal([...successor.views(10)].length, 0);
  successor.close();
});

test('resumed: the kernel half knows again where the client is', () => {
  table.install(ENTRY);
  assert.equal(map.get(ENTRY)!.seenNs, 0n);
  table.resume(ENTRY, 4711);
  assert.equal(map.get(ENTRY)!.clientNext, 4711);
  assert.notEqual(map.get(ENTRY)!.seenNs, 0n);
});

test('resumed with a FIN: the kernel half waits for the server to acknowledge it', () => {
  table.install(ENTRY);
  table.resume(ENTRY, 4711, true);
  const { finEnd, flags } = map.get(ENTRY)!;
  assert.deepEqual([finEnd, flags, active()], [4712, SpliceFlag.SPLICE_FIN_SEEN, [1, 0]]);
});

test('an RST that the server has not asked about ends the connection; a recent one does not yet', () => {
  table.install(ENTRY);
  packet(1000);
  const splice = map.get(ENTRY)!;
  map.set(ENTRY, { ...splice, flags: SpliceFlag.SPLICE_ANCHORED | SpliceFlag.SPLICE_RST_SEEN });
  mock.timers.tick(12_000);
  assert.deepEqual(active(), [1, 0]);
  packet(6000);
  mock.timers.tick(12_000);
  assert.deepEqual(active(), [0, 0]);
  assert.ok(map.get(ENTRY)!.flags & SpliceFlag.SPLICE_CLOSED);
});

test('a peer that joins is told of everything, in batches, closed ones with their mark', () => {
  for (let i = 0; i < 5; i++) table.install({ ...ENTRY, clientPort: 40_000 + i });
  table.closing({ ...ENTRY, clientPort: 40_003 });
  const batches = [...table.batches(2, 0)];
  assert.deepEqual(
    batches.map(batch => batch.length),
    [2, 2, 1],
  );
  assert.deepEqual(
    batches.flat().map(({ closed }) => closed),
    [false, false, false, true, false],
  );
  assert.deepEqual(batches[0]![0]!.entry, { ...ENTRY, clientPort: 40_000 });
});

test('a peer that was away is told what was made or closed meanwhile', () => {
  table.install({ ...ENTRY, clientPort: 1 });
  table.install({ ...ENTRY, clientPort: 2 });
  mock.timers.tick(60_000);
  table.install({ ...ENTRY, clientPort: 3, createdMs: 1_060_000 });
  table.closing({ ...ENTRY, clientPort: 2 });
  const told = [...table.batches(10, 1_050_000)].flat();
  assert.deepEqual(
    told.map(({ entry, closed }) => [entry.clientPort, closed]),
    [
      [2, true],
      [3, false],
    ],
  );
});

test('half-closed, but the other half goes on: kept', () => {
  table.install(ENTRY);
  table.closed(ENTRY, 'us');
  packet(1_000);
  mock.timers.tick(90_000);
  assert.equal(map.stored.size, 1);
  table.forget(ENTRY); // a peer that sees none of its packets
  assert.equal(map.stored.size, 1);
});

test('what the kernel has evicted no longer counts', () => {
  table.install(ENTRY);
  map.delete(ENTRY);
  mock.timers.tick(1_000);
  assert.deepEqual(active(), [0, 0]);
  assert.equal(table.size, 0);
});

test('the list holds the newest first, and no more than asked', () => {
  for (let i = 0; i < 5; i++) table.install({ ...ENTRY, clientPort: 40_000 + i, createdMs: 1000 + i });
  assert.deepEqual(
    [...table.views(3)].map(view => view.connection.clientPort),
    [40_004, 40_003, 40_002],
  );
});
