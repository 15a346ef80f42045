import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BpfMap, Counters, mapMemory, testRun, u32, u64 } from '../src/index.ts';
import { frame, loadSample } from './fixture.ts';
import { type FlowEntry, type FlowKey, flowEntry, flowKey, sampleCounterNames } from './layout.generated.ts';

const key: FlowKey = { clientIp: 0x0a3d0002, clientPort: 40000, protocol: 6, seed: 1 };
const entry: FlowEntry = {
  ends: [
    { ip: 0x0a40000b, port: 8080 },
    { ip: 0x0a3c0001, port: 80 },
  ],
  bytes: 2n ** 63n,
  balance: -5,
  skew: -(2n ** 40n),
  kind: 4,
  mac: [1, 2, 3, 4, 5, 6],
  live: true,
};

test('entries are created, read, replaced and deleted', t => {
  const flows = new BpfMap(loadSample(t).map('flows'), flowKey, flowEntry);
  assert.equal(flows.get(key), undefined);
  assert.equal(flows.set(key, entry, 'exist'), false);
  assert.equal(flows.set(key, entry, 'new'), true);
  assert.equal(flows.set(key, entry, 'new'), false);
  assert.deepEqual(flows.get(key), entry);
  assert.equal(flows.set(key, { ...entry, live: false }), true);
  assert.equal(flows.get(key)?.live, false);
  assert.equal(flows.get({ ...key, seed: 2 }), undefined);
  assert.equal(flows.delete(key), true);
  assert.equal(flows.delete(key), false);
});

test('a value that is written shows nothing of the one read before', t => {
  const flows = new BpfMap(loadSample(t).map('flows'), flowKey, flowEntry);
  const raw = {
    size: 56,
    read: (v: DataView, o: number) => v.getUint32(o + 28, true),
    write: flowEntry.write,
  };
  const holes = new BpfMap(loadSample(t).map('flows'), flowKey, {
    ...raw,
    write: (view: DataView, offset: number) => view.setUint32(offset + 28, 0xffffffff, true),
  });
  holes.set(key, 0);
  assert.equal(holes.get(key), 0xffffffff);
  flows.set(key, entry);
  assert.equal(flows.get(key)?.balance, -5);
});

test('a full map says so', t => {
  const flows = new BpfMap(loadSample(t, { maxEntries: { flows: 2 } }).map('flows'), flowKey, flowEntry);
  flows.set(key, entry);
  flows.set({ ...key, seed: 2 }, entry);
  assert.throws(() => flows.set({ ...key, seed: 3 }, entry), { name: 'DataplaneError', code: 'E2BIG' });
  assert.equal([...flows.entries()].length, 2);
});

test('all entries are listed exactly once, for hash, LRU and array', t => {
  const object = loadSample(t, { maxEntries: { recent: 20_000 } });
  const recent = new BpfMap(object.map('recent'), u32, u64);
  assert.deepEqual([...recent.entries()], []);
  for (let i = 0; i < 5000; i++) recent.set(i, BigInt(i) * 3n);
  const listed = new Map(recent.entries());
  assert.equal(listed.size, 5000);
  for (const [id, value] of listed) assert.equal(value, BigInt(id) * 3n);
  const shared = new BpfMap(object.map('shared'), u32, u64);
  shared.set(3, 33n);
  assert.deepEqual(
    [...shared.entries()].map(([index]) => index),
    Array.from({ length: 16 }, (_, i) => i),
  );
});

test('a listing survives that entries are deleted under it', t => {
  const recent = new BpfMap(loadSample(t, { maxEntries: { recent: 20_000 } }).map('recent'), u32, u64);
  for (let i = 0; i < 3000; i++) recent.set(i, 1n);
  const seen = new Set<number>();
  for (const [id] of recent.entries()) {
    assert.ok(!seen.has(id), `${id} came twice`);
    seen.add(id);
    recent.delete(id);
    recent.delete((id + 1) % 3000);
  }
  assert.ok(seen.size >= 1500 && seen.size <= 3000);
  assert.deepEqual([...recent.entries()], []);
});

test('layouts of another size are refused', t => {
  const object = loadSample(t);
  assert.throws(
    () => new BpfMap(object.map('flows'), u32, flowEntry),
    /keys of 12 and values of 56 bytes, .* 4 and 56/,
  );
  assert.throws(() => new BpfMap(object.map('counters'), u32, u64), /value per CPU/);
});

test('an array of another length is refused rather than cut', t => {
  const flows = new BpfMap(loadSample(t).map('flows'), flowKey, flowEntry);
  assert.throws(() => flows.set(key, { ...entry, mac: [1, 2] }), /mac has 2 elements, not 6/);
});

test('counters are summed over the CPUs and named', t => {
  const object = loadSample(t);
  const counters = new Counters(object.map('counters'), sampleCounterNames);
  assert.deepEqual(counters.read(), { packets: 0, records: 0, lost: 0, discarded: 0 });
  testRun(object.program('sample_record'), frame(), { repeat: 25 });
  assert.deepEqual(counters.read(), { packets: 25, records: 25, lost: 0, discarded: 0 });
  assert.throws(() => new Counters(object.map('shared'), ['x']), /not a per-CPU array/);
  assert.throws(
    () => new Counters(object.map('counters'), ['a', 'b', 'c', 'd', 'e']),
    /has 4 counters for 5 names/,
  );
});

test('mapped memory is the map itself, in both directions', t => {
  const object = loadSample(t);
  const memory = new BigUint64Array(mapMemory(object.map('shared')));
  assert.equal(memory.length, 16);
  memory[5] = 55n;
  assert.equal(new BpfMap(object.map('shared'), u32, u64).get(5), 55n);
  testRun(object.program('sample_swap'), frame());
  assert.equal(memory[0], 1n, 'the program wrote the number of the loopback device');
  const globals = new DataView(mapMemory(object.map('.bss')));
  testRun(object.program('sample_record'), frame(), { repeat: 3 });
  const words = Array.from({ length: globals.byteLength >> 2 }, (_, i) => globals.getUint32(4 * i, true));
  assert.ok(words.includes(3), 'next_sequence has counted to 3');
  assert.throws(() => mapMemory(object.map('recent')), /cannot be mapped.*BPF_F_MMAPABLE/);
});
