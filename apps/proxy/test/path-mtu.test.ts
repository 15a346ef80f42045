/** A client behind a narrow link, with real kernels and all daemons: without path MTU discovery its downloads stand still. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  add,
  BpfMap,
  buildFragmentationNeeded,
  buildPacket,
  openPinnedMap,
  parseIp,
  TcpFlags,
} from '@resplice/dataplane';
import { TestDaemon, TestNetwork, TestProcess, until, whyNoNetwork } from '@resplice/service-kit/testing';
import { patternSlice } from '../../demo/src/byte-pattern.ts';
import * as layout from '../src/layout.generated.ts';

const SEND_PACKET = join(import.meta.dirname, 'fixtures/send-packet.ts');
const APPS = join(import.meta.dirname, '../..');
const VIP = '10.60.0.1';
const CLIENT = '10.65.0.2';
const BACKEND = '10.64.0.11';
const CLIENT_PORT = 40_000;
/** IP packet on the link between the roads; everything else carries 1500. */
const NARROW = 1200;
const BYTES = 8_000_000;
const BYTES_PER_SECOND = '2M';

const skip = whyNoNetwork();
let network: TestNetwork;
const processes: TestProcess[] = [];
let proxy: TestDaemon;

/** client - road-1 - narrow link - road-2 - balancer - proxy - logger - back end. */
function build(): void {
  network = new TestNetwork('ic');
  for (const host of ['client', 'road-1', 'road-2', 'lb', 'proxy', 'logger', 'backend']) {
    network.addHost(host);
    if (host !== 'client' && host !== 'backend') network.set(host, 'net.ipv4.ip_forward', '1');
  }
  network.link(
    { host: 'client', device: 'home0', address: `${CLIENT}/24` },
    { host: 'road-1', device: 'home0', address: '10.65.0.1/24' },
  );
  network.link(
    { host: 'road-1', device: 'narrow0', address: '10.66.0.1/24' },
    { host: 'road-2', device: 'narrow0', address: '10.66.0.2/24' },
  );
  for (const host of ['road-1', 'road-2']) {
    network.ip(host, 'link', 'set', 'narrow0', 'mtu', String(NARROW));
  }
  network.link(
    { host: 'road-2', device: 'wan0', address: '10.61.0.2/24' },
    { host: 'lb', device: 'wan0', address: '10.61.0.1/24' },
  );
  network.link(
    { host: 'lb', device: 'front0', address: '10.62.0.1/24' },
    { host: 'proxy', device: 'front0', address: '10.62.0.11/24' },
  );
  network.link(
    { host: 'proxy', device: 'middle0', address: '10.63.0.11/24' },
    { host: 'logger', device: 'middle0', address: '10.63.0.1/24' },
  );
  network.link(
    { host: 'logger', device: 'back0', address: '10.64.0.1/24' },
    { host: 'backend', device: 'back0', address: `${BACKEND}/24` },
  );
  const route = (host: string, ...words: string[]) => network.ip(host, 'route', 'add', ...words);
  route('client', 'default', 'via', '10.65.0.1');
  route('road-1', 'default', 'via', '10.66.0.2');
  route('road-2', '10.65.0.0/24', 'via', '10.66.0.1');
  route('road-2', 'default', 'via', '10.61.0.1');
  route('lb', 'default', 'via', '10.61.0.2');
  route('lb', 'unreachable', '10.60.0.0/24');
  route('proxy', 'default', 'via', '10.62.0.1');
  route('proxy', '10.64.0.0/24', 'via', '10.63.0.1');
  route('proxy', 'blackhole', '10.60.0.0/24');
  route('logger', 'default', 'via', '10.63.0.11');
  route('backend', 'default', 'via', '10.64.0.1', 'congctl', 'cubic');
}

function startDaemons(): TestDaemon[] {
  const vips = [{ address: VIP, port: 80 }];
  const probePort = 7001;
  const start = (host: string, app: string, config: object) => {
    const main = join(APPS, app, 'src/main.ts');
    const daemon = new TestDaemon(network, host, main, { name: `${host}-1`, probePort, ...config });
    processes.push(daemon);
    return daemon;
  };
  processes.push(new TestProcess(network, 'backend', join(APPS, 'demo/src/main.ts'), []));
  const agent = start('backend', 'backend-agent', {
    id: 301,
    device: 'back0',
    address: BACKEND,
    app: { port: 8080 },
    proxies: [{ name: 'proxy-1', id: 1, address: '10.63.0.11' }],
  });
  const logger = start('logger', 'logger', {
    id: 201,
    role: 'front',
    vips,
    middle: { device: 'middle0', address: '10.63.0.1' },
    back: { device: 'back0', address: '10.64.0.1' },
    proxies: [{ name: 'proxy-1', id: 1, address: '10.63.0.11' }],
    backends: [{ name: 'backend-1', id: 1, address: BACKEND, port: 8080 }],
    listeners: [{ name: 'web', port: 80, pool: 'web' }],
    recovery: { wait: 5000, requestBytes: 1_048_576, spillBytes: 0 },
    controlPort: 7000,
  });
  proxy = start('proxy', 'proxy', {
    id: 1,
    listeners: [{ name: 'web', address: VIP, port: 80, pool: 'web' }],
    pools: { web: { backends: 'all' } },
    front: { device: 'front0', address: '10.62.0.11' },
    middle: { device: 'middle0', address: '10.63.0.11' },
    peers: [],
    backends: [{ name: 'backend-1', id: 1, address: BACKEND, port: 8080 }],
    controlPort: 7000,
    maxConnections: 1024,
  });
  const lb = start('lb', 'lb', {
    id: 101,
    vips,
    wan: { device: 'wan0' },
    front: { device: 'front0', address: '10.62.0.1' },
    proxies: [{ name: 'proxy-1', id: 1, address: '10.62.0.11' }],
  });
  return [agent, logger, proxy, lb];
}

