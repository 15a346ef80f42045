import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allowance } from '../src/allowance.ts';

function takeAll(allowance: Allowance): number {
  let taken = 0;
  while (allowance.take()) taken++;
  return taken;
}

test('a burst at once, then as many as have been earned', () => {
  let now = 5000;
  const allowance = new Allowance(100, 20, () => now);
  assert.equal(takeAll(allowance), 20);
  now += 9;
  assert.equal(takeAll(allowance), 0);
  now += 1;
  assert.equal(takeAll(allowance), 1);
  now += 50;
  assert.equal(takeAll(allowance), 5);
  now += 3_600_000;
  assert.equal(takeAll(allowance), 20, 'nobody saves up more than a burst');
});
