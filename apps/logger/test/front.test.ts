import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildSlots, flowHash, parseIp, SLOT_COUNT } from '@resplice/dataplane';
import { deriveKey } from '@resplice/protocol';
import {
  FAKE_PROXY,
  TestDaemon,
  TestNetwork,
  TestProcess,
  talk,
  until,
  whyNoNetwork,
} from '@resplice/service-kit/testing';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const VIP = '10.60.0.1';
const CLIENT = '10.61.0.2';
const CLIENT_PORT = 5000;
const PROBE_PORT = 7001;
const CONTROL_PORT = 7000;
const ASK = join(import.meta.dirname, 'fixtures/ask.ts');
const CONFIG = {
  name: 'logger-1',
  id: 201,
  role: 'front',
  vips: [{ address: VIP, port: 80 }],
  middle: { device: 'middle0', address: '10.63.0.1' },
  back: { device: 'back0', address: '10.64.0.1' },
  proxies: [
    { name: 'proxy-1', id: 1, address: '10.63.0.11' },
    { name: 'proxy-2', id: 2, address: '10.63.0.12' },
  ],
  backends: [{ name: 'backend-1', id: 1, address: '10.64.0.11', port: 8080 }],
  controlPort: CONTROL_PORT,
  maxConnections: 1024,
  listeners: [{ name: 'web', port: 80, pool: 'web' }],
  recovery: { wait: 5000, requestBytes: 1_048_576, spillBytes: 0 },
  probePort: PROBE_PORT,
  probe: { intervalMs: 20, misses: 3 },
};

interface Status {
  role: string;
  metrics: Record<string, number>;
  fenced: string[];
  table: { live: string[]; seed: number; slots: number[]; proxies: string[] };
}

const skip = whyNoNetwork();
let network: TestNetwork;
let logger: TestDaemon;
const proxies: TestProcess[] = [];

/** A back end that speaks in the VIP's name, and two proxies that hold the client's address. */
function build(): void {
  network = new TestNetwork('srt');
  for (const host of ['logger', 'backend', 'fabric', 'proxy-1', 'proxy-2']) network.addHost(host);
  network.addBridge('fabric', 'middle');
  network.link(
    { host: 'logger', device: 'back0', address: '10.64.0.1/24' },
    { host: 'backend', device: 'back0', address: '10.64.0.11/24' },
  );
  network.link(
    { host: 'logger', device: 'middle0', address: '10.63.0.1/24' },
    { host: 'fabric', device: 'logger-1', bridge: 'middle' },
  );
  for (const n of [1, 2]) {
    const host = `proxy-${n}`;
    network.link(
      { host, device: 'middle0', address: `10.63.0.1${n}/24` },
      { host: 'fabric', device: host, bridge: 'middle' },
    );
    network.ip(host, 'addr', 'add', `${CLIENT}/32`, 'dev', 'lo');
    network.ip(host, 'route', 'add', 'default', 'via', '10.63.0.1');
  }
  network.ip('backend', 'addr', 'add', `${VIP}/32`, 'dev', 'lo');
  network.ip('backend', 'route', 'add', 'default', 'via', '10.64.0.1');
  // Only for the test: the way to the VIP, which here leads to the back end without a splice.
  network.ip('logger', 'route', 'add', `${VIP}/32`, 'via', '10.64.0.11');
  network.ip('logger', 'route', 'add', 'default', 'via', '10.63.0.11');
  network.set('logger', 'net.ipv4.ip_forward', '1');
}

function startProxy(n: number): void {
  const key = Buffer.from(network.key).toString('hex');
  const port = String(PROBE_PORT);
  const args = [`proxy-${n}`, String(n), port, key, '0.0.0.0', String(CLIENT_PORT)];
  proxies[n] = new TestProcess(network, `proxy-${n}`, FAKE_PROXY, args);
}

const status = () => logger.status<Status>();
const live = async () => (await status()).table.live.join();

let nextPort = 20_000;
const freshPorts = (count: number) => Array.from({ length: count }, () => nextPort++);

/** Through which proxy packets from the VIP reach the client. */
function reached(from: string, ports: readonly number[]) {
  return talk(network, 'backend', { address: from, ports }, { address: CLIENT, port: CLIENT_PORT });
}

function expected(table: Status['table'], vipPort: number): string | undefined {
  const hash = flowHash(parseIp(CLIENT), CLIENT_PORT, parseIp(VIP), vipPort, table.seed);
  return table.proxies[table.slots[hash % SLOT_COUNT]!];
}

before(() => {
  if (skip) return;
  build();
  logger = new TestDaemon(network, 'logger', MAIN, CONFIG);
  for (const n of [1, 2]) startProxy(n);
});

after(async () => {
  await Promise.all([logger, ...proxies].map(process => process?.end()));
  network?.remove();
});

test('what carries the VIP as its source leaves by way of the proxy that the table names', {
  skip,
}, async () => {
  await logger.ready();
  await until('both are in the table', async () => (await live()) === 'proxy-1,proxy-2', 20_000);
  const { table, role } = await status();
  assert.equal(role, 'front');
  const ports = freshPorts(30);
  const answers = await reached(VIP, ports);
  for (const port of ports) assert.equal(answers[port], expected(table, port), `port ${port}`);
  assert.deepEqual(new Set(Object.values(answers)), new Set(['proxy-1', 'proxy-2']));
});

