import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Insistence } from '../src/insistence.ts';

test('the third time in a row is too often, for each connection by itself', () => {
  const insistence = new Insistence();
  const answers = ['a 1', 'b 1', 'a 1', 'b 2', 'a 1', 'b 2', 'b 2', 'a 1'].map((segment, i) => {
    const [key, sequence] = segment.split(' ');
    return insistence.insists(key!, Number(sequence), i);
  });
  assert.deepEqual(answers, [false, false, false, false, true, false, true, false]);
});

test('times that are longer apart than ten seconds are not counted together', () => {
  const insistence = new Insistence();
  const at = (ms: number): boolean => {
    insistence.expire(ms);
    return insistence.insists('a', 1, ms);
  };
  assert.deepEqual([0, 9_000, 20_000, 29_000, 38_000].map(at), [false, false, false, false, true]);
});
