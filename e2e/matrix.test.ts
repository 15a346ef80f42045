/** `./resplice drill matrix`: a few cells in real labs, what they are judged to be, and what scripts get to read of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MatrixResult } from '@resplice/drill';
import { resplice } from './fixtures/lab.ts';
import { assertNothingLeft } from './fixtures/remains.ts';

const PASS = 0;
const FAIL = 1;
const INCONCLUSIVE = 2;
const USAGE = 64;

/** A lab comes up and goes down, and a few cells of some seconds each. */
const TIMEOUT = { timeout: 180_000 };

async function matrix(
  ...argv: string[]
): Promise<{ code: number | null; result: MatrixResult; stderr: string }> {
  const said = await resplice(['drill', 'matrix', '--json', '--seed', '7', ...argv], { deadlineMs: 170_000 });
  assert.notEqual(said.stdout, '', said.stderr);
  return { code: said.code, result: JSON.parse(said.stdout), stderr: said.stderr };
}

test("a proxy's death in a download and before a POST's answer is not noticed", TIMEOUT, async t => {
  const { code, result, stderr } = await matrix(
    '--cells',
    'proxy/crash/response/read,proxy/cut/waiting/update',
  );
  assert.equal(code, PASS, stderr);
  assert.deepEqual(
    [result.arm, result.site, result.seed, result.repeat, result.verdict],
    ['resplice', 'demo', 7, 1, 'pass'],
  );
  assert.deepEqual(
    result.cells.map(({ cell, verdict }) => `${cell}: ${verdict}`),
    ['proxy/crash/response/read: pass', 'proxy/cut/waiting/update: pass'],
  );
  for (const { cell, addedStallMs, runs } of result.cells) {
    t.diagnostic(`${cell}: added stall ${addedStallMs!.median.toFixed(0)} ms`);
    assert.match(runs[0]!.target!, /^proxy-[12]$/);
    assert.ok(runs[0]!.faultAt! > 0);
  }
  assert.equal(result.cells[1]!.runs[0]!.executions, 1);
  assert.match(stderr, /proxy cut .* update .*✔/);
  assert.match(stderr, /drill matrix: pass; 2 pass, 0 fail.*seed 7/);
  assertNothingLeft();
});

test('a proxy that is isolated from one neighbour at any moment is not noticed', TIMEOUT, async t => {
  const faults = ['lb', 'peer', 'logger', 'backend'].map(neighbour => `isolate-${neighbour}`);
  // Transfers are isolation.test.ts's.
  const moments = ['handshake', 'head', 'waiting', 'tail', 'idle'].map(moment => `${moment}/update`);
  const cells = faults.flatMap(fault => ['waiting/read', ...moments].map(each => `proxy/${fault}/${each}`));
  const { code, result, stderr } = await matrix('--cells', cells.join(','));
  assert.equal(code, PASS, stderr);
  assert.equal(result.cells.length, cells.length);
  const stalls = result.cells.map(({ addedStallMs }) => addedStallMs!.median);
  t.diagnostic(`added stalls, ms: ${stalls.map(ms => ms.toFixed(0)).join(', ')}`);
  assertNothingLeft();
});

test("where HAProxy stands in the middle, a back end's death breaks a download off", TIMEOUT, async () => {
  const { code, result, stderr } = await matrix('--arm', 'haproxy', '--cells', 'backend/crash/response/read');
  assert.equal(code, FAIL, stderr);
  const [cell] = result.cells;
  assert.deepEqual([result.arm, result.verdict, cell!.verdict], ['haproxy', 'fail', 'fail']);
  assert.match(cell!.runs[0]!.failure!, /^(truncated|reset)$/);
  assert.equal(cell!.addedStallMs, null);
  assertNothingLeft();
});

test('a lab that is up is used if it fits, and stays', TIMEOUT, async () => {
  const { code: up, stderr: why } = await resplice(['up', '--detach', '--site', 'demo', '--arm', 'forward'], {
    deadlineMs: 90_000,
  });
  assert.equal(up, PASS, why);
  try {
    const other = await resplice(['drill', 'matrix', '--arm', 'nginx']);
    assert.deepEqual([other.code, other.stdout], [USAGE, '']);
    assert.match(other.stderr, /the lab that is up has --arm forward; first: .\/resplice down/);
    const { code, result, stderr } = await matrix(
      '--cells',
      'proxy/crash/idle/update,proxy/freeze/idle/read',
    );
    assert.equal(code, FAIL, stderr);
    assert.deepEqual(
      [result.arm, ...result.cells.map(({ cell, verdict }) => `${cell}: ${verdict}`)],
      ['forward', 'proxy/crash/idle/update: fail', 'proxy/freeze/idle/read: not applicable'],
    );
    const status = JSON.parse((await resplice(['status', '--json'])).stdout);
    const states = status.components.map(({ state, faults }: { state: string; faults: [] }) => [
      state,
      faults,
    ]);
    for (const each of states) assert.deepEqual(each, ['up', []]);
  } finally {
    await resplice(['down']);
  }
  assertNothingLeft();
});

/** Answers a connection's second request otherwise than its first. */
const fickle = `exec ${process.execPath} -e '
  const seen = new WeakSet();
  require("node:http").createServer((request, response) => {
    response.end(seen.has(request.socket) ? "hello again" : "hello");
    seen.add(request.socket);
  }).listen(process.env.PORT, "0.0.0.0");'`;

test('what is wrong without a fault is not blamed on it: inconclusive', TIMEOUT, async () => {
  const { code, result, stderr } = await matrix(
    '--backend-cmd',
    fickle,
    '--cells',
    'proxy/crash/idle,proxy/crash/waiting',
  );
  assert.equal(code, INCONCLUSIVE, stderr);
  assert.deepEqual(
    result.cells.map(({ cell, verdict }) => `${cell}: ${verdict}`),
    [
      'proxy/crash/waiting/read: not applicable',
      'proxy/crash/idle/read: inconclusive',
      'proxy/crash/waiting/update: not applicable',
      'proxy/crash/idle/update: not applicable',
    ],
  );
  assert.match(result.cells[1]!.reason!, /not even without a fault/);
  assertNothingLeft();
});

test('wrong usage is 64 and brings nothing up', async () => {
  for (const argv of [
    ['drill', 'hurricane'],
    ['drill', 'matrix', '--cells', 'proxy/melt'],
    ['drill', 'matrix', '--repeat', '0'],
    ['drill', 'matrix', '--arm', 'apache'],
    ['drill', 'matrix', '--write', '--cells', 'proxy/crash'],
    ['drill', 'matrix', '--write', '--link', 'lan'],
  ]) {
    const { code, stdout } = await resplice(argv);
    assert.deepEqual([code, stdout], [USAGE, ''], argv.join(' '));
  }
  assertNothingLeft();
});
