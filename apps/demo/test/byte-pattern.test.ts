import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  BLOCK_BYTES,
  firstDifference,
  HUNDRED_MB,
  HUNDRED_MB_SHA256,
  PatternStream,
  patternBlock,
  patternSlice,
} from '../src/byte-pattern.ts';

function bytes(offset: number, length: number): Buffer {
  const parts: Buffer[] = [];
  for (let done = 0; done < length; ) {
    const slice = patternSlice(offset + done, length - done);
    parts.push(slice);
    done += slice.length;
  }
  return Buffer.concat(parts);
}

test('a byte depends on its offset alone, wherever reading starts', () => {
  const whole = bytes(0, 3 * BLOCK_BYTES);
  for (const [offset, length] of [
    [0, 1],
    [BLOCK_BYTES - 1, 2],
    [12_345, BLOCK_BYTES * 2],
    [BLOCK_BYTES * 3 - 7, 7],
  ] as const) {
    assert.deepEqual(bytes(offset, length), whole.subarray(offset, offset + length));
  }
});

test('a block evicted from the cache is made the same again', () => {
  const before = createHash('sha256').update(patternBlock(3)).digest('hex');
  for (let i = 100; i < 140; i++) patternBlock(i);
  assert.equal(createHash('sha256').update(patternBlock(3)).digest('hex'), before);
});

test('no block equals another, and none is a shifted one', () => {
  const seen = new Set(Array.from({ length: 1024 }, (_, i) => patternBlock(i).readInt32LE(0)));
  assert.equal(seen.size, 1024);
  const long = bytes(0, 2 * BLOCK_BYTES);
  for (const shift of [1, 3, 4, 64, 1448, 4096, 65_536, BLOCK_BYTES]) {
    const length = 64;
    assert.notDeepEqual(long.subarray(shift, shift + length), long.subarray(0, length), `shift ${shift}`);
  }
});

test('firstDifference names the very byte', () => {
  const copy = Buffer.from(bytes(500_000, BLOCK_BYTES * 2));
  assert.equal(firstDifference(copy, 500_000), -1);
  assert.equal(firstDifference(copy.subarray(1), 500_000), 0, 'a lost byte');
  copy[BLOCK_BYTES + 99]! ^= 1;
  assert.equal(firstDifference(copy, 500_000), BLOCK_BYTES + 99);
});

test('the published hash is that of the first 100,000,000 bytes', async () => {
  const hash = createHash('sha256');
  for await (const chunk of new PatternStream(0, HUNDRED_MB)) hash.update(chunk);
  assert.equal(hash.digest('hex'), HUNDRED_MB_SHA256);
});

test('generation is faster than 500 MB/s of one core', () => {
  const before = process.cpuUsage();
  for (let i = 0; i < 256; i++) patternBlock(2000 + i);
  const { user, system } = process.cpuUsage(before);
  assert.ok((256 * BLOCK_BYTES) / (user + system) > 500, `${(256 * BLOCK_BYTES) / (user + system)} MB/s`);
});
