import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BpfMap, DataplaneError, loadObject, openPinnedMap, testRun, u32, u64 } from '../src/index.ts';
import { frame, loadSample, mountBpffs, REFUSED, SAMPLE } from './fixture.ts';

test('programs and maps are found by name, and a wrong name is answered with the right ones', t => {
  const object = loadSample(t);
  const program = object.program('sample_record');
  assert.match(program.tag, /^[0-9a-f]{16}$/);
  assert.notEqual(program.tag, object.program('sample_swap').tag);
  const { fd, ...flows } = object.map('flows');
  assert.ok(fd > 2);
  assert.deepEqual(flows, { name: 'flows', type: 1, keySize: 12, valueSize: 56, maxEntries: 1024, flags: 0 });
  assert.equal(object.map('.bss').valueSize > 0, true);
  assert.throws(() => object.program('nobody'), /has no program nobody; it has .*sample_record/);
  assert.throws(() => object.map('nothing'), /has no map nothing; it has .*flows/);
});

test('sizes can be changed before loading, of maps that exist', t => {
  const object = loadSample(t, { maxEntries: { flows: 5, events: 8192 } });
  assert.equal(object.map('flows').maxEntries, 5);
  assert.equal(object.map('events').maxEntries, 8192);
  assert.throws(() => loadObject(SAMPLE, { maxEntries: { flow: 5 } }), /has no map flow/);
  assert.throws(
    () => loadObject(SAMPLE, { pinDirectory: mountBpffs(t), state: ['flow'] }),
    /has no map flow/,
  );
});

test('constants can be set by name before loading', t => {
  const object = loadSample(t, {
    rodata: (view, offsetOf) => view.setUint32(offsetOf('verdict'), 2, true),
  });
  assert.equal(testRun(object.program('sample_record'), frame()).verdict, 2);
  assert.throws(
    () => loadObject(SAMPLE, { rodata: (_, offsetOf) => void offsetOf('verdikt') }),
    /\.rodata has no variable verdikt; it has .*verdict/,
  );
});

test('what the verifier refuses comes back with its reason', () => {
  assert.throws(
    () => loadObject(REFUSED),
    (error: Error) => {
      assert.ok(error instanceof DataplaneError);
      assert.equal(error.code, 'EACCES');
      assert.match(error.message, /refused\.bpf\.o: the kernel refused program refused_reader/);
      assert.match(error.message, /invalid access to packet/);
      assert.ok(error.log.length >= error.message.indexOf('invalid'));
      return true;
    },
  );
});

test('a file that is missing or is no object file is named', t => {
  assert.throws(() => loadObject('/nowhere/x.bpf.o'), /no BPF object \/nowhere\/x.bpf.o/);
  const directory = mkdtempSync(join(tmpdir(), 'dataplane-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'text.bpf.o');
  writeFileSync(path, 'not an object');
  assert.throws(() => loadObject(path), new RegExp(`cannot read the BPF object ${path}`));
});

test('pinned maps survive their maker and are used again; programs are replaced', t => {
  const pinDirectory = join(mountBpffs(t), 'proxy-1');
  const first = loadObject(SAMPLE, { pinDirectory, state: ['recent'] });
  new BpfMap(first.map('recent'), u32, u64).set(7, 77n);
  const { tag } = first.program('sample_drop');
  first.close();

  const second = loadSample(t, { pinDirectory, state: ['recent'] });
  assert.equal(new BpfMap(second.map('recent'), u32, u64).get(7), 77n);
  assert.equal(second.program('sample_drop').tag, tag);
  const names = readdirSync(pinDirectory);
  assert.ok(names.includes('prog_sample_drop') && names.includes('recent'), `${names}`);
  assert.equal(names.filter(name => /^flows_[0-9a-f]{8}$/.test(name)).length, 1, `${names}`);
  assert.ok(!names.some(name => name.includes('__new') || name.includes('rodata')), `${names}`);

  const pinned = openPinnedMap(join(pinDirectory, 'recent'));
  assert.ok(pinned);
  assert.equal(new BpfMap(pinned, u32, u64).get(7), 77n);
  assert.equal(openPinnedMap(join(pinDirectory, 'absent')), undefined);
  assert.throws(() => openPinnedMap(join(pinDirectory, 'prog_sample_drop')), /prog_sample_drop is not a map/);
});

test('counters and configuration of another size are made anew, state is carried over', t => {
  const pinDirectory = mountBpffs(t);
  const maxEntries = { flows: 10, recent: 10 };
  const old = loadSample(t, { pinDirectory, maxEntries, state: ['recent'] });
  new BpfMap(old.map('recent'), u32, u64).set(7, 77n);
  const now = loadSample(t, { pinDirectory, state: ['recent'] });
  assert.deepEqual([now.map('flows').maxEntries, now.map('recent').maxEntries], [1024, 1024]);
  const recent = new BpfMap(now.map('recent'), u32, u64);
  assert.equal(recent.get(7), 77n);

  // What is still attached works on the old map until the new programs are.
  new BpfMap(old.map('recent'), u32, u64).set(8, 88n);
  recent.set(7, 78n);
  assert.equal(recent.get(8), undefined);
  now.catchUp();
  assert.deepEqual([recent.get(7), recent.get(8)], [78n, 88n]);
  const again = loadSample(t, { pinDirectory, state: ['recent'] });
  assert.equal(new BpfMap(again.map('recent'), u32, u64).get(8), 88n);
});

test('a directory outside of a BPF file system cannot hold pins', t => {
  const directory = mkdtempSync(join(tmpdir(), 'dataplane-'));
  t.after(() => rmdirSync(directory));
  assert.throws(
    () => loadObject(SAMPLE, { pinDirectory: directory }),
    /not in a BPF file system.*mount -t bpf/,
  );
});
