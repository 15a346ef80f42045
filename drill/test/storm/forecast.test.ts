import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { pointsOfLetters } from '@resplice/engines';
import { forecast } from '../../src/storm/weather.ts';

const backends = ['backend-1', 'backend-2'];

function gusts(seed: number, count: number) {
  const next = forecast(seed, backends);
  return Array.from({ length: count }, () => next());
}

suite('what a storm does', () => {
  test('follows from its seed', () => {
    assert.deepEqual(gusts(7, 40), gusts(7, 40));
    assert.notDeepEqual(gusts(7, 40), gusts(8, 40));
  });

  test('is aimed at every point equally often, whatever the seed', () => {
    for (let seed = 0; seed < 50; seed++) {
      const counts = pointsOfLetters.map(
        point => gusts(seed, 200).filter(gust => gust.point === point).length,
      );
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${seed}: ${counts}`);
      assert.ok(Math.min(...counts) >= 10, `${seed}: ${counts}`);
    }
  });

  test('is each kind of fault at each back end, and never a cut at a point', () => {
    const all = gusts(1, 200);
    const kinds = new Set(all.map(({ kind, target, point }) => `${kind} ${target} ${point !== null}`));
    for (const target of backends) {
      for (const kind of ['crash', 'freeze']) {
        assert.ok(kinds.has(`${kind} ${target} true`));
        assert.ok(kinds.has(`${kind} ${target} false`));
      }
      assert.ok(kinds.has(`cut ${target} false`));
      assert.ok(!kinds.has(`cut ${target} true`));
    }
  });
});
