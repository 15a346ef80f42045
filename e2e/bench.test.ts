/** The benchmark from end to end, as short as it gets: its shape. How fast anything is, this does not ask. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { resplice } from './fixtures/lab.ts';
import { assertNothingLeft } from './fixtures/remains.ts';

const contestants = ['forward', 'control', 'splice', 'resplice', 'haproxy', 'nginx'];
const quantities = {
  requests: ['rate', 'cpu', 'errors'],
  connections: ['rate', 'cpu', 'errors'],
  bulk: ['rate', 'cpu'],
  bulk16: ['rate', 'cpu'],
  upload: ['rate', 'cpu'],
  latency: ['p50', 'p99'],
};
const counts = ['drops', 'unprotected'];
/** What only Resplice has: its logger's. */
const own: Record<string, string[]> = {
  requests: [...counts, 'loggerUser', 'loggerSystem'],
  connections: [...counts, 'loggerUser', 'loggerSystem'],
  bulk: counts,
  bulk16: counts,
  upload: counts,
};
const kitOperations = [
  'app.read',
  'app.response',
  'app.state',
  'webmail.read',
  'webmail.login',
  'webmail.send',
];
const outcomes = { 0: 'pass', 1: 'fail', 2: 'void' } as const;

test('one round measures everybody, judges, and leaves nothing', { timeout: 600_000 }, async () => {
  const short = ['--rounds', '1', '--seconds', '1', '--bulk-mib', '16', '--kit', '2'];
  const argv = ['bench', ...short, '--seed', '5', '--json'];
  const { code, stdout, stderr } = await resplice(argv, { deadlineMs: 540_000 });
  assert.ok(code === 0 || code === 1 || code === 2, `exit ${code}\n${stderr}`);
  const run = JSON.parse(stdout);
  assert.deepEqual([run.version, run.seed, run.rounds, run.bulkBytes], [1, 5, 1, 16 * 2 ** 20]);
  assert.equal(run.verdict.outcome, outcomes[code]);
  assert.ok(run.verdict.gates.length > 0);
  assert.match(run.machine.versions.HAProxy, /^\d+\.\d+/);
  assert.match(run.machine.versions.nginx, /^\d+\.\d+/);
  assert.deepEqual(Object.keys(run.samples), Object.keys(quantities));
  for (const [measurement, names] of Object.entries(quantities)) {
    const columns = run.samples[measurement];
    assert.deepEqual(Object.keys(columns), contestants, measurement);
    for (const [contestant, series] of Object.entries<Record<string, number[]>>(columns)) {
      const expected = [...names, ...(contestant === 'resplice' ? (own[measurement] ?? []) : [])];
      assert.deepEqual(Object.keys(series), expected, `${measurement} ${contestant}`);
      for (const name of expected) {
        assert.equal(series[name]!.length, 1);
        assert.ok(Number.isFinite(series[name]![0]), `${measurement} ${contestant} ${name}`);
      }
      assert.ok((series.rate ?? series.p50)![0]! > 0, `${measurement} ${contestant}`);
    }
  }
  assert.deepEqual(Object.keys(run.kit.samples), kitOperations);
  for (const [operation, columns] of Object.entries<Record<string, number[]>>(run.kit.samples)) {
    assert.deepEqual(Object.keys(columns), ['kit', 'kitAgain', 'plain', 'plainAgain'], operation);
    for (const series of Object.values(columns)) {
      assert.equal(series.length, 2, operation);
      assert.ok(
        series.every(ms => ms > 0 && ms < 30_000),
        `${operation}: ${series}`,
      );
    }
  }
  // Two rounds prove nothing, and nobody says that they do.
  assert.deepEqual(
    [...new Set(run.verdict.kit.map(({ verdict }: { verdict: string }) => verdict))],
    ['inconclusive'],
  );
  assert.notEqual(run.verdict.outcome, 'pass');
  assert.match(stderr, /webmail, send/);
  assert.match(stderr, /seed 5/);
  assert.match(stderr, /kernel forwarding/);
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  assert.deepEqual(
    namespaces.filter(name => name.startsWith('resplice')),
    [],
  );
  assertNothingLeft();
});

test('wrong usage is 64', async () => {
  for (const argv of [
    ['bench', '--rounds', '0'],
    ['bench', '--rounds', '-1'],
    ['bench', '--seed', 'x'],
    ['bench', '--kit', '-1'],
    ['bench', 'fast'],
  ]) {
    const { code, stdout } = await resplice(argv);
    assert.deepEqual([code, stdout], [64, ''], argv.join(' '));
  }
});
