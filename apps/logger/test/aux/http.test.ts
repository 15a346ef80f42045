/** One HTTP request per transaction and step: asked once, answered from the record. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { decodeProxyHeader, readProxyHeader } from '@resplice/protocol';
import { until } from '@resplice/service-kit/testing';
import { type CallerOptions, headerOf, LoggerProcess, Talker } from './fixture.ts';

/** A transaction's ID as kits make them. */
const OVER = 'over'.repeat(6);

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly body: string;
  readonly transaction: string | undefined;
}

suite('an HTTP service', () => {
  const asked: Asked[] = [];
  /** Requests that wait to be answered. */
  const waiting: (() => void)[] = [];
  let sockets = 0;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    try {
      for await (const part of request) body += String(part);
    } catch {
      return;
    }
    const { transaction } = request.socket as unknown as { transaction?: string };
    asked.push({ method: request.method!, url: request.url!, body, transaction });
    const number = asked.length;
    const give = (): void => {
      response.setHeader('X-Number', number);
      if (request.url === '/large') response.end('x'.repeat(300_000));
      else if (request.url === '/chunks') {
        response.write('one ');
        response.end('two');
      } else if (request.url === '/none') response.writeHead(204).end();
      else if (request.url === '/broken') {
        response.writeHead(200, { 'content-length': 100 }).write('half');
        setImmediate(() => response.destroy());
      } else response.end(`answer ${number}: ${body}`);
    };
    if (request.url === '/wait') waiting.push(give);
    else give();
  }

  const http = createServer((request, response) => void serve(request, response));
  const server = createTcpServer(socket => {
    sockets++;
    socket.on('error', () => {});
    readProxyHeader(socket, 5000).then(
      ({ transaction }) => {
        Object.assign(socket, { transaction });
        http.emit('connection', socket);
      },
      () => socket.destroy(),
    );
  });
  let logger: LoggerProcess;
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const upstream = (server.address() as AddressInfo).port;
    logger = await LoggerProcess.start({
      protocol: 'http',
      upstream,
      limits: { responseBytes: 100_000, upstreamMs: 5000 },
    });
  });
  after(async () => {
    await logger?.remove();
    server.close();
    http.closeAllConnections();
  });

  interface Request {
    readonly method?: string;
    readonly path?: string;
    readonly body?: string;
    readonly headers?: string;
  }

  const text = ({ method = 'POST', path = '/', body = 'words', headers = '' }: Request): string =>
    `${method} ${path} HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

  /** What a back end is answered, as a whole. */
  async function fetch(options: CallerOptions, request: Request = {}): Promise<string> {
    const talker = await Talker.dial(logger.port, options);
    talker.say(text(request));
    await talker.over();
    return talker.heard;
  }

  const bodyOf = (response: string): string => response.slice(response.indexOf('\r\n\r\n') + 4);

  test('is asked in the transaction’s name, and the answer is its own', async () => {
    const answer = await fetch({ transaction: 'a' });
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[\s\S]*X-Number: 1\r\n[\s\S]*\r\n\r\nanswer 1: words$/);
    assert.deepEqual(asked, [{ method: 'POST', url: '/', body: 'words', transaction: 'a' }]);
    assert.equal(decodeProxyHeader(headerOf({ transaction: 'a' })).transaction, 'a');
  });

  test('the same request again has the same answer, before and after a restart', async () => {
    const count = asked.length;
    const first = await fetch({ transaction: 'b' });
    assert.equal(await fetch({ transaction: 'b', backend: 'backend-2', attempt: 1 }), first);
    await logger.kill();
    await logger.start();
    assert.equal(await fetch({ transaction: 'b', backend: 'backend-2', attempt: 1 }), first);
    assert.equal(await fetch({ transaction: 'b' }), '');
    assert.equal(asked.length, count + 1);
    assert.notEqual(bodyOf(await fetch({ transaction: 'b', step: 1, attempt: 1 })), bodyOf(first));
  });

  for (const path of ['/chunks', '/none']) {
    test(`${path}: the same bytes from the record`, async () => {
      const first = await fetch({ transaction: `bytes${path.slice(1)}` }, { path });
      assert.match(first, path === '/none' ? /^HTTP\/1\.1 204/ : /Content-Length: 7\r\n[\s\S]*one two$/);
      assert.equal(await fetch({ transaction: `bytes${path.slice(1)}` }, { path }), first);
    });
  }

  test('reads are recorded, too, and wait for no disk', async () => {
    const { syncs } = (await logger.status()).log;
    const request = { method: 'GET', path: '/', body: '' };
    const first = await fetch({ transaction: 'read' }, request);
    assert.equal(await fetch({ transaction: 'read' }, request), first);
    assert.equal((await logger.status()).log.syncs, syncs);
  });

  for (const [what, other] of [
    ['another method', { method: 'PUT' }],
    ['another path', { path: '/other' }],
    ['another body', { body: 'other' }],
  ] as const) {
    test(`${what} than on record: 409, counted, not asked`, async () => {
      const transaction = `differs-${what.slice(8)}`;
      await fetch({ transaction });
      const [count, before] = [asked.length, await logger.count('mismatches')];
      assert.match(await fetch({ transaction, attempt: 1 }, other), /^HTTP\/1\.1 409 /);
      assert.deepEqual([asked.length, await logger.count('mismatches')], [count, before + 1]);
    });
  }

  for (const how of ['closes', 'is frozen'] as const) {
    test(`the predecessor ${how} while the answer is waited for: the successor gets it`, async () => {
      const transaction = `wait-${how.slice(-4)}`;
      const [count, resumed] = [asked.length, await logger.count('resumed')];
      const predecessor = await Talker.dial(logger.port, { transaction });
      predecessor.say(text({ path: '/wait' }));
      await until('it to be asked', () => waiting.length === 1);
      if (how === 'closes') predecessor.socket.destroy();
      else predecessor.socket.pause();
      const answer = fetch({ transaction, backend: 'backend-2', attempt: 1 }, { path: '/wait' });
      await until('the successor to wait', async () => (await logger.count('resumed')) > resumed);
      waiting.pop()!();
      assert.match(await answer, /200 OK[\s\S]*answer \d+: words$/);
      assert.equal(asked.length, count + 1);
      predecessor.socket.resume();
      await predecessor.over();
      assert.equal(predecessor.heard, '');
    });
  }

  /** A request of which the logger does not live to hear the answer, and then whatever comes of it. */
  async function inDoubt(transaction: string, request: Request): Promise<{ again: () => Promise<string> }> {
    const talker = await Talker.dial(logger.port, { transaction });
    talker.say(text({ path: '/wait', ...request }));
    await until('it to be asked', () => waiting.length === 1);
    await logger.kill();
    await talker.over();
    waiting.splice(0);
    await logger.start();
    assert.ok((await logger.count('in_doubt')) >= 1);
    return {
      again: () => fetch({ transaction, backend: 'backend-2', attempt: 1 }, { path: '/wait', ...request }),
    };
  }

  test('the logger is killed while the answer is waited for: whether it was done is not known, and it is not asked again', async () => {
    const count = asked.length;
    const { again } = await inDoubt('doubt', {});
    // No answer at all is the only true one; and it stays so.
    assert.equal(await again(), '');
    assert.equal(await again(), '');
    assert.equal(asked.length, count + 1);
    const counts = await Promise.all(
      ['in_doubt_refused', 'in_doubt_repeated'].map(each => logger.count(each)),
    );
    assert.deepEqual(counts, [2, 0]);
    await until('it to be said', () => /"transaction":"doubt"[^\n]*not known/.test(logger.output));
    assert.match(await fetch({ transaction: 'doubt', attempt: 1, step: 1 }), /^HTTP\/1\.1 200 /);
  });

  for (const [what, request] of [
    ['is idempotent', { method: 'PUT' }],
    ['says that the server knows it', { headers: 'Idempotency-Key: "doubt"\r\n' }],
  ] as const) {
    test(`the same of one that ${what}: asked again, in the same transaction’s name`, async () => {
      const count = asked.length;
      const transaction = `doubt-${what.length}`;
      const { again } = await inDoubt(transaction, request);
      const answer = again();
      await until('it to be asked again', () => waiting.length === 1);
      waiting.pop()!();
      assert.match(await answer, /200 OK/);
      assert.equal(await logger.count('in_doubt_repeated'), 1);
      assert.deepEqual(
        asked.slice(count).map(each => each.transaction),
        [transaction, transaction],
      );
    });
  }

  test('what clients have the response of is forgotten, and after a restart too', async () => {
    const count = asked.length;
    const recorded = async (): Promise<number> => (await logger.status()).log.recorded;
    const first = await fetch({ transaction: OVER });
    const other = await fetch({ transaction: 'goes-on' });
    const before = await recorded();
    await logger.commit([OVER, 'x'.repeat(24)]);
    await until('it to be forgotten', async () => (await recorded()) === before - 1);
    assert.equal(await logger.count('committed'), 1);
    await logger.kill();
    await logger.start();
    assert.equal(await recorded(), before - 1);
    assert.equal(await fetch({ transaction: 'goes-on' }), other);
    assert.notEqual(await fetch({ transaction: OVER }), first);
    assert.equal(asked.length, count + 3);
  });

  for (const [method, isRepeated] of [
    ['POST', false],
    ['PUT', true],
  ] as const) {
    test(`a ${method} of which the disk does not give the answer back: asked ${isRepeated ? 'again' : 'never again'}`, async () => {
      const count = asked.length;
      const transaction = `spoilt-${method}`;
      const request = { method, body: `words of a ${method}` };
      const events = (): Promise<number[]> =>
        Promise.all(['unreadable', 'in_doubt_refused', 'in_doubt_repeated'].map(each => logger.count(each)));
      const first = await fetch({ transaction }, request);
      assert.equal(await fetch({ transaction }, request), first);
      logger.spoilLog(request.body);
      const before = await events();
      const second = await fetch({ transaction, attempt: 1 }, request);
      assert.deepEqual(
        (await events()).map((each, i) => each - before[i]!),
        isRepeated ? [1, 0, 1] : [1, 1, 0],
      );
      if (isRepeated) assert.match(second, /^HTTP\/1\.1 200 [\s\S]*words of a PUT$/);
      else assert.equal(second, '');
      await logger.kill();
      await logger.start();
      assert.equal(await fetch({ transaction, attempt: 1 }, request), second);
      assert.equal(asked.length, count + (isRepeated ? 2 : 1));
    });
  }

  test('half a request of a predecessor is aborted, and the successor’s is asked', async () => {
    const count = asked.length;
    const predecessor = await Talker.dial(logger.port, { transaction: 'half' });
    predecessor.say(text({ body: 'first words' }).slice(0, -5));
    await until('it to be begun', async () => (await logger.status()).services[0]!.dialogues === 1);
    assert.match(
      await fetch({ transaction: 'half', backend: 'backend-2', attempt: 1 }, { body: 'first words' }),
      /first words$/,
    );
    await predecessor.over();
    assert.equal(asked.length, count + 1);
  });

  test('an answer that is too long passes, unprotected and counted', async () => {
    const answer = await fetch({ transaction: 'large' }, { path: '/large' });
    assert.equal(bodyOf(answer).length, 300_000);
    assert.equal(await logger.count('unprotected'), 1);
  });

  for (const [method, isRepeated] of [
    ['POST', false],
    ['PUT', true],
  ] as const) {
    test(`an answer to a ${method} that breaks off is none: asked ${isRepeated ? 'again' : 'never again'}`, async () => {
      const transaction = `broken-${method}`;
      const request = { method, path: '/broken' };
      const events = (): Promise<number[]> =>
        Promise.all(['in_doubt_refused', 'in_doubt_repeated'].map(each => logger.count(each)));
      const [count, before] = [asked.length, await events()];
      assert.equal(await fetch({ transaction }, request), '');
      assert.equal(asked.length, count + 1);
      assert.equal(await fetch({ transaction, attempt: 1 }, request), '');
      assert.equal(asked.length, count + (isRepeated ? 2 : 1));
      assert.deepEqual(
        (await events()).map((each, i) => each - before[i]!),
        isRepeated ? [0, 1] : [1, 0],
      );
      const isOver = async (): Promise<boolean> => (await logger.status()).services[0]!.dialogues === 0;
      await until('nothing to be under way', isOver);
    });
  }

  test('what is no HTTP, and what cannot be recorded, is refused', async () => {
    const before = await logger.count('violations');
    const garbage = await Talker.dial(logger.port, { transaction: 'garbage' });
    garbage.say('\0\0\0\0\r\n\r\n');
    await garbage.over();
    const upgrade = await Talker.dial(logger.port, { transaction: 'upgrade' });
    upgrade.say('GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    await upgrade.over();
    assert.match(upgrade.heard, /^HTTP\/1\.1 501 /);
    assert.equal(await logger.count('violations'), before + 1);
  });

  test('a server that is away: 502', async () => {
    const opened = sockets;
    server.close();
    http.closeAllConnections();
    assert.match(await fetch({ transaction: 'away' }), /^HTTP\/1\.1 502 /);
    assert.equal(sockets, opened);
  });
});
