import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { commandOf, full, planOf, quick, scaleOf, secondsLeft, withLinks } from '../../src/paper/plan.ts';
import { keyOf } from '../../src/paper/run.ts';

suite('the plan of runs', () => {
  const options = { ...full, seed: 4_000_000_001 };
  const plan = planOf(options);

  test('every cell as often as is wanted, on the slowest link once', () => {
    const cells = 2 * 2 * 5 * 2;
    assert.equal(plan.length, cells * (5 + 5 + 5 + 1));
    assert.equal(new Set(plan.map(keyOf)).size, plan.length);
    assert.equal(plan.filter(({ link }) => link === 'wan-in').length, cells);
    assert.equal(scaleOf(options, 'wan-in'), 0.2);
    assert.equal(scaleOf(options, 'wan-sg'), 1);
    assert.equal(scaleOf({ ...options, scale: 0.1 }, 'wan-in'), 0.1);
  });

  test('architectures follow one another, in either order', () => {
    const pairs = plan.flatMap((key, index) => (index % 2 === 0 ? [[key, plan[index + 1]!] as const] : []));
    for (const [one, other] of pairs) {
      assert.equal(keyOf({ ...one, architecture: 'ours' }), keyOf({ ...other, architecture: 'ours' }));
      assert.notEqual(one.architecture, other.architecture);
    }
    const first = pairs.filter(([one]) => one.architecture === 'ours').length / pairs.length;
    assert.ok(first > 0.35 && first < 0.65, String(first));
  });

  test('a seed repeats the order, another one has another', () => {
    assert.deepEqual(planOf(options), plan);
    assert.notDeepEqual(planOf({ ...options, seed: 2 }), plan);
  });

  test('the order on a link does not depend on which others there are', () => {
    const alone = planOf({ ...options, links: ['wan-sg'] });
    assert.deepEqual(
      plan.filter(({ link }) => link === 'wan-sg'),
      alone,
    );
    assert.deepEqual(withLinks({ ...options, links: ['wan-sg'] }, ['lan-paper', 'wan-sg']).links, [
      'lan-paper',
      'wan-sg',
    ]);
  });

  test('the command makes the same plan again', () => {
    assert.equal(commandOf(options), './resplice drill paper --full --seed 4000000001');
    const some = {
      ...quick,
      clients: ['chromium'],
      links: ['wan-mit', 'wan-in'],
      repeat: 2,
      scale: 0.1,
      seed: 3,
    } as const;
    assert.equal(
      commandOf(some),
      './resplice drill paper --client chromium --links wan-mit,wan-in --scale 0.1 --repeat 2 --seed 3',
    );
  });

  test('time left: the paper’s own, and then as the runs so far kept to it', () => {
    const small = { ...quick, seed: 1 };
    const keys = planOf(small);
    const guessed = secondsLeft(keys, [], 0, small);
    assert.ok(guessed > 60 && guessed < 600, String(guessed));
    const lan = keys.filter(({ link }) => link === 'lan-paper');
    const [done, rest] = [lan.slice(0, 12), lan.slice(12)];
    // Of a link that is there already: nothing for bringing it up.
    const guess = (some: typeof keys): number => secondsLeft(some, [lan[0]!], 0, small);
    assert.ok(Math.abs(secondsLeft(rest, done, 2 * guess(done), small) - 2 * guess(rest)) < 1e-6);
    assert.ok(secondsLeft(keys.slice(12), done, 0, small) > guess(rest) + guess(keys.slice(24)) - 1e-6);
  });
});
