import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseIp } from '@resplice/dataplane';
import { deriveKey } from '@resplice/protocol';
import {
  TestDaemon,
  TestNetwork,
  TestProcess,
  until,
  WATCHER,
  whyNoNetwork,
} from '@resplice/service-kit/testing';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const APP = join(import.meta.dirname, 'fixtures/app.ts');
const ASKER = join(import.meta.dirname, 'fixtures/asker.ts');
const PROBE_PORT = 7001;
const CONFIG = {
  name: 'backend-1',
  id: 301,
  device: 'back0',
  address: '10.64.0.11',
  app: { port: 8080 },
  proxies: [{ name: 'proxy-1', id: 1, address: '10.64.0.1' }],
  probePort: PROBE_PORT,
};
const NOT_ACCEPTING = 'the application does not accept connections on 10.64.0.11:8080';

interface Status {
  role: string;
  app: { accepting: boolean };
  metrics: Record<string, number>;
}

interface State {
  live: boolean;
  ready: boolean;
  epoch: number;
}

const skip = whyNoNetwork();
let network: TestNetwork;
let agent: TestDaemon;
let watcher: TestProcess;
let app: TestProcess | undefined;

const status = () => agent.status<Status>();
const exit = async (name: string) => (await status()).metrics[`packets_total.${name}`]!;

/** What a proxy last heard. */
function heard(): State | undefined {
  const last = watcher.output.trim().split('\n').at(-1);
  return last ? JSON.parse(last) : undefined;
}

function startApp(backlog: number): void {
  app = new TestProcess(network, 'backend', APP, ['8080', String(backlog)]);
}

function readSetting(name: string): string {
  const file = `/proc/sys/net/ipv4/${name}`;
  return execFileSync('nsenter', [...network.inside('backend'), 'cat', file], { encoding: 'utf8' }).trim();
}

/** Sends a proxy's SYN; fields in `change` make it another one's. */
async function askFor(change: object = {}): Promise<void> {
  const fields = {
    key: Buffer.from(deriveKey(network.key, 'splice-syn', 16)).toString('hex'),
    clientIp: parseIp('10.61.0.2'),
    clientPort: 40_000,
    backendIp: parseIp(CONFIG.address),
    backendPort: 8080,
    synIsn: 1_000_000,
    originalIsn: 1_000_000,
    originalP0: 77,
    p0: 77,
    proxyId: 1,
    order: 0,
    vip: parseIp('10.60.0.1'),
    vipPort: 80,
    owed: 0,
    ...change,
  };
  const asker = new TestProcess(network, 'proxy', ASKER, [JSON.stringify(fields)]);
  await once(asker.child, 'close');
  assert.equal(asker.child.exitCode, 0, asker.output);
}

before(() => {
  if (skip) return;
  network = new TestNetwork('sag');
  for (const host of ['backend', 'proxy']) network.addHost(host);
  network.link(
    { host: 'backend', device: 'back0', address: '10.64.0.11/24' },
    { host: 'proxy', device: 'back0', address: '10.64.0.1/24' },
  );
  network.ip('backend', 'route', 'add', 'default', 'via', '10.64.0.1');
  network.set('backend', 'net.ipv4.tcp_syncookies', '1');
  agent = new TestDaemon(network, 'backend', MAIN, CONFIG);
  const key = Buffer.from(network.key).toString('hex');
  watcher = new TestProcess(network, 'proxy', WATCHER, [
    '1',
    key,
    '301',
    CONFIG.address,
    String(PROBE_PORT),
    '50',
  ]);
});

after(async () => {
  await Promise.all([agent, watcher, app].map(process => process?.end()));
  network?.remove();
});

test('without its application it is live but not ready, and says why', { skip }, async () => {
  await until('it says why', async () => (await agent.health()) === NOT_ACCEPTING, 20_000);
  await until('a proxy hears it', () => heard()?.live === true && heard()?.ready === false);
  assert.deepEqual((await status()).app, { accepting: false });
  assert.equal((await status()).role, 'agent');
});

test('the kernel settings that splicing needs are made', { skip }, () => {
  assert.equal(readSetting('tcp_syncookies'), '0');
  assert.equal(readSetting('tcp_invalid_ratelimit'), '0');
  assert.equal(readSetting('tcp_no_metrics_save'), '0');
});

test('the application comes and goes: the proxies hear of it', { skip }, async () => {
  startApp(1);
  await agent.ready();
  await until('a proxy hears ready', () => heard()?.ready === true);
  assert.deepEqual((await status()).app, { accepting: true });

  const ended = app!.end();
  const gone = await until('a proxy hears that it is gone', () => heard()?.ready === false);
  await ended;
  assert.ok(gone < 600, `${gone} ms`);
  assert.equal(heard()?.live, true);
  // Half-open connections of the later tests stay in its queue.
  startApp(100);
  const back = await until('it is back', () => heard()?.ready === true, 10_000);
  assert.ok(back < 5000, `${back} ms`);
});

test('a proxy with the key has a translation recorded, nobody else has', { skip }, async () => {
  await askFor();
  await until('the answer went to the proxy', async () => (await exit('out_to_proxy')) >= 1);
  assert.equal(await exit('in_bound'), 1);
  await askFor();
  await until('the repetition is known', async () => (await exit('in_repeated')) === 1);

  await askFor({ key: '00'.repeat(16), clientPort: 40_001 });
  await until('the forgery is counted', async () => (await exit('in_forged')) === 1);
  await askFor({ proxyId: 2, clientPort: 40_002 });
  await until('the stranger is counted', async () => (await exit('in_unknown_proxy')) === 1);
  assert.equal(await exit('in_bound'), 1);
  const { metrics } = await status();
  for (const [name, value] of Object.entries(metrics))
    if (name.includes('never_')) assert.equal(value, 0, name);
});

test('killed, its programs stay; restarted, it goes on with the same translations', { skip }, async () => {
  const epoch = heard()!.epoch;
  await agent.end('SIGKILL');
  await until('the proxies hear nothing', () => heard()?.live === false);
  await askFor({ clientPort: 40_003 });
  agent = new TestDaemon(network, 'backend', MAIN, CONFIG);
  await agent.ready();
  assert.equal(await exit('in_bound'), 2, 'bound while no agent ran');
  await until('the proxies hear it again', () => heard()?.live === true && heard()?.ready === true);
  assert.ok(heard()!.epoch > epoch);
  await askFor({ clientPort: 40_003 });
  await until('it is still known', async () => (await exit('in_repeated')) === 2);
});

test('a program that was taken away is attached again', { skip }, async () => {
  execFileSync('nsenter', [...network.inside('backend'), 'tc', 'qdisc', 'del', 'dev', 'back0', 'clsact']);
  await until('it was noticed', () => agent.output.includes('attached again'));
  await until('both are back', async () => {
    await askFor({ clientPort: 40_003 });
    return (await exit('in_repeated')) >= 3;
  });
});

test('a proxy that is no longer configured may ask no more', { skip }, async () => {
  assert.equal(await agent.end('SIGTERM'), 0);
  const proxies = [{ name: 'proxy-2', id: 2, address: '10.64.0.2' }];
  agent = new TestDaemon(network, 'backend', MAIN, { ...CONFIG, proxies });
  await agent.ready();
  const before = await exit('in_unknown_proxy');
  await askFor({ clientPort: 40_004 });
  await until('it is a stranger now', async () => (await exit('in_unknown_proxy')) === before + 1);
});
