import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK, RecordPool } from '../../src/http/record-pool.ts';
import { RECORD_LIMIT, ResponseRecord } from '../../src/http/response-record.ts';

/** Every position has another neighbourhood. */
const bytesOf = (length: number) =>
  Buffer.from(Uint32Array.from({ length: length / 4 + 1 }, (_, i) => i * 2654435761).buffer, 0, length);
const LONG = bytesOf(3 * RECORD_LIMIT);

function recordOf(pool = new RecordPool(2 ** 30)) {
  const record = new ResponseRecord(pool);
  return { pool, record, kept: () => Buffer.from(record.bytes(0, record.length)) };
}

test('what is appended is kept in its order, up to the limit', () => {
  const { record, kept } = recordOf();
  for (let at = 0; at < LONG.length; at += 1460) {
    assert.ok(record.append(at, LONG, at, Math.min(at + 1460, LONG.length)));
  }
  assert.equal(record.length, RECORD_LIMIT);
  assert.ok(record.isFull && !record.isWhole);
  assert.deepEqual(kept(), LONG.subarray(0, RECORD_LIMIT));
});

test('appended bytes are copied', () => {
  const { record, kept } = recordOf();
  const ring = Buffer.from('--HTTP--');
  record.append(0, ring, 2, 6);
  ring.fill('x');
  assert.equal(kept().toString(), 'HTTP');
});

test('duplicates and overlaps add only what is new, gaps nothing', () => {
  const { record, kept } = recordOf();
  assert.equal(record.append(1, LONG, 1, 10), false);
  assert.equal(record.length, 0);
  assert.equal(record.append(0, LONG, 0, 10), true);
  assert.equal(record.append(0, LONG, 0, 10), true);
  assert.equal(record.append(3, LONG, 3, 7), true);
  assert.equal(record.append(5, LONG, 5, 20), true);
  assert.equal(record.append(21, LONG, 21, 30), false);
  assert.equal(record.append(20, LONG, 20, 20), true);
  assert.deepEqual(kept(), LONG.subarray(0, 20));
});

test('pieces in any order make the record that their union allows', () => {
  const piece = fc.tuple(fc.nat(3 * BLOCK), fc.nat(2 * BLOCK));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), pieces => {
      const { record, kept } = recordOf();
      let length = 0;
      for (const [offset, size] of pieces) {
        const fits = offset <= length;
        assert.equal(record.append(offset, LONG, offset, offset + size), fits);
        if (fits) length = Math.max(length, offset + size);
        assert.equal(record.length, length);
      }
      assert.deepEqual(kept(), LONG.subarray(0, length));
      const [from, to] = [Math.floor(length / 3), Math.floor(length / 2)];
      assert.deepEqual(Buffer.from(record.bytes(from, to)), LONG.subarray(from, to));
    }),
  );
});

test('a response is whole once it has ended within the record', () => {
  const { record, kept } = recordOf();
  record.append(0, LONG, 0, 100);
  assert.ok(!record.isWhole);
  record.end(150);
  assert.ok(!record.isWhole && !record.isFull);
  record.append(100, LONG, 100, 200);
  assert.ok(record.isWhole && record.isFull);
  assert.deepEqual(kept(), LONG.subarray(0, 150), 'what follows is another response');
  assert.throws(() => record.end(149), /149 bytes, of which 150 are kept/);

  const { record: full } = recordOf();
  full.append(0, LONG, 0, RECORD_LIMIT);
  full.end(RECORD_LIMIT + 1);
  assert.ok(!full.isWhole);
  full.end(RECORD_LIMIT);
  assert.ok(full.isWhole);
});

test('only what is kept can be had', () => {
  const { record } = recordOf();
  record.append(0, LONG, 0, 10);
  assert.throws(() => record.bytes(0, 11), RangeError);
  assert.throws(() => record.bytes(-1, 5), RangeError);
  assert.throws(() => record.bytes(6, 5), RangeError);
  assert.equal(record.bytes(10, 10).length, 0);
});

test('a released record gives its memory back and serves the next response', () => {
  const { pool, record, kept } = recordOf(new RecordPool(RECORD_LIMIT));
  record.append(0, LONG, 0, RECORD_LIMIT);
  record.end(RECORD_LIMIT);
  assert.equal(pool.used, RECORD_LIMIT);
  record.release();
  assert.equal(pool.used, 0);
  assert.deepEqual([record.length, record.isFull, record.isWhole], [0, false, false]);
  const { record: other, kept: keptOther } = recordOf(pool);
  record.append(0, LONG, 4, 3 * BLOCK);
  other.append(0, LONG, 8, 3 * BLOCK);
  assert.deepEqual(kept(), LONG.subarray(4, 3 * BLOCK));
  assert.deepEqual(keptOther(), LONG.subarray(8, 3 * BLOCK));
});

test('when the pool is used up a record ends where it is, for good', () => {
  const { pool, record, kept } = recordOf(new RecordPool(3 * BLOCK + 1));
  assert.equal(pool.limit, 3 * BLOCK);
  const { record: other } = recordOf(pool);
  other.append(0, LONG, 0, 1);
  assert.ok(record.append(0, LONG, 0, 2 * BLOCK + 5));
  assert.ok(record.isFull);
  other.release();
  assert.ok(
    record.append(2 * BLOCK + 5, LONG, 2 * BLOCK + 5, 3 * BLOCK),
    'no gap that its owner could close',
  );
  assert.deepEqual(kept(), LONG.subarray(0, 2 * BLOCK));
  record.release();
  assert.equal(pool.used, 0);
  record.append(0, LONG, 0, 3 * BLOCK);
  assert.equal(record.length, 3 * BLOCK);
});

test('a pool hands out each block to one at a time, over many slabs', () => {
  const pool = new RecordPool(3000 * BLOCK);
  const taken = new Set<number>();
  for (let block = pool.take(); block >= 0; block = pool.take()) {
    taken.add(block);
    pool.slabOf(block).writeUInt32LE(block, pool.placeOf(block));
  }
  assert.equal(taken.size, 3000);
  for (const block of taken) assert.equal(pool.slabOf(block).readUInt32LE(pool.placeOf(block)), block);
  for (const block of taken) pool.give(block);
  assert.equal(pool.used, 0);
  const again = new Set(Array.from(taken, () => pool.take()));
  assert.deepEqual(again, taken);
  assert.equal(pool.take(), -1);
});
