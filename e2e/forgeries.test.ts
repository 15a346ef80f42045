/** What somebody who knows a connection's addresses and ports, but sees none of its packets, can do to it: nothing. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { buildPacket, parseIp, TcpFlags } from '@resplice/dataplane';
import type { ClientConnection } from './fixtures/client.ts';
import { Client } from './fixtures/client.ts';
import { garbage } from './fixtures/garbage.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { connectionOf, splicesOf } from './fixtures/splices.ts';
import { waitFor } from './fixtures/wait.ts';

const { ACK, FIN, PSH, RST, SYN } = TcpFlags;
const BYTES = 60_000_000;
const RATE = 20e6;

let lab: Lab;
let client: Client;
/** Its packets take the same way as the client's; nothing that comes back reaches it. */
let forger: Client;
before(async () => {
  lab = await Lab.up();
  client = await lab.client();
  forger = await Client.start(`/run/netns/${lab.clientNamespace}`);
});
after(async () => {
  await forger?.stop();
  await lab?.down();
});
const theLab = (): Lab => lab;

/** Packets in a client's name, evenly spread over all sequence numbers. */
function sweep(local: string, count: number, flags: number, payload = new Uint8Array(0)): Uint8Array[] {
  const [address, port] = local.split(':');
  const step = Math.floor(0x1_0000_0000 / count);
  const start = Math.floor(Math.random() * step);
  return Array.from({ length: count }, (_, i) =>
    buildPacket({
      src: parseIp(address!),
      dst: parseIp(lab.vip.address),
      sport: Number(port),
      dport: lab.vip.port,
      seq: (start + i * step) >>> 0,
      ack: flags & ACK ? Math.floor(Math.random() * 0x1_0000_0000) : 0,
      flags,
      window: 502,
      payload,
    }),
  );
}

async function sendAll(packets: readonly Uint8Array[]): Promise<void> {
  for (let at = 0; at < packets.length; at += 500) await forger.sendPackets(packets.slice(at, at + 500));
}

/** Connections that the back ends are counted to have, as the proxies see it. */
async function open(local: string): Promise<boolean> {
  return (await lab.status()).connections.some(each => each.client === local);
}

async function assertAlive(connection: ClientConnection): Promise<void> {
  const exchange = await connection.request({ path: '/whoami' }).done;
  assert.equal(exchange.status, 200);
  assert.equal(exchange.local, connection.local);
}

const FORGED = [
  ['RSTs', RST, ''],
  ['RSTs that acknowledge', RST | ACK, ''],
  ['FINs', FIN | ACK, ''],
  ['data', PSH | ACK, 'GET /forged HTTP/1.1\r\nHost: forged\r\n\r\n'],
  ['data with FINs', FIN | PSH | ACK, 'forged'],
  ['ACKs', ACK, ''],
  ['SYNs', SYN, ''],
] as const;

for (const [what, flags, text] of FORGED) {
  labTest(
    `10,000 forged ${what} do not disturb a download, an upload or an idle connection`,
    theLab,
    async t => {
      const options = { ...lab.site, bufferBytes: 131_072 };
      const [down, up, idle] = await Promise.all([1, 2, 3].map(() => client.connect(options)));
      await assertAlive(idle!);
      const download = down!.request({ path: `/bytes/${BYTES}`, patternFrom: 0, bytesPerSecond: RATE });
      const upload = up!.request({
        method: 'POST',
        path: '/upload',
        upload: { bytes: BYTES },
        bytesPerSecond: RATE,
      });
      await Promise.all([download.received(BYTES / 20), upload.sent(BYTES / 20)]);
      const payload = new TextEncoder().encode(text);
      for (const each of [down!, up!, idle!]) await sendAll(sweep(each.local, 10_000, flags, payload));
      assert.ok(download.progress.received < BYTES, 'inconclusive: the download was over');
      for (const each of [down!, up!, idle!]) assert.ok(await open(each.local), `${each.local} is counted`);
      const [got, sent] = await Promise.all([download.done, upload.done]);
      assert.deepEqual([got.received, got.firstDifference, got.sha256], [BYTES, -1, patternHash(BYTES)]);
      assert.deepEqual(JSON.parse(sent.text!), { bytes: BYTES, sha256: patternHash(BYTES) });
      t.diagnostic(
        `longest pause: ${got.longestStallMs.toFixed(0)} ms down, ${sent.longestStallMs.toFixed(0)} ms up`,
      );
      for (const each of [down!, up!, idle!]) {
        await assertAlive(each);
        assert.ok(await open(each.local), `${each.local} is still counted`);
        await each.close();
      }
      await waitFor('the connections to be counted out', 3000, async () => !(await open(idle!.local)));
    },
  );
}

