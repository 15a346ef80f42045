/** Rules for each request, and something fails: proxies, back ends, the logger's daemon that judges. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ClientConnection } from './fixtures/client.ts';
import { ADA, endOf, guardedLab, STAFF, served } from './fixtures/guarded-lab.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { labTest, resplice } from './fixtures/lab.ts';
import { forgetTrack, trackOf } from './fixtures/tracks.ts';
import { waitFor } from './fixtures/wait.ts';

const LOGGER = 'logger-1/logger';
const BYTES = 30_000_000;
const PACE = 10e6;

const { lab, connect, executed } = guardedLab();

for (const fault of ['crash', 'cut'] as const) {
  labTest(`${fault} of a proxy in an upload and in a download: they go on, and are judged`, lab, async t => {
    const [down, up] = [await connect(STAFF), await connect(STAFF)];
    const download = down.request({
      ...{ path: `/bytes/${BYTES}`, headers: ADA, patternFrom: 0, bytesPerSecond: PACE },
    });
    const upload = up.request({
      ...{ method: 'POST', path: '/upload', headers: ADA, bytesPerSecond: PACE },
      upload: { bytes: BYTES },
    });
    await Promise.all([download.received(BYTES / 10), upload.sent(BYTES / 10)]);
    for (const proxy of ['proxy-1', 'proxy-2']) {
      await lab().fault(fault, proxy);
      await lab().heal();
    }
    const [got, sent] = await Promise.all([download.done, upload.done]);
    assert.equal(got.sha256, patternHash(BYTES));
    assert.deepEqual(JSON.parse(sent.text!), { bytes: BYTES, sha256: patternHash(BYTES) });
    t.diagnostic(
      `longest stalls: ${got.longestStallMs.toFixed(0)} ms down, ${sent.longestStallMs.toFixed(0)} ms up`,
    );
    for (const each of [down, up]) {
      assert.equal(await served(each), 401);
      await each.close();
    }
  });
}

labTest(
  'a back end is killed in mid-download and mid-upload: another one of the pool goes on',
  lab,
  async t => {
    const headers = { 'X-Pool': 'all' };
    const connections = await Promise.all([connect(), connect(), connect()]);
    const [down, up, idle] = connections as [ClientConnection, ClientConnection, ClientConnection];
    // All with the same back end: they come from there by the rules.
    for (const each of connections) assert.equal(await served(each), 'backend-1');
    const download = down.request({ path: `/bytes/${BYTES}`, headers, patternFrom: 0, bytesPerSecond: PACE });
    const upload = up.request({
      ...{ method: 'POST', path: '/upload', headers, bytesPerSecond: PACE },
      upload: { bytes: BYTES / 10 },
    });
    await Promise.all([download.received(BYTES / 4), upload.sent(BYTES / 40)]);
    await lab().fault('crash', 'backend-1');
    const got = await download.done;
    assert.deepEqual([got.sha256, got.firstDifference], [patternHash(BYTES), -1]);
    t.diagnostic(`longest stall of the download: ${got.longestStallMs.toFixed(0)} ms`);
    assert.deepEqual(JSON.parse((await upload.done).text!), {
      bytes: BYTES / 10,
      sha256: patternHash(BYTES / 10),
    });
    assert.equal(await served(idle, headers), 'backend-2');
    assert.equal(await served(idle), 503, 'the other pool has nobody left');
    await lab().heal();
    await waitFor(
      'the former back end to be taken again',
      10_000,
      async () => (await served(idle)) === 'backend-1',
    );
    for (const each of connections) await each.close();
  },
);

labTest('a back end is drained: connections leave it between two requests, by the rules', lab, async () => {
  const headers = { 'X-Pool': 'all' };
  const [idle, busy] = [await connect(), await connect()];
  for (const each of [idle, busy]) assert.equal(await served(each), 'backend-1');
  const download = busy.request({ path: `/bytes/${BYTES}`, headers, patternFrom: 0, bytesPerSecond: PACE });
  await download.received(BYTES / 4);
  const { code, stdout, stderr } = await resplice(['drain', 'backend-1'], { deadlineMs: 60_000 });
  assert.equal(code, 0, `${stdout}${stderr}`);
  assert.equal((await download.done).sha256, patternHash(BYTES));
  for (const each of [idle, busy]) {
    assert.equal(await served(each, headers), 'backend-2');
    await each.close();
  }
});

labTest("the logger's daemon starts anew: connections go on, and are judged", lab, async () => {
  const [idle, down] = [await connect(STAFF), await connect(STAFF)];
  assert.match(String(await served(idle, ADA)), /^backend-/);
  const download = down.request({
    ...{ path: `/bytes/${BYTES}`, headers: ADA, patternFrom: 0, bytesPerSecond: PACE },
  });
  await download.received(BYTES / 4);
  await lab().fault('restart', LOGGER);
  assert.equal((await download.done).sha256, patternHash(BYTES));
  assert.equal(await served(idle), 401);
  for (const each of [idle, down]) {
    assert.match(String(await served(each, ADA)), /^backend-/);
    await each.close();
  }
});

labTest(
  "the logger's daemon starts anew in a head that it has acknowledged: reset, not left alone",
  lab,
  async t => {
    const connection = await connect(STAFF);
    assert.match(String(await served(connection, ADA)), /^backend-/);
    const end = endOf(
      connection.request({
        ...{ path: '/whoami', headers: ADA, deadlineMs: 20_000 },
        headPieces: { bytes: 20, pauseMs: 400 },
      }),
    );
    const vip = { address: lab().vip.address, port: STAFF };
    await waitFor('a piece to be acknowledged', 3000, () => {
      const { told, serverAcked } = trackOf(connection.local, vip);
      return told !== serverAcked;
    });
    const started = performance.now();
    await lab().fault('restart', LOGGER);
    assert.equal(await end, 'reset');
    t.diagnostic(`reset ${(performance.now() - started).toFixed(0)} ms after the restart began`);
  },
);

labTest('a connection that the logger does not know is reset, not left alone', lab, async t => {
  const connection = await connect(STAFF);
  assert.match(String(await served(connection, ADA)), /^backend-/);
  const backends = ['10.64.0.11', '10.64.0.12'].map(address => ({ address, port: 8080 }));
  forgetTrack(connection.local, { address: lab().vip.address, port: STAFF }, backends);
  const token = randomUUID();
  const started = performance.now();
  const end = await endOf(
    connection.request({
      ...{ method: 'POST', path: '/count', headers: { ...ADA, 'X-Request-Token': token } },
      deadlineMs: 10_000,
    }),
  );
  t.diagnostic(`${end} after ${(performance.now() - started).toFixed(0)} ms`);
  assert.equal(end, 'reset');
  assert.equal((await executed()).includes(token), false);
});

labTest('nobody reads the log: what cannot be judged waits', lab, async t => {
  const connection = await connect(STAFF);
  assert.match(String(await served(connection, ADA)), /^backend-/);
  const token = randomUUID();
  await lab().fault('freeze', LOGGER);
  const frozenAt = performance.now();
  const answer = connection.request({
    ...{ method: 'POST', path: '/count', headers: { 'X-Request-Token': token }, deadlineMs: 30_000 },
  });
  // Longer than `passUnloggedAfterMs`: others pass unlogged by now.
  await waitFor('patience to end', 5000, async () => performance.now() - frozenAt > 3000);
  assert.equal((await executed()).includes(token), false);
  await lab().heal();
  assert.equal((await answer.done).status, 401);
  t.diagnostic(`answered ${(performance.now() - frozenAt).toFixed(0)} ms after the freeze`);
  assert.equal((await executed()).includes(token), false);
  await connection.close();
});
