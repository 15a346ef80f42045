import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { parseIp } from '@resplice/dataplane';
import type { Backend } from '@resplice/splice';
import { answers, askingOnce, SecondOpinion } from '../src/second-opinion.ts';

const LOOPBACK = '127.0.0.1';
const one = { name: 'backend-1' } as Backend;
const other = { name: 'backend-2' } as Backend;

/** An application that does that with each connection; ended with the test. */
async function application(t: TestContext, serve: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    serve(socket);
  }).listen(0, LOOPBACK);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

const ask = (port: number) => answers({ address: parseIp(LOOPBACK), port });

suite('whether an application answers', () => {
  test('it answers: alive, and the question is one that every server has an answer to', async t => {
    let heard = '';
    const port = await application(t, socket =>
      socket.on('data', data => {
        heard += data.toString('latin1');
        if (heard.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 405 Method Not Allowed\r\n\r\n');
      }),
    );
    assert.equal(await ask(port), true);
    assert.match(heard, /^OPTIONS \* HTTP\/1\.1\r\n(?:.+\r\n)*Connection: close\r\n\r\n$/);
  });

  test('it hangs up without a word: alive, since somebody has looked', async t => {
    const port = await application(t, socket => socket.on('data', () => socket.end()));
    assert.equal(await ask(port), true);
  });

  test('it takes some time: alive', async t => {
    const port = await application(t, socket =>
      socket.on('data', () => setTimeout(() => socket.write('HTTP'), 100)),
    );
    assert.equal(await ask(port), true);
  });

  test('its kernel accepts and nobody answers, as when it is frozen: dead', async t => {
    const port = await application(t, () => {});
    const started = performance.now();
    assert.equal(await ask(port), false);
    assert.ok(performance.now() - started >= 390, 'it has its time');
  });

  test('nobody listens: dead', async () => {
    const server = createServer().listen(0, LOOPBACK);
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    server.close();
    await once(server, 'close');
    assert.equal(await ask(address.port), false);
  });

  test('it is reset before a byte of an answer: dead', async t => {
    const port = await application(t, socket => socket.on('data', () => socket.resetAndDestroy()));
    assert.equal(await ask(port), false);
  });
});

test('a thousand who ask at once ask once; who asks later asks again', async () => {
  const asked: Backend[] = [];
  const once = askingOnce(async backend => {
    asked.push(backend);
    await new Promise(setImmediate);
    return backend === one;
  });
  const all = await Promise.all(Array.from({ length: 1000 }, (_, i) => once(i % 2 ? one : other)));
  assert.deepEqual([all.filter(Boolean).length, asked], [500, [other, one]]);
  assert.equal(await once(one), true);
  assert.deepEqual(asked, [other, one, one]);
});

/** Asks whom it is told to; every question waits for its answer. */
class Doubts {
  readonly dead: Backend[] = [];
  readonly questions: { backend: Pick<Backend, 'address' | 'port'>; answer: (alive: boolean) => void }[] = [];
  readonly opinion: SecondOpinion;

  constructor(t: TestContext) {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    this.opinion = new SecondOpinion(
      backend => void this.dead.push(backend),
      backend => new Promise(answer => void this.questions.push({ backend, answer })),
    );
  }

  async answer(index: number, alive: boolean): Promise<void> {
    this.questions[index]!.answer(alive);
    await new Promise(setImmediate);
  }
}

suite('a back end whose agent is silent', () => {
  test('its application does not answer either: dead, and told once', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one);
    doubts.opinion.doubt(one);
    assert.equal(doubts.questions.length, 1);
    await doubts.answer(0, false);
    t.mock.timers.tick(10_000);
    assert.deepEqual([doubts.dead, doubts.questions.length], [[one], 1]);
  });

  test('its application answers: not dead, asked again, and dead when it answers no more', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one);
    for (let i = 0; i < 5; i++) {
      await doubts.answer(i, true);
      assert.equal(doubts.questions.length, i + 1, 'not at once');
      t.mock.timers.tick(100);
      assert.deepEqual([doubts.dead, doubts.questions.length], [[], i + 2]);
    }
    await doubts.answer(5, false);
    assert.deepEqual(doubts.dead, [one]);
  });

  test('its agent speaks again: nobody asks any more, and what was asked counts no more', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one);
    doubts.opinion.trust(one);
    await doubts.answer(0, false);
    doubts.opinion.doubt(other);
    await doubts.answer(1, true);
    doubts.opinion.trust(other);
    t.mock.timers.tick(10_000);
    assert.deepEqual([doubts.dead, doubts.questions.length], [[], 2]);
  });

  test('it falls silent again while somebody asks: only the answer to the new question counts', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one);
    doubts.opinion.trust(one);
    doubts.opinion.doubt(one);
    assert.equal(doubts.questions.length, 2);
    await doubts.answer(0, false);
    assert.deepEqual(doubts.dead, []);
    await doubts.answer(1, true);
    t.mock.timers.tick(100);
    assert.equal(doubts.questions.length, 3, 'one question at a time');
    await doubts.answer(2, false);
    assert.deepEqual(doubts.dead, [one]);
  });

  test('two of them are asked each by itself', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one);
    doubts.opinion.doubt(other);
    assert.deepEqual(
      doubts.questions.map(({ backend }) => backend),
      [one, other],
    );
    await doubts.answer(1, false);
    await doubts.answer(0, true);
    assert.deepEqual(doubts.dead, [other]);
  });

  test('at the end nobody asks any more', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one);
    await doubts.answer(0, true);
    doubts.opinion.close();
    t.mock.timers.tick(10_000);
    assert.deepEqual([doubts.dead, doubts.questions.length], [[], 1]);
  });
});
