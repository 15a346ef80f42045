/** Connections to auxiliary servers say in whose name they are (P8.3). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import { decodeProxyHeader, proxyHeaderLength } from '@resplice/protocol';
import { type BackendKit, backendKit } from '../src/index.ts';
import { Tier } from '../testing/index.ts';

/** An auxiliary server that hears everything, and says nothing. */
let server: Server;
let port: number;
const heard: { bytes: Buffer; ended: Promise<unknown> }[] = [];
before(async () => {
  server = createServer((socket: Socket) => {
    const connection = { bytes: Buffer.alloc(0), ended: once(socket, 'end') };
    heard.push(connection);
    socket.on('data', bytes => {
      connection.bytes = Buffer.concat([connection.bytes, bytes]);
    });
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
after(() => server?.close());
afterEach(() => heard.splice(0));

async function heardOnce(): Promise<Buffer> {
  const [connection] = heard;
  await connection!.ended;
  return connection!.bytes;
}

suite('behind the tier', () => {
  let tier: Tier;
  let kits: Map<string, BackendKit>;
  beforeEach(async () => {
    kits = new Map();
    tier = await Tier.start(2, (app, kit, name) => {
      kits.set(name, kit);
      app.post('/call', { config: { txn: { kind: 'update' } } }, async ({ txn }) => {
        const socket = await kit.connect(txn, { host: '127.0.0.1', port, step: 3 });
        socket.end('hello');
        await once(socket.resume(), 'close');
        return 'called';
      });
    });
  });
  afterEach(async () => await tier?.close());

  test('a transaction’s is its client’s, and says which attempt at it calls', async () => {
    const connection = tier.connection();
    const client = await tier.takeOver(2, connection, { number: 5, attempt: 7 });
    await client.ask('POST', '/call');
    const bytes = await heardOnce();
    const length = proxyHeaderLength(bytes)!;
    assert.equal(bytes.toString('latin1', length), 'hello');
    assert.deepEqual(decodeProxyHeader(bytes.subarray(0, length)), {
      route: {
        client: { address: connection.client, port: connection.clientPort },
        server: { address: connection.vip, port: connection.vipPort },
      },
      transaction: tier.id(connection, 5),
      caller: { backend: 2, epoch: tier.kit(2).epoch, attempt: 7, step: 3 },
    });
  });

  test('one that no request asked for is nobody’s, under a name of its own', async () => {
    const kit = kits.get('backend-1')!;
    const own = kit.ownTransaction();
    const socket = await kit.connect(own, { host: '127.0.0.1', port });
    socket.resume().end();
    const bytes = await heardOnce();
    const { route, transaction, caller } = decodeProxyHeader(bytes);
    assert.deepEqual([route, transaction], [undefined, own.id]);
    assert.deepEqual([caller!.backend, caller!.attempt, caller!.step], [1, 0, 0]);
  });
});

test('while the back-end logger starts over it is asked again, until the deadline', async t => {
  const tier = await Tier.start(2, () => {});
  t.after(() => tier.close());
  const { kit } = tier.node(1);
  const own = kit.ownTransaction();
  const restarting = createServer(socket => socket.end('220 back\r\n'));
  restarting.listen(0, '127.0.0.1');
  await once(restarting, 'listening');
  const { port: itsPort } = restarting.address() as AddressInfo;
  restarting.close();
  await once(restarting, 'close');
  await assert.rejects(kit.connect(own, { host: '127.0.0.1', port: itsPort, deadlineMs: 200 }), {
    code: 'ECONNREFUSED',
  });
  const connecting = kit.connect(own, { host: '127.0.0.1', port: itsPort });
  // Refused at least once by now.
  await assert.rejects(once(connect({ host: '127.0.0.1', port: itsPort }), 'connect'), {
    code: 'ECONNREFUSED',
  });
  restarting.listen(itsPort, '127.0.0.1');
  t.after(() => restarting.close());
  const socket = await connecting;
  const [said] = await once(socket, 'data');
  assert.equal(String(said), '220 back\r\n');
});

test('without the tier nothing comes before what is sent', async () => {
  const kit = backendKit(null);
  const socket = await kit.connect(kit.ownTransaction(), { host: '127.0.0.1', port });
  socket.resume().end('hello');
  assert.equal((await heardOnce()).toString(), 'hello');
});

test('a server that is not there says so as a socket would', async () => {
  const kit = backendKit(null);
  await assert.rejects(kit.connect(kit.ownTransaction(), { host: '127.0.0.1', port: 1 }), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
  });
});
