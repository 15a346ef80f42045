/** A checker that cannot fail is worth nothing: the client against servers that break in every way we know. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { buildDemo, HUNDRED_MB, HUNDRED_MB_SHA256, patternSlice } from '@resplice/demo';
import { Client } from '../fixtures/client.ts';
import { ExchangeError, type FailureKind, type RequestOptions } from '../fixtures/exchange.ts';
import { waitFor } from '../fixtures/wait.ts';
import { type BrokenServer, SIZE, startBrokenServer } from './broken-server.ts';

const demo = buildDemo({ backend: 'backend-1' });
let broken: BrokenServer;
let client: Client;
let site: { host: string; port: number };
let trap: { host: string; port: number };

before(async () => {
  await demo.listen({ host: '127.0.0.1', port: 0 });
  site = { host: '127.0.0.1', port: (demo.server.address() as AddressInfo).port };
  broken = await startBrokenServer();
  trap = { host: '127.0.0.1', port: broken.port };
  client = await Client.start();
});
after(async () => {
  await client.stop();
  broken.close();
  await demo.close();
});

const expected = createHash('sha256').update(patternSlice(0, SIZE)).digest('hex');

async function failure(request: RequestOptions): Promise<{ kind: FailureKind; received: number }> {
  const error = await client.fetch(trap, request).then(
    () => assert.fail(`${request.path} passed`),
    error => error,
  );
  assert.ok(error instanceof ExchangeError, String(error));
  return error.failure;
}

test('sound bytes pass: hash, count, no difference', async () => {
  const exchange = await client.fetch(trap, { path: '/sound', patternFrom: 0 });
  assert.equal(exchange.received, SIZE);
  assert.equal(exchange.sha256, expected);
  assert.equal(exchange.firstDifference, -1);
});

test('one missing byte at the end is a truncation', async () => {
  const { kind, received } = await failure({ path: '/truncated' });
  assert.deepEqual([kind, received], ['truncated', SIZE - 1]);
});

test('a missing last chunk is a truncation', async () => {
  assert.equal((await failure({ path: '/truncated-chunked' })).kind, 'truncated');
});

test('a truncation that only the hash tells is told by the hash', async () => {
  const exchange = await client.fetch(trap, { path: '/truncated-close', patternFrom: 0 });
  assert.equal(exchange.framing, 'close');
  assert.equal(exchange.received, SIZE - 1);
  assert.notEqual(exchange.sha256, expected);
});

test('a reset is a reset', async () => {
  assert.equal((await failure({ path: '/reset' })).kind, 'reset');
});

test('FIN instead of a response is no response', async () => {
  assert.equal((await failure({ path: '/closed' })).kind, 'closed');
});

test('one flipped bit changes the hash and is found at its offset', async () => {
  const exchange = await client.fetch(trap, { path: '/flipped', patternFrom: 0 });
  assert.equal(exchange.received, SIZE);
  assert.notEqual(exchange.sha256, expected);
  assert.equal(exchange.firstDifference, SIZE - 100);
});

test('bytes lost in the middle are found where they are missing', async () => {
  const exchange = await client.fetch(trap, { path: '/lost', patternFrom: 0 });
  assert.notEqual(exchange.sha256, expected);
  assert.equal(exchange.firstDifference, 100_000);
});

test('bytes that nobody asked for break the connection, at the latest when it is closed', async () => {
  const connection = await client.connect(trap);
  // The surplus byte comes with the last segment or behind it; the response itself is complete.
  await connection.request({ path: '/longer' }).done;
  const error = await waitFor('the surplus to be noticed', 2000, () =>
    connection.request({ path: '/dumb', deadlineMs: 100 }).done.catch(error => error as unknown),
  );
  assert.ok(error instanceof ExchangeError && error.failure.kind === 'protocol', String(error));
  await connection.close();

  const unasked = await client.connect(trap);
  await unasked.request({ path: '/longer' }).done;
  await assert.rejects(unasked.close(), /^Error: protocol: 1 bytes that nobody asked for/);
});

test('no answer is a missed deadline, not a wait for ever', async () => {
  assert.equal((await failure({ path: '/dumb', deadlineMs: 200 })).kind, 'deadline');
});

test('a connection that ended while idle is not silently replaced', async () => {
  const connection = await client.connect(trap);
  await connection.request({ path: '/idle-fin' }).done;
  const accepted = broken.connections();
  const error = await waitFor('the second request to fail', 2000, () =>
    connection.request({ path: '/sound', deadlineMs: 500 }).done.then(
      () => undefined,
      error => error as Error,
    ),
  );
  assert.ok(error instanceof ExchangeError && error.failure.kind === 'closed', String(error));
  assert.equal(broken.connections(), accepted, 'no second connection was opened');
});

test('nobody listening is a refusal', async () => {
  const error = await client.connect({ host: '127.0.0.1', port: 9 }).catch(error => error);
  assert.ok(error instanceof ExchangeError && error.failure.kind === 'refused', String(error));
});

test('a stall is measured, and where it was', async () => {
  const exchange = await client.fetch(trap, { path: '/stalled', patternFrom: 0 });
  assert.ok(
    exchange.longestStallMs >= 390 && exchange.longestStallMs < 1000,
    `${exchange.longestStallMs} ms`,
  );
  assert.ok(exchange.stallAt >= exchange.startedAt && exchange.stallAt + 390 <= exchange.endedAt + 1);
  const waited = await client.fetch(site, { path: '/slow?ms=300' });
  assert.ok(waited.longestStallMs >= 298, `${waited.longestStallMs} ms of waiting`);
});

test('a pause that the client wanted is no stall', async () => {
  const connection = await client.connect({ ...site, bufferBytes: 65_536 });
  const transfer = connection.request({ path: '/bytes/30000000', patternFrom: 0, bytesPerSecond: 100e6 });
  await transfer.received(3_000_000);
  await connection.pause();
  const started = performance.now();
  const before = await waitFor('nothing more to come in', 2000, () => {
    return performance.now() - started > 300 ? transfer.progress.received : 0;
  });
  assert.ok(before < 15_000_000, `${before} bytes came in spite of the pause`);
  await connection.resume();
  const exchange = await transfer.done;
  assert.equal(exchange.firstDifference, -1);
  assert.equal(exchange.received, 30_000_000);
  assert.ok(exchange.endedAt - exchange.startedAt > 500);
  assert.ok(exchange.longestStallMs < 250, `${exchange.longestStallMs} ms`);
  await connection.close();
});

test('100 MB with hash; progress is told in between; the same socket serves again', async () => {
  const connection = await client.connect(site);
  const transfer = connection.request({ path: '/100mb.bin', patternFrom: 0 });
  await transfer.received(50_000_000);
  assert.ok(transfer.progress.received < HUNDRED_MB);
  const exchange = await transfer.done;
  assert.equal(exchange.sha256, HUNDRED_MB_SHA256);
  assert.equal(exchange.firstDifference, -1);
  const again = await connection.request({ path: '/whoami' }).done;
  const { client: seen } = JSON.parse(again.text!);
  assert.equal(`${seen.address}:${seen.port}`, connection.local);
  assert.equal(again.local, exchange.local);
  await connection.close();
});

test('pacing holds the rate', async () => {
  const exchange = await client.fetch(
    { ...site, bufferBytes: 131_072 },
    { path: '/bytes/10000000', patternFrom: 0, bytesPerSecond: 20e6 },
  );
  const seconds = (exchange.endedAt - exchange.startedAt) / 1000;
  assert.ok(seconds > 0.4 && seconds < 2, `${seconds} s`);
});

for (const chunked of [false, true]) {
  test(`an upload ${chunked ? 'in chunks' : 'of known length'} arrives with the right hash`, async () => {
    const connection = await client.connect(site);
    const transfer = connection.request({
      method: 'POST',
      path: '/upload',
      upload: { bytes: HUNDRED_MB / 4, chunked },
    });
    await transfer.sent(10_000_000);
    const hash = createHash('sha256');
    for (let offset = 0; offset < HUNDRED_MB / 4; ) {
      const slice = patternSlice(offset, HUNDRED_MB / 4 - offset);
      hash.update(slice);
      offset += slice.length;
    }
    const exchange = await transfer.done;
    assert.deepEqual(JSON.parse(exchange.text!), { bytes: HUNDRED_MB / 4, sha256: hash.digest('hex') });
    assert.equal(exchange.sent, HUNDRED_MB / 4);
    await connection.close();
  });
}

test('a mark that a transfer never reaches is inconclusive, not a hang', async () => {
  const connection = await client.connect(site);
  const transfer = connection.request({ path: '/bytes/1000' });
  await assert.rejects(transfer.received(5000), /^Error: inconclusive/);
  await connection.close();
});

test('HEAD and 304 have no body', async () => {
  const connection = await client.connect(site);
  const head = await connection.request({ method: 'HEAD', path: '/100mb.bin' }).done;
  assert.deepEqual(
    [head.status, head.received, head.headers['content-length']],
    [200, 0, String(HUNDRED_MB)],
  );
  const headers = { 'If-None-Match': head.headers.etag! };
  assert.equal((await connection.request({ path: '/100mb.bin', headers }).done).status, 304);
  await connection.close();
});
