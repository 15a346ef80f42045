/** Maps that builds have in common, and what one makes of those that another has left in another layout. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { compile, missingTools } from '../src/build.ts';
import { BpfMap, type BpfObject, FormerMaps, loadObject, mapMemory, u32, u64 } from '../src/index.ts';
import { mountBpffs } from './fixture.ts';

const missing = missingTools();
const skip = missing.length > 0 && `${missing.join(' and ')} not installed`;

const source = (entry: string, mode = 'RESTS, MOVES', exits = 2): string => `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
enum mode { ${mode} };
struct entry { ${entry} };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct entry);
} entries SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} ways SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ${exits});
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");
const enum mode modes __attribute__((used)) = 0;
SEC("tc") int look(struct __sk_buff *skb)
{
	__u32 key = 1;
	return bpf_map_lookup_elem(&entries, &key) && bpf_map_lookup_elem(&ways, &key) && bpf_map_lookup_elem(&counters, &key);
}
char LICENSE[] SEC("license") = "GPL";
`;
const ENTRY = '__u32 number; __u16 mark; __u8 gone; __u8 way[6]; __u64 time;';

/** Loads versions of that program one after the other from one directory of pins. */
function versions(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'dataplane-shared-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const pinDirectory = mountBpffs(t);
  const load = (text: string, maxEntries: Record<string, number> = {}): BpfObject => {
    writeFileSync(join(directory, 'a.bpf.c'), text);
    compile('a.bpf.c', 'a.bpf.o', directory);
    const shared = { maps: ['entries', 'ways'], types: ['entry', 'mode'] };
    const object = loadObject(join(directory, 'a.bpf.o'), { pinDirectory, shared, maxEntries });
    t.after(() => object.close());
    return object;
  };
  const pins = (map: string) => readdirSync(pinDirectory).filter(each => each.startsWith(`${map}_`));
  return { load, pins };
}

test('another build with the same layouts works on the same maps', { skip }, t => {
  const { load, pins } = versions(t);
  const old = load(source(ENTRY));
  new BpfMap(old.map('ways'), u32, u64).set(1, 5n);
  const [counters] = pins('counters');
  const now = load(source(ENTRY, undefined, 3));
  assert.equal(now.former, undefined);
  assert.equal(new BpfMap(now.map('ways'), u32, u64).get(1), 5n);
  new Uint32Array(mapMemory(old.map('entries')))[0] = 77;
  assert.equal(new Uint32Array(mapMemory(now.map('entries')))[0], 77, 'both see what the other one writes');
  assert.deepEqual([pins('entries').length, pins('counters').length], [1, 1]);
  assert.notDeepEqual(pins('counters'), [counters]);
});

test('what another layout has left is translated member by member', { skip }, t => {
  const { load, pins } = versions(t);
  const old = load(source(ENTRY));
  const memory = mapMemory(old.map('entries'));
  const view = new DataView(memory);
  view.setUint32(0, 7, true);
  view.setUint16(4, 9, true);
  view.setUint8(6, 1);
  new Uint8Array(memory, 7, 6).set([1, 2, 3, 4, 5, 6]);
  view.setBigUint64(16, 8n, true);
  const now = load(
    source('__u64 fresh; __u64 time; __u8 way[6]; __u16 mark; __u32 number;', 'RESTS, MOVES, ENDS'),
  );
  const { former } = now;
  assert.ok(former instanceof FormerMaps, String(former));
  const translation = former.translation('entry');
  assert.deepEqual(
    [translation.formerSize, translation.offsetOf('time'), translation.offsetOf('fresh')],
    [24, 16, undefined],
  );
  const made = translation.translate(new Uint8Array(mapMemory(former.map('entries')), 0, 24));
  const read = new DataView(made.buffer);
  assert.equal(made.length, 32);
  assert.deepEqual([read.getBigUint64(0, true), read.getBigUint64(8, true)], [0n, 8n]);
  assert.deepEqual([...made.subarray(16, 22)], [1, 2, 3, 4, 5, 6]);
  assert.deepEqual([read.getUint16(22, true), read.getUint32(24, true)], [9, 7]);
  assert.equal(pins('entries').length, 1, 'only the new ones have names');
  assert.equal(new Uint32Array(mapMemory(now.map('entries')))[0], 0, 'it begins empty');
  const again = load(
    source('__u64 fresh; __u64 time; __u8 way[6]; __u16 mark; __u32 number;', 'RESTS, MOVES, ENDS'),
  );
  assert.equal(again.former, undefined, 'its own');
});

for (const [what, entry, mode, why] of [
  ['a member of another size', '__u64 number;', 'RESTS, MOVES', /entry\.number has 4 bytes, wanted 8/],
  ['a number that means something else', ENTRY, 'MOVES, RESTS', /RESTS had the number 0/],
] as const)
  test(`what cannot be translated: ${what}`, { skip }, t => {
    const { load } = versions(t);
    load(source(ENTRY));
    assert.match(String(load(source(entry, mode)).former), why);
  });

test('another size of a map: not the same maps, and none of them without the others', { skip }, t => {
  const { load } = versions(t);
  const old = load(source(ENTRY));
  new BpfMap(old.map('ways'), u32, u64).set(1, 5n);
  const now = load(source(ENTRY), { entries: 8 });
  assert.ok(now.former instanceof FormerMaps);
  assert.equal(new BpfMap(now.map('ways'), u32, u64).get(1), undefined);
  assert.equal(new BpfMap(now.former.map('ways'), u32, u64).get(1), 5n);
});

test('a map or a type that is not there', { skip }, t => {
  const { load } = versions(t);
  assert.throws(() => load(source(ENTRY).replaceAll('enum mode', 'enum other')), /has no type mode/);
  assert.throws(() => load(source(ENTRY).replaceAll('ways', 'paths')), /has no map ways/);
});
