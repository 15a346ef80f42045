import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { operations } from '../../src/kit/subject.ts';
import { kitVerdicts } from '../../src/kit/verdict.ts';
import { verdictOf } from '../../src/verdict.ts';
import { GOOD, madeUpKit, madeUpRun } from '../fixture.ts';

const still = [0, 0, 0, 0, 0, 0];

function verdictsOf(kit: Parameters<typeof kitVerdicts>[0]): Record<string, string> {
  return Object.fromEntries(
    kitVerdicts(kit).map(({ name, verdict, reason }) => [
      name,
      reason === null ? verdict : `${verdict}: ${reason}`,
    ]),
  );
}

suite('what the kit costs', () => {
  test('is within the bar when the whole interval is', () => {
    const found = kitVerdicts(madeUpKit(0.05, [-0.02, -0.01, 0, 0.01, 0.02, 0.03]));
    assert.deepEqual(
      found.map(({ verdict }) => verdict),
      operations.map(() => 'pass'),
    );
    const [read] = found;
    assert.ok(Math.abs(read!.added.median - 0.055) < 1e-9 && Math.abs(read!.interval!.high - 0.08) < 1e-9);
  });

  test('is too much for reads before it is for updates', () => {
    const found = verdictsOf(madeUpKit(1, still));
    assert.equal(found['app.read'], 'fail: more than that');
    assert.equal(found['webmail.read'], 'fail: more than that');
    assert.equal(found['app.response'], 'pass');
    assert.equal(verdictsOf(madeUpKit(3, still))['webmail.send'], 'fail: more than that');
  });

  test('is judged without what the disk takes, which is told by itself', () => {
    const kit = madeUpKit(4, still);
    const disk = { 'webmail.send': [2.5, 3, 2.5, 2.5, 3, 2.5] };
    const sends = kitVerdicts({ ...kit, disk }).find(({ name }) => name === 'webmail.send')!;
    assert.deepEqual([sends.verdict, sends.added.median, sends.disk?.median], ['pass', 4, 2.5]);
    assert.ok(Math.abs(sends.interval!.high - 1.5) < 1e-9);
    assert.equal(verdictsOf({ ...kit, disk })['app.state'], 'fail: more than that');
  });

  test('is not shown by a median within the bar whose interval is not', () => {
    const found = verdictsOf(madeUpKit(1, [0, 0, 0, 0, 0, 5]));
    assert.equal(found['app.state'], 'inconclusive: perhaps more');
  });

  test('is not shown by five rounds, nor by a machine that differs from itself by as much', () => {
    assert.equal(verdictsOf(madeUpKit(0, still.slice(1)))['app.state'], 'inconclusive: too few rounds');
    const noisy = verdictsOf(madeUpKit(0, still, 1));
    assert.equal(noisy['app.read'], 'inconclusive: the machine was not quiet');
    assert.equal(noisy['app.state'], 'pass');
  });

  test('decides like a gate', () => {
    assert.equal(verdictOf({ ...madeUpRun(GOOD), kit: madeUpKit(0.05, still) }).outcome, 'pass');
    assert.equal(verdictOf({ ...madeUpRun(GOOD), kit: madeUpKit(1, still) }).outcome, 'fail');
    assert.deepEqual(verdictOf(madeUpRun(GOOD)).kit, []);
  });
});