test('anything else is for the kernel to route', { skip }, async () => {
  const before = (await status()).metrics['packets_total.back_plain']!;
  const answers = await reached('10.64.0.11', freshPorts(3));
  assert.deepEqual(new Set(Object.values(answers)), new Set(['proxy-1']));
  assert.ok((await status()).metrics['packets_total.back_plain']! > before);
});

test('balancer and logger agree: the same key, the same seed and slots', { skip }, async () => {
  const { table } = await status();
  assert.equal(table.seed, Buffer.from(deriveKey(network.key, 'steering', 4)).readUInt32LE());
  assert.deepEqual(table.slots, [...buildSlots([1, 2], new Set([1, 2]))]);
});

test('a frozen proxy is out of the table within 100 ms, a thawed one in again', { skip }, async t => {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    proxies[1]!.child.kill('SIGSTOP');
    times.push(await until('the table is without it', async () => (await live()) === 'proxy-2'));
    if (round === 0) {
      assert.deepEqual(new Set(Object.values(await reached(VIP, freshPorts(5)))), new Set(['proxy-2']));
    }
    proxies[1]!.child.kill('SIGCONT');
    await until('it is back', async () => (await live()) === 'proxy-1,proxy-2');
  }
  const median = times.sort((a, b) => a - b)[2]!;
  t.diagnostic(`swapped after ${times.map(ms => Math.round(ms)).join(', ')} ms`);
  assert.ok(median < 100, `median ${median} ms`);
});

test('killed itself it goes on, restarted it takes over', { skip }, async () => {
  const { table } = await status();
  await logger.end('SIGKILL');
  const ports = freshPorts(10);
  const answers = await reached(VIP, ports);
  for (const port of ports) assert.equal(answers[port], expected(table, port), `port ${port}`);
  logger = new TestDaemon(network, 'logger', MAIN, CONFIG);
  await logger.ready();
  assert.deepEqual((await status()).table, table);
});

/** What the logger says to a proxy's question; null when it says nothing. */
async function askAs(n: number, record: object): Promise<{ fenced: boolean; generation: number } | null> {
  const key = Buffer.from(network.key).toString('hex');
  const args = [String(n), `10.63.0.1${n}`, key, String(EPOCH), '10.63.0.1', String(CONTROL_PORT)];
  const process = new TestProcess(network, `proxy-${n}`, ASK, [...args, JSON.stringify(record)]);
  await until('the answer is printed', () => !process.running, 10_000);
  return JSON.parse(process.output);
}

/** Later than that of the stand-ins which answer the probes: what is fenced is a process that the logger has not outlived. */
const EPOCH = Math.floor(Date.now() / 1000) + 3600;

/** Whether a connection in a client's name, sent by way of that proxy, reaches the back end's side of the logger. */
async function passesLogger(n: number): Promise<boolean> {
  const before = (await status()).metrics['packets_total.middle_fenced'] ?? 0;
  const ports = freshPorts(1);
  await talk(network, `proxy-${n}`, { address: CLIENT, ports }, { address: '10.64.0.11', port: 9 });
  return ((await status()).metrics['packets_total.middle_fenced'] ?? 0) === before;
}

test('a proxy is fenced at the word of another, not at its own: what it sends in clients’ names goes nowhere', {
  skip,
}, async () => {
  assert.deepEqual([await passesLogger(2), (await status()).fenced], [true, []]);
  assert.equal((await askAs(1, { type: 'fence', proxy: 2, epoch: EPOCH }))?.fenced, false);
  // What it relays is let through until balancers can have turned away.
  await until('its packets are dropped', async () => !(await passesLogger(2)), 10_000);
  assert.deepEqual((await status()).fenced, ['proxy-2']);
  assert.equal(await passesLogger(1), true);
  assert.equal((await askAs(2, { type: 'fence', proxy: 1, epoch: EPOCH }))?.fenced, true);
  assert.equal(await passesLogger(1), true);
  assert.ok((await askAs(2, { type: 'standing' }))?.fenced, 'in its own name it is heard');
});

test('the logger killed alone keeps its fences, started again it knows them, lets in who was told', {
  skip,
}, async () => {
  await logger.end('SIGKILL');
  logger = new TestDaemon(network, 'logger', MAIN, CONFIG);
  await logger.ready();
  assert.deepEqual([await passesLogger(2), (await status()).fenced], [false, ['proxy-2']]);
  const { generation } = (await askAs(2, { type: 'standing' }))!;
  assert.equal((await askAs(2, { type: 'join', generation, told: [] }))?.fenced, true, 'proxy-1 lives');
  assert.equal((await askAs(2, { type: 'join', generation, told: [1] }))?.fenced, false);
  assert.deepEqual([await passesLogger(2), (await status()).fenced], [true, []]);
});

test('a wrong config is refused with all its problems', { skip }, async () => {
  const { back: _, ...rest } = CONFIG;
  const wrong = { ...rest, name: 'logger-2', role: 'logger', proxies: [] };
  const daemon = new TestDaemon(network, 'logger', MAIN, wrong);
  await until('it ends', () => !daemon.running, 20_000);
  assert.equal(daemon.child.exitCode, 78);
  assert.deepEqual(daemon.output.trim().split('\n').sort(), [
    'config: back: missing',
    'config: proxies: must be at least 1 item',
    'config: role: must be "front" or "auxiliary"',
  ]);
});
