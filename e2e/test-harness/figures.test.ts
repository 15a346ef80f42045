import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCapture } from '../fixtures/capture.ts';
import { table } from '../fixtures/figures.ts';
import { StallClock } from '../fixtures/stall-clock.ts';

test('the table shows median and largest of each cell, and cells without a run', () => {
  const rows = [
    { cell: 'crash, idle', values: [10, 300, 20], verdict: 'pass' },
    { cell: 'cut', values: [], verdict: 'fail' },
  ];
  assert.deepEqual(table('added stall', rows).split('\n'), [
    'added stall  runs  p50 ms  max ms  verdict',
    'crash, idle     3      20     300  pass',
    'cut             0       –       –  fail',
  ]);
});

test('the stall clock finds the longest gap, forgives pauses, and counts the last interval', () => {
  const clock = new StallClock(1000);
  clock.progress(1010, 5);
  clock.progress(1060, 5);
  assert.deepEqual([clock.longestMs, clock.stallAt], [50, 1010]);
  clock.pause(1070);
  clock.resume(2000);
  clock.progress(2030, 1);
  assert.equal(clock.longestMs, 50, 'a pause of 930 ms is forgiven');
  clock.finish(2110);
  assert.deepEqual([clock.longestMs, clock.stallAt], [80, 2030]);
  assert.deepEqual(clock.timeline, [
    [1010, 5],
    [1060, 10],
    [2030, 11],
  ]);
});

test('a capture file is read, and a record that is not complete yet is left out', () => {
  const payload = Buffer.from('hello');
  const udp = Buffer.from([0x1b, 0x58, 0x1b, 0x59, 0, 8 + payload.length, 0, 0, ...payload]);
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip.set([10, 0, 0, 1, 10, 0, 0, 2], 12);
  const frame = Buffer.concat([Buffer.alloc(14), ip, udp]);
  const record = Buffer.alloc(16);
  record.writeUInt32LE(frame.length, 8);
  const file = Buffer.concat([Buffer.alloc(24), record, frame, record, frame.subarray(0, 20)]);
  assert.deepEqual(readCapture(file), [
    { source: '10.0.0.1', destination: '10.0.0.2', destinationPort: 7001, payload },
  ]);
});
