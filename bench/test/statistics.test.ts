import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pairwise } from '../src/statistics.ts';

test('pairs belong to the same round', () => {
  assert.deepEqual(
    pairwise([10, 200], [5, 100], (a, b) => a / b),
    [2, 2],
  );
  assert.throws(() => pairwise([1], [1, 2], a => a), /1 values cannot be paired with 2/);
});
