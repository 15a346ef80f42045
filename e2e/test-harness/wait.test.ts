import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor, within } from '../fixtures/wait.ts';

test('a condition that never holds fails with its name and the last error', async () => {
  const error = await waitFor('pigs to fly', 60, () => {
    throw new Error('no wings');
  }).catch(error => error);
  assert.match(error.message, /waited 60 ms in vain for pigs to fly/);
  assert.equal(error.cause.message, 'no wings');
});

test('the value of the condition is the result', async () => {
  let looked = 0;
  assert.equal(await waitFor('the third look', 1000, () => (++looked === 3 ? 'there' : undefined)), 'there');
});

test('a promise that never settles fails with its name', async () => {
  await assert.rejects(within('Godot', 30, new Promise(() => {})), /waited 30 ms in vain for Godot/);
  assert.equal(await within('the obvious', 1000, Promise.resolve(4)), 4);
});
