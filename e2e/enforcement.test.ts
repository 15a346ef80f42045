/** Listeners with rules for each request: what comes later on a kept-alive connection is judged like what came first. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { buildPacket, parseIp, TcpFlags } from '@resplice/dataplane';
import { Client } from './fixtures/client.ts';
import type { Exchange } from './fixtures/exchange.ts';
import {
  ADA,
  AUTH,
  authorized,
  counted,
  endOf,
  guardedLab,
  order,
  PLAIN,
  rules,
  STAFF,
  served,
  text,
  whoami,
} from './fixtures/guarded-lab.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { labTest, resplice } from './fixtures/lab.ts';
import { loseBetweenClientAndTier } from './fixtures/loss.ts';
import { grown, tcpCounters } from './fixtures/tcp-counters.ts';
import { trackOf } from './fixtures/tracks.ts';
import { waitFor } from './fixtures/wait.ts';

const { ACK, PSH } = TcpFlags;
const BYTES = 30_000_000;

const { lab, client, connect, executed, write } = guardedLab();

labTest('one connection, two routes to two pools: each request gets to its own', lab, async t => {
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

labTest('pools change between pipelined requests as well', lab, async () => {
  const said = await client().say(
    lab().site,
    Buffer.from(
      whoami() + whoami('X-Pool: second') + whoami() + whoami('X-Pool: second', 'Connection: close'),
    ),
  );
  const places = [...said.matchAll(/"backend":"([^"]+)"/g)].map(([, name]) => name);
  assert.deepEqual(places, ['backend-1', 'backend-2', 'backend-1', 'backend-2'], said);
});

labTest('HTTP Basic: each request must have credentials; 401 keeps the connection', lab, async t => {
  const refused = await client().fetch({ host: lab().vip.address, port: STAFF }, { path: '/whoami' });
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
  lab,
  async () => {
    const [forbidden, allowed] = [randomUUID(), randomUUID()];
    const said = await client().say(
      { host: lab().vip.address, port: STAFF },
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

labTest('content that looks like a request is content', lab, async () => {
  const token = randomUUID();
  const body = order(token);
  const said = await client().say(
    { host: lab().vip.address, port: STAFF },
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
  labTest(`the same numbers with another content: reset, and it runs nowhere: ${what}`, lab, async () => {
    const connection = await connect(STAFF);
    assert.match(String(await served(connection, ADA)), /^backend-/);
    const vip = { address: lab().vip.address, port: STAFF };
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
    // Its packets take the same way as the client's; nothing that comes back reaches it.
    const forger = await Client.start(`/run/netns/${lab().clientNamespace}`);
    await forger.sendPackets([spoil(segment(whoami(authorized), fields)), segment(order(token))]);
    await forger.stop();
    await waitFor('the contradiction to be counted', 3000, async () => {
      return (await counted('overlaps_differ')) === before + 1;
    });
    const end = await endOf(connection.request({ path: '/whoami', headers: ADA, deadlineMs: 5000 }));
    assert.equal(end, 'reset');
    assert.equal((await executed()).includes(token), false);
  });
}

labTest('uploads and downloads through the judge: every byte right', lab, async t => {
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

labTest('heads in pieces, the first one and later ones', lab, async t => {
  for (const nagle of [false, true]) {
    const connection = await client().connect({ host: lab().vip.address, port: STAFF, nagle });
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

labTest('50 connections at once, pools in turn: each POST runs once, at its own', lab, async t => {
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
  const counts = await lab().counts();
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

labTest(
  "a reload's rules hold from the next head on, for connections that nobody judged before as well",
  lab,
  async () => {
    const [web, plain, staff] = [await connect(), await connect(PLAIN), await connect(STAFF)];
    assert.deepEqual([await served(web), await served(plain)], ['backend-1', 'backend-1']);
    assert.match(String(await served(staff, ADA)), /^backend-/);
    const follow = async (content: string) => {
      write(content);
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

// The last one: the loss stays.
labTest('1 % of the packets are lost each way: an upload comes whole, and by SACK', lab, async t => {
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
