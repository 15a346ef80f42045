import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { build, check, missingTools } from '../src/build.ts';
import { loadedSections } from '../src/elf.ts';
import { SAMPLE } from './fixture.ts';

const missing = missingTools();
const skip = missing.length > 0 && `${missing.join(' and ')} not installed`;

const SOURCE = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct pair { __u32 left, right; };
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct pair);
} first SEC(".maps"), second SEC(".maps");
SEC("tc") int choose(struct __sk_buff *skb)
{
	__u32 key = 7;
	return bpf_map_lookup_elem(&first, &key) != 0;
}
char LICENSE[] SEC("license") = "GPL";
`;

/** A repository of one program, built. */
function repository(t: TestContext): { root: string; edit: (from: string, to: string) => void } {
  const root = mkdtempSync(join(tmpdir(), 'dataplane-build-'));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'apps/small/bpf'), { recursive: true });
  mkdirSync(join(root, 'apps/small/src'));
  const source = join(root, 'apps/small/bpf/small.bpf.c');
  writeFileSync(source, SOURCE);
  writeFileSync(join(root, 'apps/small/bpf/layouts.json'), '{"structs": ["pair"]}');
  t.mock.method(console, 'log', () => {});
  build(root);
  return { root, edit: (from, to) => writeFileSync(source, SOURCE.replace(from, to)) };
}

test('a fresh build is fresh, and does not depend on where the repository lies', { skip }, t => {
  const one = repository(t).root;
  const other = repository(t).root;
  assert.deepEqual(check(one), []);
  const object = (root: string) => readFileSync(join(root, 'apps/small/bpf/small.bpf.o'));
  assert.deepEqual(object(one), object(other));
  assert.ok(!object(one).includes(one));
  assert.match(
    readFileSync(join(one, 'apps/small/src/layout.generated.ts'), 'utf8'),
    /export const pair: Layout<Pair>/,
  );
});

const CHANGES: [name: string, from: string, to: string, stale: RegExp][] = [
  ['an instruction', 'key = 7', 'key = 8', /small\.bpf\.o: section tc is not what/],
  ['the map that is looked up', '&first', '&second', /section tc is not what/],
  ['the size of a map', '16', '32', /types or map definitions are not what/],
  ['a struct', 'left, right', 'right, left', /layout\.generated\.ts is not what/],
];
for (const [name, from, to, stale] of CHANGES) {
  test(`a change of ${name} is noticed`, { skip }, t => {
    const { root, edit } = repository(t);
    edit(from, to);
    assert.match(check(root).join('\n'), stale);
  });
}

test('a comment and a moved line change nothing', { skip }, t => {
  const { root, edit } = repository(t);
  edit('SEC("tc")', '// A comment.\n\nSEC("tc")');
  assert.deepEqual(check(root), []);
});

test('a missing object is named', { skip }, t => {
  const { root } = repository(t);
  rmSync(join(root, 'apps/small/bpf/small.bpf.o'));
  assert.deepEqual(check(root), ['apps/small/bpf/small.bpf.o is missing']);
});

test('the sections that the kernel gets are found, with their relocations', () => {
  const sections = loadedSections(readFileSync(SAMPLE));
  for (const name of ['tc', '.rodata', '.maps', 'license']) assert.ok(sections.has(name), name);
  assert.ok(![...sections.keys()].some(name => /debug|BTF/.test(name)));
  assert.match(sections.get('tc') ?? '', /events/);
  assert.throws(() => loadedSections(Buffer.from('#!/bin/sh')), /not a 64-bit little-endian ELF file/);
});
