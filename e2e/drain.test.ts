/** `./resplice drain`: a back end or a proxy is emptied under load, and no client notices. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import type { DrainReport, Trace } from '@resplice/engines';
import type { ClientConnection } from './fixtures/client.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest, resplice } from './fixtures/lab.ts';
import { backendOf } from './fixtures/served.ts';

const BUFFER = 131_072;
const DOWNLOAD = 30_000_000;
const UPLOAD = 20_000_000;
/** Slow enough that all of it is under way when the drain begins. */
const PACE = 10e6;
const HEAD_START = 1_000_000;
/** Nothing of the load takes longer. */
const DRAIN_MS = 60_000;

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

async function connect(): Promise<ClientConnection> {
  return (await lab.client()).connect({ ...lab.site, bufferBytes: BUFFER });
}

/** So many that the back end holds. New ones go to the back end with fewest: others are opened too, and closed at the end. */
async function connectTo(backend: string, count: number): Promise<ClientConnection[]> {
  const found: ClientConnection[] = [];
  const others: ClientConnection[] = [];
  while (found.length < count) {
    const connection = await connect();
    ((await backendOf(connection)) === backend ? found : others).push(connection);
    assert.ok(others.length <= 4 * count, `no connection gets to ${backend}`);
  }
  for (const each of others) await each.close();
  return found;
}

async function drain(target: string, ...more: string[]): Promise<{ code: number; report: DrainReport }> {
  const { code, stdout, stderr } = await resplice(['drain', target, ...more], { deadlineMs: DRAIN_MS });
  assert.ok(stdout !== '', stderr);
  return { code: code!, report: JSON.parse(stdout) };
}

/** POSTs one after the other on one connection, each with a token of its own, until `isOver`. */
async function keepPosting(
  connection: ClientConnection,
  name: string,
  isOver: () => boolean,
): Promise<{ token: string; status: number }[]> {
  const posts: { token: string; status: number }[] = [];
  while (!isOver()) {
    const token = `${name}-${posts.length}`;
    const headers = { 'X-Request-Token': token };
    const { status } = await connection.request({ method: 'POST', path: '/count?ms=1', headers }).done;
    posts.push({ token, status });
  }
  return posts;
}

/** What goes on while something is drained: everything must come out as if nothing happened. */
async function underLoad(connections: readonly ClientConnection[], work: () => Promise<void>): Promise<void> {
  const [down, up, waiting, idle, ...posting] = connections as [
    ClientConnection,
    ClientConnection,
    ClientConnection,
    ClientConnection,
    ...ClientConnection[],
  ];
  const run = `${process.pid}-${Date.now()}`;
  const download = down.request({ path: `/bytes/${DOWNLOAD}`, patternFrom: 0, bytesPerSecond: PACE });
  const upload = up.request({
    method: 'POST',
    path: '/upload',
    upload: { bytes: UPLOAD },
    bytesPerSecond: PACE,
  });
  const slow = waiting.request({ path: '/slow?ms=1500' });
  const suspicions = await suspected();
  let isOver = false;
  const posts = posting.map((each, index) => keepPosting(each, `${run}-${index}`, () => isOver));
  await Promise.all([download.received(HEAD_START), upload.sent(HEAD_START)]);
  try {
    await work();
  } finally {
    isOver = true;
  }
  const all = (await Promise.all(posts)).flat();
  const refused = all.filter(({ status }) => status !== 200);
  // On a crowded machine a back end may be taken for dead: that is another test's business.
  assert.equal(await suspected(), suspicions, 'inconclusive: a back end was suspected');
  assert.deepEqual(refused, []);
  const tokens = all.map(({ token }) => token);
  const [got, put, late] = await Promise.all([download.done, upload.done, slow.done]);
  assert.deepEqual([got.received, got.sha256], [DOWNLOAD, patternHash(DOWNLOAD)]);
  assert.deepEqual(JSON.parse(put.text!), { bytes: UPLOAD, sha256: patternHash(UPLOAD) });
  assert.equal(late.status, 200);
  assert.equal((await idle.request({ path: '/bytes/1000', patternFrom: 0 }).done).firstDifference, -1);
  await lab.heal();
  const executed = (await lab.counts()).flatMap(each => each.tokens).filter(each => each.startsWith(run));
  assert.deepEqual(executed.sort(), tokens.sort(), 'every POST was executed exactly once');
  assert.ok(tokens.length > 10, `inconclusive: only ${tokens.length} POSTs`);
}

/** Established connections of clients that a back end's kernel has. */
async function socketsAt(backend: string): Promise<string[]> {
  const { stdout } = await lab.exec(backend, ['ss', '-Htn', 'state', 'established', '( sport = :8080 )']);
  return stdout.split('\n').filter(line => line.includes('10.61.'));
}

