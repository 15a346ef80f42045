/** `./resplice drill storm`: letters through the webmail while back ends fail, and what scripts get to read of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StormResult } from '@resplice/drill';
import { resplice } from './fixtures/lab.ts';
import { assertNothingLeft } from './fixtures/remains.ts';

const TIMEOUT = { timeout: 300_000 };
const USAGE = 64;
const codes = { pass: 0, fail: 1, inconclusive: 2 } as const;

async function storm(
  ...argv: string[]
): Promise<{ code: number | null; result: StormResult; stderr: string }> {
  const { code, stdout, stderr } = await resplice(['drill', 'storm', '--json', ...argv], {
    deadlineMs: 280_000,
  });
  assert.ok(stdout.startsWith('{'), stderr);
  return { code, result: JSON.parse(stdout), stderr };
}

test(
  'no letter is lost and none comes twice, every page comes, and nobody is logged out',
  TIMEOUT,
  async () => {
    const { code, result, stderr } = await storm('--sends', '60', '--users', '6', '--seed', '7');
    const { letters, faults, points, brokenSends, pages, sessions, pending } = result;
    assert.ok(faults.length >= 2, 'the storm had faults');
    assert.ok(faults.some(({ underWay }) => underWay > 0));
    assert.deepEqual(
      { brokenSends, broken: pages.broken, pending },
      { brokenSends: [], broken: [], pending: 0 },
    );
    assert.deepEqual(letters, {
      ...{ begun: 60, confirmed: 60 },
      ...{ lost: [], twice: [], astray: [], altered: [], unkept: [], unconfirmed: [] },
    });
    assert.deepEqual(sessions, { alive: 6, logOuts: 0 });
    // So few letters do not get to every point, and then they prove nothing of those.
    const atPoints = faults.filter(({ point }) => point !== null).map(({ point }) => point);
    for (const [point, { reached }] of Object.entries(points)) {
      assert.equal(atPoints.filter(each => each === point).length, reached, point);
    }
    const verdict = Object.values(points).every(({ reached }) => reached > 0) ? 'pass' : 'inconclusive';
    assert.deepEqual([code, result.verdict], [codes[verdict], verdict]);
    assert.match(stderr, /drill storm: \w+; 60 letters, 0 lost, 0 twice, 0 pages broken.*seed 7/);
    assertNothingLeft();
  },
);

test('HAProxy in the middle: what breaks is counted', TIMEOUT, async () => {
  const { code, result } = await storm('--sends', '60', '--users', '6', '--seed', '7', '--arm', 'haproxy');
  assert.equal(result.arm, 'haproxy');
  // A letter whose form did not come was not begun.
  const { begun, confirmed } = result.letters;
  assert.equal(confirmed + result.brokenSends.length, 60);
  assert.ok(begun >= confirmed && begun <= 60, `${begun}`);
  // Whether it breaks depends on where the faults fall: what it is judged to be follows from what was counted.
  const { lost, twice, astray, altered, unkept } = result.letters;
  const wrong = [lost, twice, astray, altered, unkept, result.brokenSends, result.pages.broken].some(
    each => each.length > 0,
  );
  const { sessions, pending } = result;
  assert.equal(result.verdict === 'fail', wrong || sessions.alive < 6 || sessions.logOuts > 0 || pending > 0);
  // Letters that get error pages at once may be over before a fault meets one.
  assert.equal(code, codes[result.verdict]);
  assertNothingLeft();
});

test('options of the other drill, and people too few, are 64', async () => {
  for (const argv of [
    ['drill', 'storm', '--cells', '*'],
    ['drill', 'storm', '--repeat', '2'],
    ['drill', 'storm', '--users', '1'],
    ['drill', 'storm', '--write', '--sends', '100'],
    ['drill', 'storm', '--write', '--link', 'wan-sg'],
    ['drill', 'matrix', '--sends', '5'],
  ]) {
    const { code, stdout } = await resplice(argv);
    assert.deepEqual([code, stdout], [USAGE, ''], argv.join(' '));
  }
});
