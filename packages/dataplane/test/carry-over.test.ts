/** Two versions of a program, compiled here: what the second makes of the state that the first has pinned. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compile, missingTools } from '../src/build.ts';
import { BpfMap, type BpfObject, type Layout, loadObject, u32 } from '../src/index.ts';
import { mountBpffs } from './fixture.ts';

const missing = missingTools();
const skip = missing.length > 0 && `${missing.join(' and ')} not installed`;

const OLD_VALUE = '__u32 left; __u8 mark; __u8 gone; struct { __u16 deep; } in; __u64 time;';

const source = (value: string, key = '__u32', exits = 2): string => `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct entry { ${value} };
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 128);
	__type(key, ${key});
	__type(value, struct entry);
} entries SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ${exits});
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");
SEC("tc") int look(struct __sk_buff *skb)
{
	__u64 key = 7, exit = 0;
	return bpf_map_lookup_elem(&entries, &key) != 0 && bpf_map_lookup_elem(&counters, &exit);
}
char LICENSE[] SEC("license") = "GPL";
`;

/** Loads versions of that program one after the other from one directory of pins. */
function versions(t: TestContext): { load: (text: string) => BpfObject; pins: () => string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'dataplane-versions-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const pinDirectory = mountBpffs(t);
  const load = (text: string): BpfObject => {
    writeFileSync(join(directory, 'a.bpf.c'), text);
    compile('a.bpf.c', 'a.bpf.o', directory);
    const object = loadObject(join(directory, 'a.bpf.o'), { pinDirectory, state: ['entries'] });
    t.after(() => object.close());
    return object;
  };
  return { load, pins: () => readdirSync(pinDirectory).sort() };
}

const raw = (size: number): Layout<Buffer> => ({
  size,
  read: (view, offset) => Buffer.from(view.buffer, view.byteOffset + offset, size),
  write: (view, offset, value) => value.copy(Buffer.from(view.buffer, view.byteOffset + offset, size)),
});

test('a value that has grown and was arranged anew keeps its members by name', { skip }, t => {
  const { load, pins } = versions(t);
  const old = load(source(OLD_VALUE));
  const value = Buffer.alloc(16);
  value.writeUInt32LE(11, 0);
  value.writeUInt8(22, 4);
  value.writeUInt8(33, 5);
  value.writeUInt16LE(44, 6);
  value.writeBigUInt64LE(55n, 8);
  new BpfMap(old.map('entries'), u32, raw(16)).set(7, value);
  const before = pins();

  const now = load(
    source('__u64 time; struct { __u16 deep; } in; __u8 mark; __u8 added; __u32 left; __u64 more;'),
  );
  const carried = new BpfMap(now.map('entries'), u32, raw(24)).get(7)!;
  assert.equal(carried.readBigUInt64LE(0), 55n);
  assert.equal(carried.readUInt16LE(8), 44);
  assert.deepEqual([carried[10], carried[11]], [22, 0]);
  assert.equal(carried.readUInt32LE(12), 11);
  assert.equal(carried.readBigUInt64LE(16), 0n);
  // The former version's counters are gone, its state has one name for all.
  assert.equal(pins().length, before.length);
  assert.deepEqual(
    pins().filter(name => name.startsWith('entries')),
    ['entries'],
  );
});

test('members of the same size that have changed places are not taken for each other', { skip }, t => {
  const { load } = versions(t);
  const old = load(source('__u32 one; __u32 two;'));
  new BpfMap(old.map('entries'), u32, raw(8)).set(7, Buffer.from([1, 0, 0, 0, 2, 0, 0, 0]));
  const now = load(source('__u32 two; __u32 one;'));
  assert.deepEqual([...new BpfMap(now.map('entries'), u32, raw(8)).get(7)!], [2, 0, 0, 0, 1, 0, 0, 0]);
});

test('another set of counters is a new map, and the state goes on in the same one', { skip }, t => {
  const { load } = versions(t);
  const old = new BpfMap(load(source(OLD_VALUE)).map('entries'), u32, raw(16));
  const object = load(source(OLD_VALUE, '__u32', 3));
  assert.equal(object.map('counters').maxEntries, 3);
  const now = new BpfMap(object.map('entries'), u32, raw(16));
  old.set(7, Buffer.alloc(16, 1));
  assert.deepEqual(now.get(7), Buffer.alloc(16, 1));
});

test('state that cannot be carried over is left alone, with a sentence that says what to do', { skip }, t => {
  const { load, pins } = versions(t);
  load(source(OLD_VALUE));
  const before = pins();
  const reasons: [text: string, reason: RegExp][] = [
    [
      source(OLD_VALUE, '__u64'),
      /pinned at .*entries cannot be carried over.*its keys are others.*remove the pin/,
    ],
    [source('__u64 left;'), /left has 4 bytes, wanted 8.*Run the version that left it/],
    [source(OLD_VALUE).replace('LRU_HASH', 'ARRAY'), /it is of type 9, wanted 2/],
  ];
  for (const [text, reason] of reasons) {
    assert.throws(() => load(text), reason);
    assert.deepEqual(pins(), before);
  }
});
