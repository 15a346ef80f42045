import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { missingTools } from '../src/build.ts';
import { generate } from '../src/codegen.ts';
import { SAMPLE } from './fixture.ts';
import {
  flowEntry,
  flowEntryOffsets,
  flowKey,
  SampleCounter,
  SampleKind,
  sampleCounterNames,
} from './layout.generated.ts';

const skip = missingTools().includes('bpftool') && 'bpftool is not installed';
const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const plain = { noNullPrototype: true };
const endpoint = fc.record({ ip: u32, port: u16 }, plain);
const entries = fc.record(
  {
    ends: fc.tuple(endpoint, endpoint),
    bytes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    balance: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    skew: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    kind: u32,
    mac: fc.tuple(u8, u8, u8, u8, u8, u8),
    live: fc.boolean(),
  },
  plain,
);

test('what a layout writes it reads back, wherever it lies', () => {
  fc.assert(
    fc.property(entries, fc.nat({ max: 20 }), (entry, offset) => {
      const view = new DataView(new ArrayBuffer(offset + flowEntry.size));
      flowEntry.write(view, offset, entry);
      assert.deepEqual(flowEntry.read(view, offset), entry);
    }),
  );
});

test('fields marked as network order are big-endian in memory, the others are not', () => {
  const view = new DataView(new ArrayBuffer(flowKey.size));
  flowKey.write(view, 0, { clientIp: 0x0a3d0002, clientPort: 40001, protocol: 6, seed: 0x01020304 });
  assert.equal(Buffer.from(view.buffer).toString('hex'), '0a3d0002 9c41 06 00 04030201'.replaceAll(' ', ''));
});

test('padding that has a name is overwritten with zeros', () => {
  const view = new DataView(new ArrayBuffer(flowEntry.size));
  new Uint8Array(view.buffer).fill(0xff);
  const ends = [
    { ip: 1, port: 2 },
    { ip: 3, port: 4 },
  ];
  flowEntry.write(view, 0, {
    ends,
    bytes: 0n,
    balance: 0,
    skew: 0n,
    kind: 0,
    mac: [0, 0, 0, 0, 0, 0],
    live: true,
  });
  assert.deepEqual([view.getUint16(6), view.getUint16(14), view.getUint8(51)], [0, 0, 0]);
  assert.equal(flowEntryOffsets.skew, 32, 'behind a hole that C has left');
});

test('enums keep their C names; those that count get a list of names', () => {
  assert.equal(SampleCounter.SAMPLE_LOST, 2);
  assert.equal(SampleKind.KIND_LARGE, 4);
  assert.deepEqual(sampleCounterNames, ['packets', 'records', 'lost', 'discarded']);
});

test('the same C gives the same TypeScript, which is the committed one', { skip }, () => {
  const bpf = join(import.meta.dirname, 'bpf');
  const request = JSON.parse(readFileSync(join(bpf, 'layouts.json'), 'utf8'));
  const committed = readFileSync(join(import.meta.dirname, 'layout.generated.ts'), 'utf8');
  assert.equal(generate([join(bpf, 'refused.bpf.o'), SAMPLE], request, '../src/index.ts'), committed);
  assert.doesNotMatch(generate([SAMPLE], { structs: [], enums: ['sample_kind'] }), /import|Names/);
});

test('a type that nothing reaches is named, with the way out', { skip }, () => {
  assert.throws(
    () => generate([SAMPLE], { structs: ['flow_ky'], enums: [] }),
    /no struct flow_ky in the BTF of .*sample\.bpf\.o.*\*unused_flow_ky/,
  );
  assert.throws(() => generate([SAMPLE], { structs: [], enums: ['flow_key'] }), /no enum flow_key/);
});

test('what a layout cannot hold is named', { skip }, () => {
  assert.throws(
    () => generate([SAMPLE], { structs: ['__sk_buff'], enums: [] }),
    /__sk_buff\.\(anon\) in .* is a union: not supported/,
  );
});
