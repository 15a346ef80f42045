import assert from 'node:assert/strict';
import { test } from 'node:test';
import { epochClock, epochMs } from '../src/clock.ts';

test('fractions are the process’s own, and when the wall clock is set, that is followed', () => {
  let [wall, elapsed] = [1_000_000, 500.25];
  const now = epochClock(
    () => Math.floor(wall),
    () => elapsed,
  );
  const pass = (ms: number) => {
    wall += ms;
    elapsed += ms;
  };
  assert.equal(now(), 1_000_000);
  pass(0.5);
  assert.equal(now(), 1_000_000.5);
  pass(1000);
  wall += 28_000;
  assert.equal(now(), 1_029_000);
  pass(0.25);
  assert.equal(now(), 1_029_000.25);
  wall -= 3_600_000;
  assert.equal(now(), wall - 0.75);
});

test('it is the time of day', () => {
  const before = Date.now();
  const now = epochMs();
  assert.ok(now > before - 20 && now < Date.now() + 20, `${now}`);
});
