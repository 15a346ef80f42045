import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { randomFrom, shuffled } from '../src/shuffle.ts';
import { median, pairwise, quantile, spread } from '../src/statistics.ts';

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

  test('pairs belong to the same round', () => {
    assert.deepEqual(
      pairwise([10, 200], [5, 100], (a, b) => a / b),
      [2, 2],
    );
    assert.throws(() => pairwise([1], [1, 2], a => a), /1 values cannot be paired with 2/);
  });
});

suite('the order of the arms', () => {
  const items = ['a', 'b', 'c', 'd', 'e'];

  test('is repeated by the same seed, and is another with another', () => {
    const orders = (seed: number) => {
      const random = randomFrom(seed);
      return Array.from({ length: 20 }, () => shuffled(items, random).join(''));
    };
    assert.deepEqual(orders(7), orders(7));
    assert.notDeepEqual(orders(7), orders(8));
  });

  test('holds everybody once and favours nobody', () => {
    const random = randomFrom(1);
    const firsts = new Map<string, number>();
    for (let i = 0; i < 5000; i++) {
      const order = shuffled(items, random);
      assert.deepEqual([...order].sort(), items);
      firsts.set(order[0]!, (firsts.get(order[0]!) ?? 0) + 1);
    }
    for (const count of firsts.values()) assert.ok(count > 850 && count < 1150, String(count));
  });
});
