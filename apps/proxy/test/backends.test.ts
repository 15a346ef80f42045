import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Backends } from '../src/backends.ts';

let backends: Backends;

beforeEach(() => {
  backends = new Backends(
    [1, 2, 3].map(id => ({ name: `backend-${id}`, id, address: `10.64.0.1${id}`, port: 8080 })),
  );
  for (const backend of backends.all) backend.up = true;
});

const chosen = (...tried: number[]) => backends.choose(new Set(tried.map(id => backends.byId(id)!)))?.id;

test('the least loaded is chosen', () => {
  for (const [id, active] of [
    [1, 5],
    [2, 3],
    [3, 4],
  ] as const) {
    backends.byId(id)!.active = active;
  }
  assert.deepEqual([chosen(), chosen(2), chosen(2, 3), chosen(1, 2, 3)], [2, 3, 1, undefined]);
});

test('equals take turns', () => {
  assert.deepEqual(new Set([chosen(), chosen(), chosen()]), new Set([1, 2, 3]));
});

test('who is down comes last, but before a refusal', () => {
  backends.byId(1)!.up = false;
  backends.byId(2)!.active = 100;
  backends.byId(3)!.active = 200;
  assert.deepEqual([chosen(), chosen(2), chosen(2, 3)], [2, 3, 1]);
});