function read(host: string, ...command: string[]): string {
  return execFileSync('nsenter', [...network.inside(host), ...command], { encoding: 'utf8' });
}

/** What the back end's kernel believes of the client's connection, in bytes; undefined without a connection. */
function pathMtu(): number | undefined {
  const found = /\bpmtu:(\d+)/.exec(read('backend', 'ss', '-tinH', 'dst', CLIENT));
  return found ? Number(found[1]) : undefined;
}

/** ICMP messages whose quoted sequence number was not in flight, as the back end's kernel counts them. */
function refusedByBackend(): number {
  return Number(read('backend', 'nstat', '-asz', 'TcpExtOutOfWindowIcmps').match(/Icmps\s+(\d+)/)![1]);
}

async function translated(): Promise<number> {
  const { metrics } = await proxy.status<{ metrics: Record<string, number> }>();
  return metrics['packets_total.front_path_mtu']!;
}

function download(file: string): ChildProcess {
  const options = ['--silent', '--show-error', '--fail', '--max-time', '60', '--output', file];
  const pace = ['--limit-rate', BYTES_PER_SECOND, '--local-port', String(CLIENT_PORT)];
  const url = `http://${VIP}/bytes/${BYTES}`;
  return spawn('nsenter', [...network.inside('client'), 'curl', ...options, ...pace, url], {
    stdio: 'inherit',
  });
}

function hashOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

function expectedHash(): string {
  const hash = createHash('sha256');
  for (let offset = 0; offset < BYTES; ) {
    const slice = patternSlice(offset, BYTES - offset);
    hash.update(slice);
    offset += slice.length;
  }
  return hash.digest('hex');
}

/** p0 of the client's connection, as its proxy has it. */
function firstSequence(): number {
  const handle = openPinnedMap(join(network.bpf, 'proxy-1', 'splices'));
  assert.ok(handle, 'the pin is there');
  const key = { client: parseIp(CLIENT), vip: parseIp(VIP), clientPort: CLIENT_PORT, vipPort: 80 };
  const splice = new BpfMap(handle, layout.connection, layout.splice).get(key);
  closeSync(handle.fd);
  assert.ok(splice, 'the connection is spliced');
  return splice.p0;
}

before(async () => {
  if (skip) return;
  build();
  await Promise.all(startDaemons().map(daemon => daemon.ready()));
});

after(async () => {
  await Promise.all(processes.map(process => process.end()));
  network?.remove();
});

test('a download through a narrow link: the server learns its MTU, and believes no forger', {
  skip,
}, async t => {
  const file = join(network.directory, 'download');
  const curl = download(file);
  const exit = once(curl, 'exit');
  t.after(() => curl.kill('SIGKILL'));
  // Each look at the kernel's table is a process.
  await until('the server has learnt the MTU', () => pathMtu() === NARROW, 20_000);
  curl.kill('SIGSTOP'); // so that the connection is still there, however slow this machine is
  const honest = await translated();
  assert.ok(honest >= 1);
  assert.equal(refusedByBackend(), 0, 'what the routers quoted was in flight');

  // Two GiB away from what is in flight: it reaches the server and has no effect there.
  const quoted = buildPacket({
    src: parseIp(VIP),
    dst: parseIp(CLIENT),
    sport: 80,
    dport: CLIENT_PORT,
    seq: add(firstSequence(), 0x8000_0000),
    ack: 1,
    flags: TcpFlags.ACK,
    window: 1,
  });
  const forged = buildFragmentationNeeded({
    src: parseIp('10.61.0.2'),
    dst: parseIp(VIP),
    mtu: 600,
    quoted,
  });
  read('road-2', process.execPath, SEND_PACKET, Buffer.from(forged).toString('hex'));
  await until("the back end's kernel has refused it", () => refusedByBackend() === 1);
  assert.equal(await translated(), honest + 1);
  assert.equal(pathMtu(), NARROW);

  curl.kill('SIGCONT');
  assert.deepEqual(await exit, [0, null]);
  assert.equal(hashOf(file), expectedHash());
});
