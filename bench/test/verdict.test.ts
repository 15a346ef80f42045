import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { addedToForward, gates, ratioToForward, verdictOf } from '../src/verdict.ts';
import { FAILOVER, GOOD, madeUpRun } from './fixture.ts';

function outcome(factors: Record<string, number>) {
  return verdictOf(madeUpRun({ ...GOOD, ...factors })).outcome;
}

suite('the verdict', () => {
  test('passes when every gate is reached', () => {
    assert.equal(outcome({}), 'pass');
  });

  for (const [what, factors] of [
    ['fewer requests than 0.9 of forwarding by the splice', { 'requests.rate.splice': 0.89 }],
    ['fewer than 0.75 with the logger', { 'requests.rate.resplice': 0.74 }],
    ['more CPU per request', { 'requests.cpu.splice': 1.13 }],
    ['fewer requests than HAProxy', { 'requests.rate.haproxy': 1.01 }],
    ['a slower download', { 'bulk.rate.splice': 0.89 }],
    ['a slower download with the logger', { 'bulk.rate.resplice': 0.84 }],
    ['more CPU per GB', { 'bulk.cpu.splice': 1.2 }],
    ['less than three times HAProxy in bulk', { 'bulk.rate.haproxy': 0.34 }],
    ['slower parallel downloads', { 'bulk16.rate.resplice': 0.5 }],
    ['slow uploads', { 'upload.rate.resplice': 0.59 }],
    ['too much JavaScript', { 'requests.loggerUser.resplice': 5.1 }],
    ['dropped packets of downloads', { 'bulk16.drops.resplice': 1 }],
    ['requests that nobody logged', { 'requests.unprotected.resplice': 1 }],
  ] as const) {
    test(`fails for ${what}`, () => assert.equal(outcome(factors), 'fail'));
  }

  test('an aim that is not reached is told and decides nothing', () => {
    const verdict = verdictOf(madeUpRun({ ...GOOD, 'connections.rate.splice': 0.5 }));
    assert.equal(verdict.outcome, 'pass');
    assert.deepEqual(
      verdict.gates.filter(each => !each.passed).map(({ kind, measurement }) => [kind, measurement]),
      [['aim', 'connections']],
    );
  });

  test('a run that has not measured the splice alone is judged by the rest', () => {
    const { samples, ...run } = madeUpRun({ ...GOOD, 'bulk.rate.splice': 0.1 });
    const without = Object.entries(samples).map(([name, { splice: _, ...columns }]) => [name, columns]);
    const verdict = verdictOf({ ...run, samples: Object.fromEntries(without) });
    assert.equal(verdict.outcome, 'pass');
    assert.ok(verdict.gates.length > 0 && verdict.gates.every(({ own }) => own === undefined));
  });

  test('one round with a loss is one too many', () => {
    const run = madeUpRun(GOOD);
    const columns = run.samples.bulk!;
    const resplice = { ...columns.resplice, drops: [0, 0, 2] };
    const samples = { ...run.samples, bulk: { ...columns, resplice } };
    const verdict = verdictOf({ ...run, samples });
    assert.deepEqual(
      verdict.gates.filter(each => !each.passed).map(({ quantity, value }) => [quantity, value.high]),
      [['drops', 2]],
    );
    assert.equal(verdict.outcome, 'fail');
  });

  test('a failover that is too slow, or was noticed, is a gate that was missed', () => {
    const run = madeUpRun(GOOD);
    assert.equal(verdictOf({ ...run, failovers: [FAILOVER] }).outcome, 'pass');
    for (const verdict of ['fail', 'inconclusive'] as const) {
      const bad = { ...FAILOVER, verdict, reason: 'added stall 60 ms' };
      const { outcome, broken } = verdictOf({ ...run, failovers: [FAILOVER, bad] });
      assert.deepEqual([outcome, broken], ['fail', [bad]]);
    }
  });

  test('uploads may lose packets: they are told, and come again', () => {
    assert.equal(outcome({ 'upload.drops.resplice': 7 }), 'pass');
  });

  test('is void when forwarding differs from itself, even if a gate is missed', () => {
    for (const ratio of [0.94, 1.06, Number.NaN]) {
      assert.equal(outcome({ 'requests.rate.control': ratio, 'bulk.rate.resplice': 0.1 }), 'void');
    }
    assert.equal(outcome({ 'requests.rate.control': 1.04 }), 'pass');
    assert.equal(outcome({ 'bulk.cpu.control': 0.9 }), 'void');
    // Nobody judges latency.
    assert.equal(outcome({ 'latency.p50.control': 2 }), 'pass');
  });

  test('is void when requests failed', () => {
    const run = madeUpRun(GOOD);
    const columns = run.samples.requests!;
    const samples = {
      ...run.samples,
      requests: { ...columns, nginx: { ...columns.nginx, errors: [0.002, 0.002, 0] } },
    };
    const verdict = verdictOf({ ...run, samples });
    assert.equal(verdict.outcome, 'void');
    assert.deepEqual(verdict.failures, ['requests, nginx: 0.20 % of the requests failed']);
  });

  test('compares within a round, with the mean of both runs of forwarding', () => {
    const run = madeUpRun({ 'bulk.rate.resplice': 0.95, 'bulk.rate.control': 1.1, 'latency.p50.nginx': 3 });
    const { median, low, high } = ratioToForward(run, 'bulk', 'rate', 'resplice');
    for (const value of [median, low, high]) assert.ok(Math.abs(value - 0.95 / 1.05) < 1e-9);
    assert.deepEqual(addedToForward(run, 'latency', 'p50', 'nginx'), { median: 4000, low: 2000, high: 6000 });
  });

  test('every gate has a bound, and names values that exist', () => {
    for (const gate of gates) assert.ok(gate.least !== undefined || gate.most !== undefined);
    assert.equal(verdictOf(madeUpRun()).gates.length, gates.length);
  });
});
