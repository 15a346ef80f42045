/** The client in a network namespace of its own, with a link that really falls silent. Needs root. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Client } from '../fixtures/client.ts';
import { end, inNamespace, output, run } from '../fixtures/command.ts';
import { waitFor } from '../fixtures/wait.ts';

const NEAR = `e2e-near-${process.pid}`;
const FAR = `e2e-far-${process.pid}`;
const NEAR_MAC = '02:00:00:00:e2:01';
const FAR_MAC = '02:00:00:00:e2:02';
const site = { host: '10.251.0.2', port: 18_080, bufferBytes: 131_072 };

let server: ChildProcess;
let client: Client;

const ip = (...argv: string[]): Promise<string> => output(['ip', ...argv]);

before(async () => {
  await ip('netns', 'add', NEAR);
  await ip('netns', 'add', FAR);
  await ip('-n', NEAR, 'link', 'add', 'near0', 'type', 'veth', 'peer', 'name', 'far0', 'netns', FAR);
  await ip('-n', NEAR, 'address', 'add', '10.251.0.1/24', 'dev', 'near0');
  await ip('-n', FAR, 'address', 'add', '10.251.0.2/24', 'dev', 'far0');
  await ip('-n', NEAR, 'link', 'set', 'near0', 'address', NEAR_MAC, 'up');
  await ip('-n', FAR, 'link', 'set', 'far0', 'address', FAR_MAC, 'up');
  await connectNeighbours(true);
  const main = fileURLToPath(new URL('../../apps/demo/src/main.ts', import.meta.url));
  const [program = '', ...argv] = inNamespace(FAR, [process.execPath, main]);
  server = spawn(program, argv, { env: { PORT: '18080', BACKEND_ID: 'far' }, stdio: 'ignore' });
  client = await Client.start(`/run/netns/${NEAR}`);
  await waitFor('the site to answer', 10_000, () => client.fetch(site, { path: '/healthz' }));
});
after(async () => {
  await client?.stop();
  if (server) await end(server, 'SIGKILL');
  for (const name of [NEAR, FAR]) await run(['ip', 'netns', 'delete', name]);
});

/**
 * Fixed neighbour entries on both sides: the true ones, or ones that lead nowhere. Frames are still sent then, to a
 * machine that does not exist, and nobody is told.
 */
async function connectNeighbours(connected: boolean): Promise<void> {
  for (const [name, device, peer, mac] of [
    [NEAR, 'near0', '10.251.0.2', FAR_MAC],
    [FAR, 'far0', '10.251.0.1', NEAR_MAC],
  ] as const) {
    const to = connected ? mac : '02:00:00:00:00:99';
    await ip('-n', name, 'neighbour', 'replace', peer, 'lladdr', to, 'dev', device, 'nud', 'permanent');
  }
}

/** Lets the link fall silent for `ms`. @returns how long it took until both directions were open again */
async function silence(ms: number): Promise<number> {
  await connectNeighbours(false);
  const started = performance.now();
  await waitFor('the silence to have lasted', ms + 1000, () => performance.now() - started >= ms);
  const silentMs = performance.now() - started;
  await connectNeighbours(true);
  return silentMs;
}

test('the client is in its namespace, the test is not', async () => {
  const { text } = await client.fetch(site, { path: '/whoami' });
  assert.equal(JSON.parse(text!).client.address, '10.251.0.1');
  const { stdout } = await run(inNamespace(NEAR, ['readlink', '/proc/self/ns/net']));
  assert.notEqual(readlinkSync('/proc/self/ns/net'), stdout.trim());
});

test('without a fault there is no stall to speak of', async () => {
  const exchange = await client.fetch(site, {
    path: '/bytes/40000000',
    patternFrom: 0,
    bytesPerSecond: 40e6,
  });
  assert.equal(exchange.firstDifference, -1);
  assert.ok(exchange.longestStallMs < 150, `${exchange.longestStallMs} ms`);
});

test('a silent link in mid-download shows as a stall of at least its length', async () => {
  const connection = await client.connect(site);
  const transfer = connection.request({ path: '/bytes/60000000', patternFrom: 0, bytesPerSecond: 40e6 });
  await transfer.received(15_000_000);
  const silentMs = await silence(400);
  const exchange = await transfer.done;
  assert.equal(exchange.received, 60_000_000);
  assert.equal(exchange.firstDifference, -1);
  // What the kernel held when the link fell silent hides at most 128 KiB at 40 MB/s.
  assert.ok(exchange.longestStallMs > silentMs - 60, `${exchange.longestStallMs} of ${silentMs} ms`);
  assert.ok(exchange.longestStallMs < silentMs + 1500, `${exchange.longestStallMs} of ${silentMs} ms`);
  await connection.close();
});

test('a silent link in mid-upload shows as well', async () => {
  const connection = await client.connect(site);
  const upload = { bytes: 60_000_000 };
  const transfer = connection.request({ method: 'POST', path: '/upload', upload, bytesPerSecond: 40e6 });
  await transfer.sent(15_000_000);
  const silentMs = await silence(400);
  const exchange = await transfer.done;
  assert.equal(JSON.parse(exchange.text!).bytes, 60_000_000);
  assert.ok(exchange.longestStallMs > silentMs - 60, `${exchange.longestStallMs} of ${silentMs} ms`);
  await connection.close();
});

test('a namespace that does not exist is an error', async () => {
  await assert.rejects(
    Client.start('/run/netns/e2e-nowhere').then(client => client.fetch(site, { path: '/' })),
  );
});
