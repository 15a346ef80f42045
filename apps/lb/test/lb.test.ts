import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { flowHash, parseIp, SLOT_COUNT } from '@resplice/dataplane';
import {
  ask,
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
const PROBE_PORT = 7001;
const CONFIG = {
  name: 'lb-1',
  id: 101,
  vips: [{ address: VIP, port: 80 }],
  wan: { device: 'wan0' },
  front: { device: 'front0', address: '10.62.0.1' },
  proxies: [
    { name: 'proxy-1', id: 1, address: '10.62.0.11' },
    { name: 'proxy-2', id: 2, address: '10.62.0.12' },
  ],
  probePort: PROBE_PORT,
};

interface Status {
  ready: boolean;
  role: string;
  metrics: Record<string, number>;
  table: { live: string[]; kept: boolean; seed: number; version: number; slots: number[]; proxies: string[] };
}

const skip = whyNoNetwork();
let network: TestNetwork;
let lb: TestDaemon;
const proxies: TestProcess[] = [];

/** Two proxies' hosts at the balancer's front, a client at its WAN side; the VIP is on the proxies themselves. */
function build(): void {
  network = new TestNetwork('slb');
  for (const host of ['lb', 'client', 'fabric', 'proxy-1', 'proxy-2']) network.addHost(host);
  network.addBridge('fabric', 'front');
  network.link(
    { host: 'lb', device: 'wan0', address: '10.61.0.1/24' },
    { host: 'client', device: 'wan0', address: '10.61.0.2/24' },
  );
  network.link(
    { host: 'lb', device: 'front0', address: '10.62.0.1/24' },
    { host: 'fabric', device: 'lb-1', bridge: 'front' },
  );
  for (const n of [1, 2]) {
    const host = `proxy-${n}`;
    network.link(
      { host, device: 'front0', address: `10.62.0.1${n}/24` },
      { host: 'fabric', device: host, bridge: 'front' },
    );
    network.ip(host, 'addr', 'add', `${VIP}/32`, 'dev', 'lo');
    network.ip(host, 'route', 'add', 'default', 'via', '10.62.0.1');
  }
  network.ip('client', 'route', 'add', 'default', 'via', '10.61.0.1');
  network.ip('lb', 'route', 'add', 'unreachable', '10.60.0.0/24');
  network.set('lb', 'net.ipv4.ip_forward', '1');
}

function startProxy(n: number): void {
  const key = Buffer.from(network.key).toString('hex');
  proxies[n] = new TestProcess(network, `proxy-${n}`, FAKE_PROXY, [
    `proxy-${n}`,
    String(n),
    String(PROBE_PORT),
    key,
    VIP,
    '80',
  ]);
}

const status = () => lb.status<Status>();
const live = async () => (await status()).table.live.join();

let nextPort = 20_000;
/** Ports that no connection has used yet. */
const freshPorts = (count: number) => Array.from({ length: count }, () => nextPort++);

/** Which proxy the client gets through the VIP from each of its ports. */
function served(ports: readonly number[], port = 80) {
  return talk(network, 'client', { address: CLIENT, ports }, { address: VIP, port });
}

/** The proxy that the table in force names for a client's port. */
function expected(table: Status['table'], port: number): string | undefined {
  const hash = flowHash(parseIp(CLIENT), port, parseIp(VIP), 80, table.seed);
  return table.proxies[table.slots[hash % SLOT_COUNT]!];
}

before(async () => {
  if (skip) return;
  build();
  lb = new TestDaemon(network, 'lb', MAIN, CONFIG);
});

after(async () => {
  await Promise.all([lb, ...proxies].map(process => process?.end()));
  network?.remove();
});

test('without a live proxy it is not ready and drops what comes for the VIP', { skip }, async () => {
  await until(
    'it says why',
    async () => (await lb.health()) === 'no proxy is live; the last table is kept',
    20_000,
  );
  const { table } = await status();
  assert.deepEqual(new Set(table.slots), new Set([0xffff]));
  assert.deepEqual(await served([100]), { 100: 'silence' });
  await until('the drop is counted', async () => (await status()).metrics['packets_total.no_proxy']! > 0);
});

test('connections go where the table says, with all of the proxies in it', { skip }, async () => {
  startProxy(1);
  startProxy(2);
  await lb.ready();
  await until('both are in the table', async () => (await live()) === 'proxy-1,proxy-2');
  const { table, role, ready } = await status();
  assert.deepEqual({ role, ready }, { role: 'lb', ready: true });
  assert.equal(table.slots.length, SLOT_COUNT);
  const share = table.slots.filter(slot => slot === 0).length / SLOT_COUNT;
  assert.ok(share > 0.4 && share < 0.6, `proxy-1 has ${share} of the slots`);
  const ports = freshPorts(40);
  const answers = await served(ports);
  for (const port of ports) assert.equal(answers[port], expected(table, port), `port ${port}`);
  assert.deepEqual(new Set(Object.values(answers)), new Set(['proxy-1', 'proxy-2']));
});

test('a port that is not served refuses', { skip }, async () => {
  const before = (await status()).metrics;
  assert.deepEqual(await served([101], 81), { 101: 'ECONNREFUSED' });
  const { metrics } = await status();
  assert.equal(metrics['packets_total.refused'], before['packets_total.refused']! + 1);
});

test('a killed proxy is out of the table within 100 ms, and in again when it is back', { skip }, async t => {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const { version } = (await status()).table;
    const ended = proxies[2]!.end();
    times.push(await until('the table is without it', async () => (await live()) === 'proxy-1'));
    await ended;
    const { table } = await status();
    assert.equal(table.version, version + 1);
    assert.deepEqual(new Set(table.slots), new Set([0]));
    if (round === 0) {
      const answers = await served(freshPorts(10));
      assert.deepEqual(new Set(Object.values(answers)), new Set(['proxy-1']));
    }
    startProxy(2);
    await until('it is back', async () => (await live()) === 'proxy-1,proxy-2', 20_000);
  }
  const median = times.sort((a, b) => a - b)[2]!;
  t.diagnostic(`swapped after ${times.map(ms => Math.round(ms)).join(', ')} ms`);
  assert.ok(median < 100, `median ${median} ms`);
});