labTest('garbage of every kind does not disturb a download, and all of it is counted', theLab, async t => {
  const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
  const download = connection.request({ path: `/bytes/${BYTES}`, patternFrom: 0, bytesPerSecond: RATE });
  await download.received(BYTES / 20);
  const before = await exits();
  const addresses = (await lab.status()).components.flatMap(each => each.addresses);
  const packets = garbage(11, 20_000, { vip: lab.vip, local: connection.local, sources: addresses });
  await sendAll(packets);
  const { received, firstDifference, sha256, longestStallMs } = await download.done;
  assert.deepEqual([received, firstDifference, sha256], [BYTES, -1, patternHash(BYTES)]);
  const after = await exits();
  const moved = Object.keys(after).filter(name => after[name] !== before[name]);
  t.diagnostic(moved.map(name => `${name} ${after[name]! - (before[name] ?? 0)}`).join(', '));
  t.diagnostic(`longest pause ${longestStallMs.toFixed(0)} ms`);
  for (const exit of [
    'lb.malformed',
    'lb.bogus_source',
    'lb.other_protocol',
    'lb.closed_port',
    'proxy.front_malformed',
  ]) {
    assert.ok(moved.includes(exit), `inconclusive: nothing was ${exit}`);
  }
  await assertAlive(connection);
  for (const proxy of ['proxy-1', 'proxy-2']) {
    assert.ok(splicesOf(proxy).get(connectionOf(connection.local, lab.vip)), `${proxy} knows the connection`);
  }
  await connection.close();
});

/** Packets by role and exit. */
async function exits(): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const { role, metrics } of (await lab.status()).components) {
    for (const [name, value] of Object.entries(metrics)) {
      const exit = /^packets_total\.(.*)/.exec(name)?.[1];
      if (exit) sums[`${role}.${exit}`] = (sums[`${role}.${exit}`] ?? 0) + value;
    }
  }
  return sums;
}

labTest('a port that is not served refuses at once', theLab, async () => {
  const started = performance.now();
  const failure = await client.connect({ host: lab.vip.address, port: 22 }).then(
    () => assert.fail('somebody answers on port 22'),
    (error: Error) => error,
  );
  assert.match(failure.message, /ECONNREFUSED/);
  assert.ok(performance.now() - started < 200, `refused after ${performance.now() - started} ms`);
});

const HOST = 'Host: a\r\n';
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
for (const [what, text, status] of [
  [
    'both lengths',
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    400,
  ],
  ['a list of lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5, 5\r\n\r\n${SMUGGLED}`, 400],
  [
    'a folded coding',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    400,
  ],
  ['a space before a colon', `POST / HTTP/1.1\r\n${HOST}Content-Length : 3\r\n\r\nabc`, 400],
  ['a NUL', 'GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n', 400],
  ['a bare line feed', 'GET / HTTP/1.1\nHost: a\n\n', 400],
  ['GET with content', `GET / HTTP/1.1\r\n${HOST}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`, 400],
  ['101 fields', `GET / HTTP/1.1\r\n${HOST}${'X: y\r\n'.repeat(100)}\r\n`, 431],
  ['HTTP/0.9', 'GET /\r\n', 400],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ['TLS', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03', 400],
] as const) {
  labTest(`a head that is refused reaches no back end: ${what}`, theLab, async () => {
    const bound = async (): Promise<number> => {
      const { components } = await lab.status();
      return components.reduce((sum, { metrics }) => sum + (metrics['packets_total.in_bound'] ?? 0), 0);
    };
    const before = await bound();
    const said = await client.say(lab.site, Buffer.from(text, 'latin1'));
    assert.match(said, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.equal(said.match(/HTTP\/1\.1 \d/g)!.length, 1, 'one answer');
    assert.equal(await bound(), before);
  });
}
