/** Channels: who gets in, what is answered, and what a peer that goes away, is silent or talks nonsense does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, suite, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { ChannelClient, type ChannelClientOptions, ChannelError } from '../src/client.ts';
import { ChannelServer, type ChannelServerOptions, type Reply } from '../src/server.ts';

const kitKey = Uint8Array.from({ length: 32 }, (_, i) => i ^ 0x33);
const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function serve(more: Partial<ChannelServerOptions> = {}): Promise<ChannelServer> {
  const server = new ChannelServer({
    kitKey,
    address: '127.0.0.1',
    port: 0,
    callers: new Set(['backend-1']),
    handle: () => ({ type: 'stored' }),
    ...more,
  });
  await server.listen();
  opened.push(server);
  return server;
}

function dial(port: number, more: Partial<ChannelClientOptions> = {}): ChannelClient {
  const peer = { name: 'backend-2', address: '127.0.0.1', port };
  const client = new ChannelClient({ kitKey, self: 'backend-1', peer, ...more });
  opened.push(client);
  return client;
}

async function joined(server: ChannelServer): Promise<ChannelClient> {
  const client = dial(server.port);
  await until('the channel', () => client.isUp);
  return client;
}

const status = (id: number): Reply => ({ type: 'status', status: { id } });
const fails = (code: ChannelError['code']) => (error: unknown) => {
  assert.ok(error instanceof ChannelError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

suite('getting in', () => {
  test('needs the key, and a name that is expected', async () => {
    const server = await serve();
    for (const stranger of [
      dial(server.port, { kitKey: kitKey.toReversed() }),
      dial(server.port, { self: 'backend-9' }),
    ]) {
      await stranger.tried;
      assert.equal(stranger.isUp, false);
      await assert.rejects(stranger.request({ type: 'status' }), fails('away'));
    }
    assert.equal((await (await joined(server)).request({ type: 'sessions', changes: [] })).type, 'stored');
  });

  test('is not had by plain text, and nothing is said to it', async () => {
    const server = await serve();
    const socket = connect(server.port, '127.0.0.1');
    socket.end('GET / HTTP/1.1\r\n\r\n');
    let answer = '';
    socket.on('data', bytes => (answer += bytes.toString('latin1')));
    socket.on('error', () => {});
    await once(socket, 'close');
    assert.doesNotMatch(answer, /HTTP/);
    assert.ok((await joined(server)).isUp, 'others are served as before');
  });
});

suite('answers', () => {
  test('find their questions, many at a time, in any order, with their bodies', async () => {
    const gates: (() => void)[] = [];
    const server = await serve({
      handle: async (_asked, body) => {
        await new Promise<void>(resolve => gates.push(resolve));
        return { type: 'status', status: { length: body.length }, body };
      },
    });
    const client = await joined(server);
    const bodies = Array.from({ length: 20 }, (_, i) => Buffer.alloc(i * 10_000, i));
    const asked = bodies.map(body => client.request({ type: 'status' }, { body }));
    await until('all questions', () => gates.length === bodies.length);
    for (const open of gates.reverse()) open();
    const answers = await Promise.all(asked);
    assert.deepEqual(
      answers.map(({ body }) => body),
      bodies,
    );
  });

  test('may come in parts', async () => {
    const change = { id: 'a', version: 1, origin: 'backend-2', until: 5, data: null };
    const server = await serve({
      async *handle() {
        for (let version = 1; version <= 50; version++) {
          yield { type: 'part', sessions: [{ ...change, version }], body: Buffer.alloc(100_000) };
        }
        yield { type: 'synced' };
      },
    });
    const client = await joined(server);
    const versions: number[] = [];
    const last = await client.request(
      { type: 'resync' },
      { onPart: part => part.type === 'part' && versions.push(part.sessions[0]!.version) },
    );
    assert.equal(last.type, 'synced');
    assert.deepEqual(
      versions,
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
  });

  test('say what went wrong, to both', async () => {
    const heard: string[] = [];
    const server = await serve({
      handle: asked => {
        if (asked.type === 'resync') throw new Error('not today');
        return status(1);
      },
      onError: error => heard.push(error.message),
    });
    const client = await joined(server);
    await assert.rejects(client.request({ type: 'resync' }), /backend-2 answers: not today/);
    await assert.rejects(
      client.request({ type: 'lookup', transaction: 'no id', attempt: 0 }),
      fails('wrong'),
    );
    assert.equal(heard.length, 2);
    assert.equal((await client.request({ type: 'status' })).type, 'status', 'the channel goes on');
  });

  test('are not waited for beyond the deadline, and late ones go nowhere', async () => {
    let open = () => {};
    const server = await serve({
      handle: asked =>
        asked.type === 'resync'
          ? new Promise(resolve => (open = () => resolve({ type: 'synced' })))
          : status(2),
    });
    const client = await joined(server);
    await assert.rejects(client.request({ type: 'resync' }, { deadlineMs: 30 }), fails('late'));
    open();
    assert.equal((await client.request({ type: 'status' })).type, 'status');
  });

  test('that are long are waited for while they come, and no longer', async () => {
    const body = Buffer.alloc(4_000_000, 7);
    const server = await serve({ handle: () => ({ ...status(3), body }) });
    const between = await relay(server.port, { bytes: 65_536, everyMs: 10 });
    const client = dial(between.port);
    await until('the channel', () => client.isUp);
    const answer = await client.request({ type: 'status' }, { deadlineMs: 100 });
    assert.ok(answer.body.equals(body));
    const from = between.passed();
    const held = client.request({ type: 'status' }, { deadlineMs: 100 });
    const refused = assert.rejects(held, fails('late'));
    await until('part of it', () => between.passed() > from + 1_000_000);
    between.hold();
    await refused;
  });

  test('are not expected of what is only told', async () => {
    const heard: string[] = [];
    const server = await serve({
      handle: asked => {
        heard.push(asked.type);
        return { type: 'stored' };
      },
    });
    const client = await joined(server);
    assert.equal(client.tell({ type: 'commit', transactions: ['x'.repeat(24)] }), true);
    await until('it', () => heard.length === 1);
    assert.deepEqual(heard, ['commit']);
  });

  test('a message that is too long is refused here, and harms no other', async () => {
    const client = await joined(await serve());
    const body = Buffer.alloc(64 * 1024 * 1024);
    await assert.rejects(client.request({ type: 'status' }, { body }), fails('wrong'));
    assert.equal((await client.request({ type: 'status' })).type, 'stored');
  });
});

suite('a peer', () => {
  test('that goes away fails what waits, and is joined again when it is back', async () => {
    const server = await serve({ handle: () => new Promise(() => {}) });
    const { port } = server;
    const seen: string[] = [];
    const client = dial(port, { onUp: () => seen.push('up'), onDown: () => seen.push('down') });
    await until('the channel', () => client.isUp);
    const waiting = assert.rejects(client.request({ type: 'status' }), fails('away'));
    await opened.splice(opened.indexOf(server), 1)[0]!.close();
    await waiting;
    await assert.rejects(client.request({ type: 'status' }), fails('away'));
    await serve({ port });
    await until('the new one', () => client.isUp);
    assert.equal((await client.request({ type: 'status' })).type, 'stored');
    assert.deepEqual(seen, ['up', 'down', 'up']);
  });

  test('that is silent is given up', async () => {
    const server = await serve();
    const between = await relay(server.port);
    let downs = 0;
    const client = dial(between.port, { onDown: () => downs++ });
    await until('the channel', () => client.isUp);
    between.hold();
    await until('silence noticed', () => downs === 1);
    assert.equal(client.isUp, false);
  });
});

interface Relay {
  readonly port: number;
  /** From now on nothing passes. */
  hold(): void;
  /** Bytes that have. */
  passed(): number;
}

/** A wire that can be held still. @param pace so many bytes at most in each direction, then a rest */
async function relay(to: number, pace?: { bytes: number; everyMs: number }): Promise<Relay> {
  const sockets: Socket[] = [];
  let passed = 0;
  let isHeld = false;
  const server: Server = createServer(near => {
    const far = connect(to, '127.0.0.1');
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on('data', (bytes: Buffer) => {
        passed += bytes.length;
        into.write(bytes);
        if (pace === undefined) return;
        from.pause();
        const go = (): void => {
          if (!isHeld) from.resume();
        };
        setTimeout(go, (pace.everyMs * bytes.length) / pace.bytes);
      });
      from.on('error', () => {});
      from.on('close', () => into.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push({
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  return {
    port: (server.address() as { port: number }).port,
    passed: () => passed,
    hold: () => {
      isHeld = true;
      for (const socket of sockets) socket.pause();
    },
  };
}
