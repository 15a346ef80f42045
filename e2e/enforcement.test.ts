/** Listeners with rules for each request: what comes later on a kept-alive connection is judged like what came first. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { buildPacket, parseIp, TcpFlags } from '@resplice/dataplane';
import { hashSync } from 'bcryptjs';
import { get } from './fixtures/admin.ts';
import { Client, type ClientConnection } from './fixtures/client.ts';
import { type Exchange, ExchangeError } from './fixtures/exchange.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest, resplice } from './fixtures/lab.ts';
import { loseBetweenClientAndTier } from './fixtures/loss.ts';
import { grown, tcpCounters } from './fixtures/tcp-counters.ts';
import { forgetTrack, trackOf } from './fixtures/tracks.ts';
import { waitFor } from './fixtures/wait.ts';

const { ACK, PSH } = TcpFlags;
const LOGGER = 'logger-1/logger';
const STAFF = 8443;
const PLAIN = 8081;
const BYTES = 30_000_000;
const PACE = 10e6;

const directory = mkdtempSync(join(tmpdir(), 'resplice-enforcement-'));
after(() => rmSync(directory, { recursive: true }));

const ROUTES = `
      - { match: { header: { name: x-pool, value: second } }, pool: second }
      - { match: { header: { name: x-pool, value: all } }, pool: all, tags: { idempotent: true } }
      - { pool: first }`;
const AUTH = '{ basic: { realm: Staff, htpasswd: staff.htpasswd } }';
const rules = (plain = 'pool: first', web = ROUTES) => `
listeners:
  - name: web
    port: 80
    routes:${web}
  - { name: staff, port: ${STAFF}, pool: all, auth: ${AUTH} }
  - { name: plain, port: ${PLAIN}, ${plain} }
pools:
  first: { backends: [backend-1] }
  second: { backends: [backend-2] }
  all: { backends: all }
`;

const ADA = { Authorization: `Basic ${Buffer.from('ada:correct horse').toString('base64')}` };
const file = join(directory, 'resplice.yaml');

let lab: Lab;
let client: Client;
/** Its packets take the same way as the client's; nothing that comes back reaches it. */
let forger: Client;
before(async () => {
  writeFileSync(join(directory, 'staff.htpasswd'), `ada:${hashSync('correct horse', 8)}\n`);
  writeFileSync(file, rules());
  lab = await Lab.up({ config: file });
  client = await lab.client();
  forger = await Client.start(`/run/netns/${lab.clientNamespace}`);
});
after(async () => {
  await forger?.stop();
  await lab?.down();
});
const theLab = (): Lab => lab;

function connect(port = 80): Promise<ClientConnection> {
  return client.connect({ host: lab.vip.address, port, bufferBytes: 131_072 });
}

/** @returns the back end that served it, or the status if that is not 200 */
async function served(
  connection: ClientConnection,
  headers: Record<string, string> = {},
): Promise<string | number> {
  const { status, text } = await connection.request({ path: '/whoami', headers, deadlineMs: 15_000 }).done;
  return status === 200 ? JSON.parse(text!).backend : status;
}

async function counted(event: string): Promise<number> {
  const { body } = await get('logger-1', 'logger', '/metrics');
  const [, value] = new RegExp(`events_total\\{event="${event}"\\} (\\d+)`).exec(body) ?? [];
  assert.ok(value !== undefined, `the logger counts no ${event}`);
  return Number(value);
}

async function executed(): Promise<readonly string[]> {
  return (await lab.counts()).flatMap(({ tokens }) => tokens);
}

