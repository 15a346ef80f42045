import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { median, quantile, spread } from '../src/index.ts';

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
});
