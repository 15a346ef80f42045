import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { type BpfObject, Counters, RingBuffer, testRun } from '../src/index.ts';
import { pageSize } from '../src/libc.ts';
import { frame, loadSample, until } from './fixture.ts';
import { sampleCounterNames, sampleEvent, sampleEventOffsets } from './layout.generated.ts';

/** A record of the sample: 8 bytes of header, 28 of content, rounded up to a multiple of 8. */
const RECORD = 40;
const produce = (object: BpfObject, repeat: number) =>
  testRun(object.program('sample_record'), frame(), { repeat });

function open(object: BpfObject): { ring: RingBuffer; sequences: number[]; read: (max?: number) => number } {
  const ring = new RingBuffer(object.map('events'));
  const sequences: number[] = [];
  const take = (view: DataView, offset: number) => {
    sequences.push(view.getUint32(offset + sampleEventOffsets.sequence, true));
  };
  return { ring, sequences, read: max => ring.drain(take, max) };
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test('records come complete, in order, and once', t => {
  const object = loadSample(t);
  const { ring, sequences, read } = open(object);
  t.after(() => ring.close());
  assert.equal(read(), 0);
  produce(object, 100);
  assert.equal(ring.pending, 100 * RECORD);
  assert.equal(read(), 100);
  assert.equal(read(), 0);
  assert.deepEqual(sequences, numbers(0, 100));
  produce(object, 1);
  ring.drain((view, offset, length) => {
    assert.equal(length, 28);
    assert.deepEqual(sampleEvent.read(view, offset), { kind: 1, sequence: 100, length: 64 });
    assert.equal(view.getUint8(offset + sampleEvent.size + 5), 2, 'the last byte of the destination address');
  });
});

test('the ring wraps around its end many times without a loss', t => {
  const object = loadSample(t, { maxEntries: { events: 8192 } });
  const { ring, sequences, read } = open(object);
  t.after(() => ring.close());
  for (let round = 0; round < 100; round++) {
    produce(object, 150);
    assert.equal(read(), 150);
  }
  assert.deepEqual(sequences, numbers(0, 15_000));
  assert.equal(new Counters(object.map('counters'), sampleCounterNames).read().lost, 0);
});

test('a full ring loses the newest records, and the program counts every one of them', t => {
  const object = loadSample(t, { maxEntries: { events: 4096 } });
  const { ring, sequences, read } = open(object);
  t.after(() => ring.close());
  produce(object, 500);
  const { records, lost } = new Counters(object.map('counters'), sampleCounterNames).read();
  assert.equal(read(), records);
  assert.equal(lost, 500 - records!);
  assert.deepEqual(sequences, numbers(0, records!));
  produce(object, 1);
  assert.equal(read(), 1, 'there is room again');
});

test('`max` bounds a drain, and the next one goes on behind it', t => {
  const object = loadSample(t);
  const { ring, sequences, read } = open(object);
  t.after(() => ring.close());
  produce(object, 10);
  assert.deepEqual([read(4), read(0), read(4), read(4)], [4, 0, 4, 2]);
  assert.deepEqual(sequences, numbers(0, 10));
});

test('discarded records are skipped and take no part in the count', t => {
  const object = loadSample(t, {
    rodata: (view, offsetOf) => view.setUint32(offsetOf('discard_every'), 3, true),
  });
  const { ring, sequences, read } = open(object);
  t.after(() => ring.close());
  produce(object, 9);
  assert.equal(read(2), 2);
  assert.equal(read(), 4);
  assert.deepEqual(sequences, [1, 2, 4, 5, 7, 8]);
  assert.equal(ring.pending, 0);
});

test('a callback that throws loses its own record only', t => {
  const object = loadSample(t);
  const { ring, sequences, read } = open(object);
  t.after(() => ring.close());
  produce(object, 3);
  assert.throws(() =>
    ring.drain(() => {
      throw new Error('bad record');
    }),
  );
  assert.equal(read(), 2);
  assert.deepEqual(sequences, [1, 2]);
});

test('the next reader goes on where the last one stopped', t => {
  const object = loadSample(t);
  const first = open(object);
  produce(object, 10);
  first.read(6);
  first.ring.close();
  const second = open(object);
  t.after(() => second.ring.close());
  assert.equal(second.read(), 4);
  assert.deepEqual(second.sequences, [6, 7, 8, 9]);
});

test('waiting reports what was there before, what comes later, and survives garbage collection', async t => {
  const object = loadSample(t);
  const { ring, sequences, read } = open(object);
  t.after(() => ring.close());
  produce(object, 5);
  const stop = ring.onReadable(() => read(3));
  await until('the records from before', () => sequences.length === 5);
  // Without somebody who holds it, the poll handle would be collected along with this garbage.
  for (let i = 0; i < 50; i++) new Uint8Array(10 << 20).fill(i);
  for (let round = 1; round <= 5; round++) {
    produce(object, 10);
    await until(`round ${round}`, () => sequences.length === 5 + 10 * round);
  }
  assert.deepEqual(sequences, numbers(0, 55));
  stop();
  produce(object, 1);
  let stopped = false;
  setTimeout(() => {
    stopped = true;
  }, 30);
  await until('a while after stopping', () => stopped);
  assert.equal(sequences.length, 55);
  const again = ring.onReadable(() => read());
  assert.throws(() => ring.onReadable(() => {}), /somebody waiting already/);
  await until('waiting anew', () => sequences.length === 56);
  again();
});

test('promises that a callback settles go on at once, though nothing else is due', async t => {
  const object = loadSample(t);
  const { ring, read } = open(object);
  t.after(() => ring.close());
  const arrived = new Promise<number>(resolve => {
    const stop = ring.onReadable(() => {
      stop();
      resolve(read());
    });
  });
  produce(object, 2);
  assert.equal(await arrived, 2);
});

test('a producer on another thread: nothing is lost or doubled while both run', async t => {
  const object = loadSample(t, { maxEntries: { events: 4 << 20 } });
  const { ring, sequences, read } = open(object);
  t.after(() => ring.close());
  const worker = new Worker(new URL('./ringbuf.producer.ts', import.meta.url), {
    workerData: { fd: object.program('sample_record').fd, rounds: 40, repeat: 1000 },
  });
  t.after(() => worker.terminate());
  const stop = ring.onReadable(() => read(500));
  await until('all records', () => sequences.length === 40_000, 10_000);
  stop();
  assert.deepEqual(sequences, numbers(0, 40_000));
});

test('a closed ring refuses, also when it is closed from within', t => {
  const object = loadSample(t);
  const { ring, read } = open(object);
  produce(object, 5);
  assert.equal(
    ring.drain(() => ring.close()),
    1,
  );
  assert.throws(() => read(), /ring buffer events is closed/);
  assert.throws(() => ring.onReadable(() => {}), /closed/);
  ring.close();
  const next = open(object);
  t.after(() => next.ring.close());
  assert.equal(
    next.read(),
    5,
    'nothing was announced: the next reader gets the record that was being read again',
  );
});

/**
 * A ring that the test writes itself, in a file: a page for the reader's position, one for the producer's, then the data.
 * Only the kernel can map the data twice, so records must not wrap around here.
 */
function forge(t: TestContext, size: number, position: bigint) {
  const path = join(mkdtempSync(join(tmpdir(), 'dataplane-ring-')), 'ring');
  const fd = openSync(path, 'w+');
  t.after(() => {
    closeSync(fd);
    rmSync(dirname(path), { recursive: true });
  });
  ftruncateSync(fd, 2 * pageSize + 2 * size);
  const number = (value: bigint, at: number) => writeSync(fd, new BigUint64Array([value]), 0, 8, at);
  number(position, 0);
  number(position, pageSize);
  const handle = { name: 'forged', fd, type: 27, keySize: 0, valueSize: 0, maxEntries: size, flags: 0 };
  return {
    handle,
    produced: (to: bigint) => number(to, pageSize),
    header: (at: number, header: number) => number(BigInt(header >>> 0), 2 * pageSize + at),
    announced: () => {
      const bytes = new BigUint64Array(1);
      readSync(fd, bytes, 0, 8, 0);
      return bytes[0];
    },
  };
}

test('a record that is not yet submitted holds up those behind it, and only until it is', t => {
  const forged = forge(t, 4096, 0n);
  const ring = new RingBuffer(forged.handle);
  t.after(() => ring.close());
  const lengths: number[] = [];
  const read = () => ring.drain((_view, _offset, length) => void lengths.push(length));
  forged.header(0, 5);
  forged.header(16, 0x80000000 | 20);
  forged.header(48, 7);
  forged.produced(64n);
  assert.equal(read(), 1);
  assert.equal(forged.announced(), 16n);
  assert.equal(read(), 0);
  forged.header(16, 20);
  assert.equal(read(), 2);
  assert.deepEqual(lengths, [5, 20, 7]);
  assert.equal(forged.announced(), 64n);
});

test('positions are 64 bits wide', t => {
  const start = 2n ** 52n + 4096n - 32n;
  const forged = forge(t, 4096, start);
  const ring = new RingBuffer(forged.handle);
  t.after(() => ring.close());
  for (const at of [4064, 4080, 0]) forged.header(at, 8);
  forged.produced(start + 48n);
  const offsets: number[] = [];
  assert.equal(
    ring.drain((_, offset) => void offsets.push(offset)),
    3,
  );
  assert.deepEqual(offsets, [4072, 4088, 8]);
  assert.equal(forged.announced(), start + 48n);
});

test('another kind of map is refused', t => {
  assert.throws(() => new RingBuffer(loadSample(t).map('flows')), /flows is not a ring buffer/);
  const events = loadSample(t).map('events');
  assert.throws(
    () => new RingBuffer({ ...events, maxEntries: 12_288 }),
    /12288 bytes; it must be a power of two/,
  );
  assert.throws(() => new RingBuffer({ ...events, maxEntries: 1 << 30 }), {
    name: 'DataplaneError',
    message: /cannot map .* of ring buffer events/,
  });
});