const text = (lines: readonly string[], body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`;
const authorized = `Authorization: ${ADA.Authorization}`;
const whoami = (...more: string[]) => text(['GET /whoami HTTP/1.1', 'Host: a', ...more]);
const order = (token: string, ...more: string[]) =>
  text(['POST /count HTTP/1.1', 'Host: a', `X-Request-Token: ${token}`, 'Content-Length: 0', ...more]);

labTest('one connection, two routes to two pools: each request gets to its own', theLab, async t => {
  const connection = await connect();
  const places: (string | number)[] = [];
  const started = performance.now();
  for (let i = 0; i < 20; i++) places.push(await served(connection, i % 2 ? { 'X-Pool': 'second' } : {}));
  t.diagnostic(`${((performance.now() - started) / 20).toFixed(1)} ms a request`);
  assert.deepEqual(
    places,
    Array.from({ length: 20 }, (_, i) => (i % 2 ? 'backend-2' : 'backend-1')),
  );
  await connection.close();
});

labTest('pools change between pipelined requests as well', theLab, async () => {
  const said = await client.say(
    lab.site,
    Buffer.from(
      whoami() + whoami('X-Pool: second') + whoami() + whoami('X-Pool: second', 'Connection: close'),
    ),
  );
  const places = [...said.matchAll(/"backend":"([^"]+)"/g)].map(([, name]) => name);
  assert.deepEqual(places, ['backend-1', 'backend-2', 'backend-1', 'backend-2'], said);
});

labTest('HTTP Basic: each request must have credentials; 401 keeps the connection', theLab, async t => {
  const refused = await client.fetch({ host: lab.vip.address, port: STAFF }, { path: '/whoami' });
  const challenge = 'Basic realm="Staff", charset="UTF-8"';
  assert.deepEqual(
    [refused.status, refused.headers['www-authenticate'], refused.headers.connection],
    [401, challenge, 'close'],
  );
  const connection = await connect(STAFF);
  assert.match(String(await served(connection, ADA)), /^backend-/);
  const before = await counted('forbidden');
  for (const wrong of ['ada:wrong', 'eve:correct horse', undefined]) {
    const headers: Record<string, string> =
      wrong === undefined ? {} : { Authorization: `Basic ${Buffer.from(wrong).toString('base64')}` };
    const started = performance.now();
    const { status, headers: said, local } = await connection.request({ path: '/whoami', headers }).done;
    t.diagnostic(`${wrong}: ${status} after ${(performance.now() - started).toFixed(0)} ms`);
    assert.deepEqual([status, said['www-authenticate'], said.connection], [401, challenge, undefined]);
    assert.equal(local, connection.local);
    assert.match(String(await served(connection, ADA)), /^backend-/, 'again, with credentials');
  }
  assert.equal(await counted('forbidden'), before + 3);
  await connection.close();
});

labTest(
  'an update without credentials behind a read with them, in one segment, runs nowhere',
  theLab,
  async () => {
    const [forbidden, allowed] = [randomUUID(), randomUUID()];
    const said = await client.say(
      { host: lab.vip.address, port: STAFF },
      Buffer.from(
        whoami(authorized) +
          order(forbidden) +
          order(allowed, authorized) +
          whoami(authorized, 'Connection: close'),
      ),
    );
    const statuses = [...said.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    assert.deepEqual(statuses, ['200', '401', '200', '200'], said);
    assert.deepEqual(
      (await executed()).filter(each => each === forbidden || each === allowed),
      [allowed],
    );
  },
);

labTest('content that looks like a request is content', theLab, async () => {
  const token = randomUUID();
  const body = order(token);
  const said = await client.say(
    { host: lab.vip.address, port: STAFF },
    Buffer.from(
      text(['POST /echo HTTP/1.1', 'Host: a', authorized, `Content-Length: ${body.length}`], body) +
        whoami(authorized, 'Connection: close'),
    ),
  );
  const statuses = [...said.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status);
  assert.ok(said.includes(body), said);
  assert.ok(
    statuses.every(each => each === '200'),
    said,
  );
  assert.equal((await executed()).includes(token), false);
});

/** What becomes of the first of two segments with the same numbers, before a back end's kernel sees it. */
const LOSSES = [
  ['both arrive', (packet: Uint8Array) => packet, {}],
  ['the first one dies on the way', (packet: Uint8Array) => packet, { ttl: 2 }],
  [
    'the first one is damaged',
    (packet: Uint8Array) => {
      packet[36]! ^= 0xff;
      return packet;
    },
    {},
  ],
] as const;

for (const [what, spoil, fields] of LOSSES) {
  labTest(`the same numbers with another content: reset, and it runs nowhere: ${what}`, theLab, async () => {
    const connection = await connect(STAFF);
    assert.match(String(await served(connection, ADA)), /^backend-/);
    const vip = { address: lab.vip.address, port: STAFF };
    // The client must have acknowledged what it has, or the numbers are not known yet.
    const track = await waitFor('the numbers to be settled', 2000, async () => {
      const found = trackOf(connection.local, vip);
      return found.clientAck === found.serverNext ? found : undefined;
    });
    const [address, port] = connection.local.split(':');
    const segment = (content: string, more: { ttl?: number } = {}) =>
      buildPacket({
        ...{ src: parseIp(address!), dst: parseIp(vip.address), sport: Number(port), dport: vip.port },
        ...{ seq: track.clientLogged, ack: track.serverNext, flags: ACK | PSH, window: 502 },
        payload: Buffer.from(content),
        ...more,
      });
    const before = await counted('overlaps_differ');
    const token = randomUUID();
    await forger.sendPackets([spoil(segment(whoami(authorized), fields)), segment(order(token))]);
    await waitFor('the contradiction to be counted', 3000, async () => {
      return (await counted('overlaps_differ')) === before + 1;
    });
    const end = await connection.request({ path: '/whoami', headers: ADA, deadlineMs: 5000 }).done.then(
      () => 'answered',
      (error: unknown) => (error instanceof ExchangeError ? error.failure.kind : String(error)),
    );
    assert.equal(end, 'reset');
    assert.equal((await executed()).includes(token), false);
  });
}

labTest('uploads and downloads through the judge: every byte right', theLab, async t => {
  const connection = await connect(STAFF);
  const up = await connection.request({
    ...{ method: 'POST', path: '/upload', headers: ADA },
    upload: { bytes: BYTES },
  }).done;
  assert.deepEqual(JSON.parse(up.text!), { bytes: BYTES, sha256: patternHash(BYTES) });
  const down = await connection.request({ path: `/bytes/${BYTES}`, headers: ADA, patternFrom: 0 }).done;
  assert.deepEqual([down.sha256, down.firstDifference], [patternHash(BYTES), -1]);
  const rate = ({ startedAt, endedAt }: Exchange) => (BYTES / (endedAt - startedAt) / 1000).toFixed(0);
  t.diagnostic(`${rate(up)} MB/s up, ${rate(down)} MB/s down`);
  await connection.close();
});

labTest('heads in pieces, the first one and later ones', theLab, async t => {
  for (const nagle of [false, true]) {
    const connection = await client.connect({ host: lab.vip.address, port: STAFF, nagle });
    for (const [bytes, length] of [
      [1, 10],
      [40, 500],
      [4000, 40_000],
    ] as const) {
      const headers = { ...ADA, X: 'x'.repeat(length) };
      const request = { path: '/whoami', headers, headPieces: { bytes, pauseMs: 0 } };
      const { status, startedAt, endedAt } = await connection.request(request).done;
      assert.equal(status, 200);
      t.diagnostic(`${length} bytes in pieces of ${bytes}: ${(endedAt - startedAt).toFixed(0)} ms`);
    }
    await connection.close();
  }
});

labTest('50 connections at once, pools in turn: each POST runs once, at its own', theLab, async t => {
  const run = randomUUID();
  const connections = await Promise.all(Array.from({ length: 50 }, () => connect()));
  const started = performance.now();
  await Promise.all(
    connections.map(async (connection, c) => {
      for (let i = 0; i < 10; i++) {
        const pool: Record<string, string> = (c + i) % 2 ? { 'X-Pool': 'second' } : {};
        const headers = { ...pool, 'X-Request-Token': `${run}-${c}-${i}` };
        const { status } = await connection.request({ method: 'POST', path: '/count', headers }).done;
        assert.equal(status, 200);
      }
    }),
  );
  t.diagnostic(`${(500_000 / (performance.now() - started)).toFixed(0)} requests/s`);
  const counts = await lab.counts();
  for (const [at, backend] of ['backend-1', 'backend-2'].entries()) {
    const { tokens } = counts.find(each => each.backend === backend)!;
    const expected = connections.flatMap((_, c) =>
      Array.from({ length: 10 }, (_, i) => i)
        .filter(i => (c + i) % 2 === at)
        .map(i => `${run}-${c}-${i}`),
    );
    assert.deepEqual(tokens.filter(each => each.startsWith(run)).sort(), expected.sort(), backend);
  }
  for (const each of connections) await each.close();
});

for (const fault of ['crash', 'cut'] as const) {
  labTest(
    `${fault} of a proxy in an upload and in a download: they go on, and are judged`,
    theLab,
    async t => {
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
        await lab.fault(fault, proxy);
        await lab.heal();
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
    },
  );
}

labTest(
  'a back end is killed in mid-download and mid-upload: another one of the pool goes on',
  theLab,
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
    await lab.fault('crash', 'backend-1');
    const got = await download.done;
    assert.deepEqual([got.sha256, got.firstDifference], [patternHash(BYTES), -1]);
    t.diagnostic(`longest stall of the download: ${got.longestStallMs.toFixed(0)} ms`);
    assert.deepEqual(JSON.parse((await upload.done).text!), {
      bytes: BYTES / 10,
      sha256: patternHash(BYTES / 10),
    });
    assert.equal(await served(idle, headers), 'backend-2');
    assert.equal(await served(idle), 503, 'the other pool has nobody left');
    await lab.heal();
    await waitFor(
      'the former back end to be taken again',
      10_000,
      async () => (await served(idle)) === 'backend-1',
    );
    for (const each of connections) await each.close();
  },
);

labTest(
  'a back end is drained: connections leave it between two requests, by the rules',
  theLab,
  async () => {
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
  },
);

labTest(
  "a reload's rules hold from the next head on, for connections that nobody judged before as well",
  theLab,
  async () => {
    const [web, plain, staff] = [await connect(), await connect(PLAIN), await connect(STAFF)];
    assert.deepEqual([await served(web), await served(plain)], ['backend-1', 'backend-1']);
    assert.match(String(await served(staff, ADA)), /^backend-/);
    const follow = async (text: string) => {
      writeFileSync(file, text);
      const { code, stderr } = await resplice(['reload']);
      assert.equal(code, 0, stderr);
    };
    try {
      await follow(rules(`pool: second, auth: ${AUTH}`, '\n      - { pool: second }'));
      assert.deepEqual([await served(web), await served(plain)], ['backend-2', 401]);
      assert.equal(await served(plain, ADA), 'backend-2');
      const fresh = await connect(PLAIN);
      assert.equal(await served(fresh), 401);
      await fresh.close();
    } finally {
      await follow(rules());
    }
    assert.deepEqual([await served(web), await served(plain)], ['backend-1', 'backend-1']);
    assert.equal(await served(staff), 401);
    for (const each of [web, plain, staff]) await each.close();
  },
);

labTest("the logger's daemon starts anew: connections go on, and are judged", theLab, async () => {
  const [idle, down] = [await connect(STAFF), await connect(STAFF)];
  assert.match(String(await served(idle, ADA)), /^backend-/);
  const download = down.request({
    ...{ path: `/bytes/${BYTES}`, headers: ADA, patternFrom: 0, bytesPerSecond: PACE },
  });
  await download.received(BYTES / 4);
  await lab.fault('restart', LOGGER);
  assert.equal((await download.done).sha256, patternHash(BYTES));
  assert.equal(await served(idle), 401);
  for (const each of [idle, down]) {
    assert.match(String(await served(each, ADA)), /^backend-/);
    await each.close();
  }
});

labTest(
  "the logger's daemon starts anew in a head that it has acknowledged: reset, not left alone",
  theLab,
  async t => {
    const connection = await connect(STAFF);
    assert.match(String(await served(connection, ADA)), /^backend-/);
    const end = connection
      .request({ path: '/whoami', headers: ADA, headPieces: { bytes: 20, pauseMs: 400 }, deadlineMs: 20_000 })
      .done.then(
        () => 'answered',
        (error: unknown) => (error instanceof ExchangeError ? error.failure.kind : String(error)),
      );
    const vip = { address: lab.vip.address, port: STAFF };
    await waitFor('a piece to be acknowledged', 3000, () => {
      const { told, serverAcked } = trackOf(connection.local, vip);
      return told !== serverAcked;
    });
    const started = performance.now();
    await lab.fault('restart', LOGGER);
    assert.equal(await end, 'reset');
    t.diagnostic(`reset ${(performance.now() - started).toFixed(0)} ms after the restart began`);
  },
);

labTest('a connection that the logger does not know is reset, not left alone', theLab, async t => {
  const connection = await connect(STAFF);
  assert.match(String(await served(connection, ADA)), /^backend-/);
  const backends = ['10.64.0.11', '10.64.0.12'].map(address => ({ address, port: 8080 }));
  forgetTrack(connection.local, { address: lab.vip.address, port: STAFF }, backends);
  const token = randomUUID();
  const started = performance.now();
  const end = await connection
    .request({
      ...{ method: 'POST', path: '/count', headers: { ...ADA, 'X-Request-Token': token } },
      deadlineMs: 10_000,
    })
    .done.then(
      () => 'answered',
      (error: unknown) => (error instanceof ExchangeError ? error.failure.kind : String(error)),
    );
  t.diagnostic(`${end} after ${(performance.now() - started).toFixed(0)} ms`);
  assert.equal(end, 'reset');
  assert.equal((await executed()).includes(token), false);
});

labTest('nobody reads the log: what cannot be judged waits', theLab, async t => {
  const connection = await connect(STAFF);
  assert.match(String(await served(connection, ADA)), /^backend-/);
  const token = randomUUID();
  await lab.fault('freeze', LOGGER);
  const frozenAt = performance.now();
  const answer = connection.request({
    ...{ method: 'POST', path: '/count', headers: { 'X-Request-Token': token }, deadlineMs: 30_000 },
  });
  // Longer than `passUnloggedAfterMs`: others pass unlogged by now.
  await waitFor('patience to end', 5000, async () => performance.now() - frozenAt > 3000);
  assert.equal((await executed()).includes(token), false);
  await lab.heal();
  assert.equal((await answer.done).status, 401);
  t.diagnostic(`answered ${(performance.now() - frozenAt).toFixed(0)} ms after the freeze`);
  assert.equal((await executed()).includes(token), false);
  await connection.close();
});

// The last one: the loss stays.
labTest('1 % of the packets are lost each way: an upload comes whole, and by SACK', theLab, async t => {
  await loseBetweenClientAndTier(1, [['resplice-client-1', 'wan0']]);
  for (const [name, port] of [
    ['passed', PLAIN],
    ['judged', STAFF],
  ] as const) {
    const connection = await connect(port);
    const before = await tcpCounters('resplice-client-1');
    const { startedAt, endedAt, text } = await connection.request({
      ...{ method: 'POST', path: '/upload', headers: ADA },
      upload: { bytes: BYTES },
    }).done;
    assert.deepEqual(JSON.parse(text!), { bytes: BYTES, sha256: patternHash(BYTES) });
    const {
      RetransSegs,
      TCPSackRecovery = 0,
      TCPTimeouts = 0,
    } = grown(before, await tcpCounters('resplice-client-1'));
    const facts = `${RetransSegs} segments sent again, ${TCPSackRecovery} recoveries by SACK, ${TCPTimeouts} time-outs`;
    t.diagnostic(`${name}: ${(endedAt - startedAt).toFixed(0)} ms, ${facts}`);
    assert.ok(TCPSackRecovery > 10, `inconclusive: ${facts}`);
    assert.ok(TCPTimeouts < TCPSackRecovery / 4, facts);
    await connection.close();
  }
});