test('killed itself, it goes on steering; restarted, it goes on from its pins', { skip }, async () => {
  const { table } = await status();
  await lb.end('SIGKILL');
  const ports = freshPorts(10);
  const answers = await served(ports);
  for (const port of ports) assert.equal(answers[port], expected(table, port), `port ${port}`);

  lb = new TestDaemon(network, 'lb', MAIN, CONFIG);
  await lb.ready();
  const after = await status();
  assert.deepEqual(after.table, table);
  assert.ok(after.metrics['packets_total.steered']! > 100, 'the counters go on');
  const [port] = freshPorts(1) as [number];
  assert.equal((await served([port]))[port], expected(table, port));
});

test('with all proxies dead the last table is kept, and said so', { skip }, async () => {
  await Promise.all([1, 2].map(n => proxies[n]!.end()));
  await until('it says so', async () => (await lb.health()) === 'no proxy is live; the last table is kept');
  const { table, metrics, ready } = await status();
  assert.equal(ready, false);
  assert.deepEqual(table.live, []);
  assert.equal(table.kept, true);
  assert.equal(metrics.steering_kept, 1);
  // Two deaths at once may be seen one after the other: then the table is the last one's.
  assert.ok(
    table.slots.every(slot => slot === 0 || slot === 1),
    'slots are kept',
  );
  startProxy(1);
  startProxy(2);
  await until('both are back', async () => (await live()) === 'proxy-1,proxy-2', 20_000);
});

test('a link that is made anew gets its program again', { skip }, async () => {
  network.ip('lb', 'link', 'del', 'wan0');
  await until('it misses the device', async () => /no network device/.test(String(await lb.health())));
  network.link(
    { host: 'lb', device: 'wan0', address: '10.61.0.1/24' },
    { host: 'client', device: 'wan0', address: '10.61.0.2/24' },
  );
  network.ip('client', 'route', 'add', 'default', 'via', '10.61.0.1');
  await lb.ready();
  const { table } = await status();
  const [port] = freshPorts(1) as [number];
  assert.equal((await served([port]))[port], expected(table, port));

  network.ip('lb', 'link', 'set', 'front0', 'down');
  network.ip('lb', 'link', 'del', 'front0');
  network.link(
    { host: 'lb', device: 'front0', address: '10.62.0.1/24' },
    { host: 'fabric', device: 'lb-1', bridge: 'front' },
  );
  await until('both are back', async () => (await live()) === 'proxy-1,proxy-2', 20_000);
  await until('the next hops are known again', async () => {
    const [own] = freshPorts(1) as [number];
    return (await served([own]))[own] === expected(table, own);
  });
});

test('metrics name every exit; a second instance is refused; SIGTERM exits with 0', { skip }, async () => {
  const { body } = await ask(lb.socket, '/metrics');
  assert.match(body, /^resplice_lb_packets_total\{exit="steered"\} [1-9]/m);
  assert.match(body, /^resplice_lb_liveness_events_total\{kind="refused"\} 0$/m);
  const second = new TestDaemon(network, 'lb', MAIN, CONFIG);
  await until('the second one ends', () => !second.running, 20_000);
  assert.equal(second.child.exitCode, 70);
  assert.match(second.output, /is this daemon running already/);
  assert.equal(await lb.health(), true);
  assert.equal(await lb.end('SIGTERM'), 0);
  const [port] = freshPorts(1) as [number];
  assert.match((await served([port]))[port]!, /^proxy-/);
});
