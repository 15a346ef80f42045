import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { add, after, before, distance, inWindow, sub } from '../src/index.ts';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
/** Less than half of the number space: where comparisons are defined. */
const step = fc.integer({ min: 1, max: 0x7fffffff });

test('numbers wrap around', () => {
  assert.equal(add(0xffffffff, 1), 0);
  assert.equal(sub(0, 1), 0xffffffff);
  assert.equal(distance(5, 0xfffffffb), 10);
  assert.equal(distance(0xfffffffb, 5), -10);
  assert.ok(before(0xffffffff, 0) && after(0, 0xffffffff));
  assert.ok(inWindow(2, 0xfffffffe, 5) && !inWindow(3, 0xfffffffe, 5));
  assert.ok(!inWindow(7, 7, 0) && inWindow(7, 7, 1));
});

test('add and sub are inverse and stay unsigned', () => {
  fc.assert(
    fc.property(u32, u32, (a, b) => {
      assert.equal(sub(add(a, b), b), a);
      assert.equal(add(a, b), Number((BigInt(a) + BigInt(b)) % 2n ** 32n));
    }),
  );
});

test('order is kept wherever on the circle the numbers lie', () => {
  fc.assert(
    fc.property(u32, step, (a, n) => {
      const later = add(a, n);
      assert.ok(before(a, later) && after(later, a));
      assert.ok(!before(later, a) && !after(a, later) && !before(a, a) && !after(a, a));
      assert.equal(distance(later, a), n);
      assert.equal(distance(a, later), -n);
    }),
  );
});

test('a window holds exactly its numbers', () => {
  fc.assert(
    fc.property(u32, u32, u32, (start, size, offset) => {
      assert.equal(inWindow(add(start, offset), start, size), offset < size);
    }),
  );
});