async function loggerCounts(...events: string[]): Promise<number[]> {
  const { metrics } = await lab.component('logger-1');
  return events.map(event => metrics[`events_total.${event}`]!);
}

/** How often a back end was taken for dead in the middle of a transaction. */
async function suspected(): Promise<number> {
  const counts = await loggerCounts('failed_by_end', 'failed_by_liveness', 'failed_by_timeout');
  return counts.reduce((sum, each) => sum + each, 0);
}

labTest('a back end is drained under load: no client notices, every POST runs once', theLab, async t => {
  const connections = await connectTo('backend-1', 8);
  const before = await loggerCounts('refused', 'reset', 'differs');
  const idle = connections[3]!;
  await underLoad(connections, async () => {
    const { code, report } = await drain('backend-1');
    assert.equal(code, 0);
    assert.deepEqual([report.kind, report.target, report.connections], ['drain', 'backend-1', 0]);
    t.diagnostic(`empty after ${report.emptyAt! - report.at} ms`);
    const status = await lab.status();
    assert.equal(status.components.find(({ name }) => name === 'backend-1')!.state, 'draining');
    assert.equal(status.pools[0]!.backends.find(({ name }) => name === 'backend-1')!.state, 'draining');
    assert.deepEqual(
      status.connections.filter(({ backend }) => backend === 'backend-1'),
      [],
    );
    const resting = status.connections.find(({ client }) => client === idle.local);
    assert.deepEqual([resting?.backend, resting?.state], [null, 'resting']);
    assert.deepEqual(await socketsAt('backend-1'), [], 'its old sockets are gone');
    for (let i = 0; i < 4; i++) {
      const fresh = await connect();
      assert.equal(await backendOf(fresh), 'backend-2');
      await fresh.close();
    }
    const { stdout } = await resplice(['trace', connections[4]!.local, '--json']);
    const steps = (JSON.parse(stdout) as Trace).steps.map(({ what }) => what);
    assert.equal(steps[0], 'drained: leaves backend-1');
  });
  assert.deepEqual(await loggerCounts('refused', 'reset', 'differs'), before);
  for (const each of connections) await each.close();
  for (const each of await connectTo('backend-1', 1)) await each.close();
});

labTest('what is under way is waited for, at most until the deadline', theLab, async () => {
  const [connection] = (await connectTo('backend-1', 1)) as [ClientConnection];
  const transfer = connection.request({ path: `/bytes/${DOWNLOAD}`, patternFrom: 0, bytesPerSecond: 20e6 });
  await transfer.received(HEAD_START);
  await connection.pause();
  const { code, report } = await drain('backend-1', '--deadline', '1');
  assert.deepEqual([code, report.emptyAt, report.connections, report.unprotected], [1, null, 1, 0]);
  await connection.resume();
  const { sha256 } = await transfer.done;
  assert.equal(sha256, patternHash(DOWNLOAD));
  const again = await drain('backend-1');
  assert.deepEqual([again.code, again.report.connections], [0, 0]);
  await lab.fault('restart', 'backend-1');
  assert.equal((await lab.component('backend-1')).state, 'draining', 'a restart does not undo it');
  assert.equal(await backendOf(connection), 'backend-2');
  await connection.close();
  await lab.heal();
  assert.equal((await lab.component('backend-1')).state, 'up');
});

labTest('a proxy is drained under load: its connections flow on through its peer', theLab, async () => {
  const connections = await Promise.all(Array.from({ length: 12 }, () => connect()));
  for (const each of connections) await each.request({ path: '/whoami' }).done;
  const carried = async () => (await lab.status()).connections.map(({ proxy }) => proxy);
  assert.ok((await carried()).includes('proxy-1'), 'inconclusive: proxy-1 carries nothing');
  await underLoad(connections, async () => {
    const { code } = await drain('proxy-1');
    assert.equal(code, 0);
    assert.equal((await lab.component('proxy-1')).state, 'draining');
    assert.deepEqual(new Set(await carried()), new Set(['proxy-2']));
    const fresh = await connect();
    await backendOf(fresh);
    await fresh.close();
  });
  assert.equal((await lab.component('proxy-1')).state, 'up');
  for (const each of connections) await each.close();
});

labTest('what cannot be drained is refused, and changes nothing', theLab, async () => {
  for (const target of ['logger-1', 'backend-1/demo', 'nobody'])
    assert.equal((await resplice(['drain', target])).code, 64, target);
  assert.equal((await resplice(['drain'])).code, 64);
  await lab.fault('crash', 'backend-2');
  const last = await resplice(['drain', 'backend-1']);
  assert.equal(last.code, 64);
  assert.match(last.stderr, /no other one is sound/);
  assert.equal((await lab.component('backend-1')).state, 'up');
});
