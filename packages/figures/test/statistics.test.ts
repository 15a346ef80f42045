import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { median, medianInterval, quantile, spread } from '../src/index.ts';

suite('statistics', () => {
  test('quantiles lie between the values, whatever their order', () => {
    const values = [40, 10, 30, 20];
    assert.equal(median(values), 25);
    assert.equal(quantile(values, 0), 10);
    assert.equal(quantile(values, 1), 40);
    assert.equal(quantile(values, 0.75), 32.5);
    assert.deepEqual(values, [40, 10, 30, 20], 'left as they were');
    assert.equal(median([7]), 7);
    assert.throws(() => median([]), RangeError);
  });

  test('a spread has the middle and both ends', () => {
    assert.deepEqual(spread([3, 1, 2]), { median: 2, low: 1, high: 3 });
  });

  test('an interval of the median has 95 % confidence, or is none', () => {
    const upTo = (count: number) => Array.from({ length: count }, (_, i) => count - i);
    // Of the sign test's tables: n and the k-th values from both ends.
    for (const [count, k] of [
      [6, 1],
      [8, 1],
      [9, 2],
      [10, 2],
      [20, 6],
      [50, 18],
    ] as const) {
      assert.deepEqual(medianInterval(upTo(count)), { low: k, high: count + 1 - k }, String(count));
    }
    assert.equal(medianInterval(upTo(5)), null);
    assert.equal(medianInterval([]), null);
  });
});
