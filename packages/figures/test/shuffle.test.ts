import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { randomFrom, shuffled } from '../src/index.ts';

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
