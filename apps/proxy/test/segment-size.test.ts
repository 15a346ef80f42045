import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SegmentSize } from '../src/segment-size.ts';

// `lo` has 65,536 bytes everywhere.
test('the narrowest link decides, be it configured or looked at', () => {
  const size = new SegmentSize(['lo'], 1500);
  assert.equal(size.bytes, 1460);
  assert.equal(size.look(), false);
  assert.equal(new SegmentSize([], 576).bytes, 536);
});

test('while a device is missing the size stays', () => {
  const size = new SegmentSize(['lo', 'nowhere'], 1400);
  assert.throws(() => size.look(), /nowhere/);
  assert.equal(size.bytes, 1360);
});
