import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Evidence, judge, judgeCell, type Outcome, overall } from '../src/verdict.ts';

const good: Evidence = {
  missed: null,
  outcome: { kind: 'answered', status: 200, wrong: null },
  afterwards: null,
  executions: 1,
};
const refusal = (status: number): Outcome => ({ kind: 'answered', status, wrong: `status: ${status}` });
const broken = (failure: 'reset' | 'truncated' | 'closed' | 'deadline'): Outcome => ({
  kind: 'broken',
  failure,
  message: 'so',
});
const kinds = ['transparent', 'refused', 'reset'] as const;

suite('one run', () => {
  const verdicts = (evidence: Partial<Evidence>) =>
    kinds.map(kind => judge(kind, 'update', { ...good, ...evidence }).verdict);

  test('that nobody noticed keeps every promise', () => {
    assert.deepEqual(verdicts({}), ['pass', 'pass', 'pass']);
    assert.equal(judge('transparent', 'update', good).reason, null);
  });

  test('without its fault is inconclusive, however it went', () => {
    for (const outcome of [good.outcome, broken('reset')]) {
      const evidence = { ...good, outcome, missed: 'too late' };
      assert.deepEqual(judge('reset', 'read', evidence), { verdict: 'inconclusive', reason: 'too late' });
    }
  });

  test('with a 502 or 503 on the open connection keeps only the promise of a refusal', () => {
    for (const status of [502, 503]) {
      assert.deepEqual(verdicts({ outcome: refusal(status), executions: 0 }), ['fail', 'pass', 'fail']);
      assert.deepEqual(verdicts({ outcome: refusal(status), executions: 1 }), ['fail', 'pass', 'fail']);
    }
    assert.deepEqual(verdicts({ outcome: refusal(504) }), ['fail', 'fail', 'fail']);
    assert.deepEqual(verdicts({ outcome: refusal(502), afterwards: 'closed' }), ['fail', 'fail', 'fail']);
  });

  test('with a reset is honest only where nothing else is', () => {
    assert.deepEqual(verdicts({ outcome: broken('reset') }), ['fail', 'fail', 'pass']);
    for (const failure of ['truncated', 'closed', 'deadline'] as const) {
      assert.deepEqual(verdicts({ outcome: broken(failure) }), ['fail', 'fail', 'fail'], failure);
    }
  });

  test('that executed twice fails, whatever the client was told', () => {
    for (const outcome of [good.outcome, refusal(502), broken('reset')]) {
      assert.deepEqual(verdicts({ outcome, executions: 2 }), ['fail', 'fail', 'fail']);
    }
    assert.match(judge('transparent', 'update', { ...good, executions: 2 }).reason!, /^executed 2 times/);
  });

  test('that was answered without being executed fails; a read is not counted', () => {
    assert.deepEqual(verdicts({ executions: 0 }), ['fail', 'fail', 'fail']);
    assert.equal(judge('transparent', 'read', { ...good, executions: null }).verdict, 'pass');
  });

  test('with a wrong answer, or a connection of no more use, fails and says so', () => {
    const wrong = { ...good, outcome: { ...good.outcome, wrong: 'byte 7 is wrong' } as Outcome };
    assert.deepEqual(judge('transparent', 'read', wrong), { verdict: 'fail', reason: 'byte 7 is wrong' });
    const dead = { ...good, afterwards: 'closed' };
    assert.deepEqual(judge('transparent', 'read', dead), { verdict: 'fail', reason: 'closed' });
  });
});

suite('a cell', () => {
  const promised = { kind: 'transparent', barMs: 100 } as const;
  const run = (verdict: 'pass' | 'fail' | 'inconclusive') => ({ verdict, reason: verdict });

  test('fails if one run does, else it is inconclusive if one is', () => {
    const all = [run('pass'), run('inconclusive'), run('fail')];
    assert.equal(judgeCell(promised, all, [1]).verdict, 'fail');
    assert.equal(judgeCell(promised, all.slice(0, 2), [1]).verdict, 'inconclusive');
    assert.equal(judgeCell(promised, all.slice(0, 1), [1]).verdict, 'pass');
  });

  test('is held to its bar by the median of five runs; fewer may meet a doubled time-out', () => {
    const runs = Array.from({ length: 5 }, () => run('pass'));
    assert.equal(judgeCell(promised, runs, [90, 900, 90, 900, 100]).verdict, 'pass');
    assert.equal(judgeCell(promised, runs, [90, 900, 90, 900, 101]).verdict, 'fail');
    assert.equal(judgeCell(promised, runs.slice(0, 1), [200]).verdict, 'pass');
    assert.match(judgeCell(promised, runs.slice(0, 1), [201]).reason!, /201 ms, at most 200 ms/);
    assert.equal(judgeCell({ kind: 'transparent', barMs: null }, runs, [9999]).verdict, 'pass');
  });
});

test('a whole run fails by one cell, and proves nothing without one that passed', () => {
  assert.equal(overall(['pass', 'fail', 'inconclusive']), 'fail');
  assert.equal(overall(['pass', 'inconclusive']), 'inconclusive');
  assert.equal(overall(['pass', 'not applicable']), 'pass');
  assert.equal(overall(['not applicable']), 'inconclusive');
});
