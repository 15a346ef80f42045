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

  test('its answer waited while this process had no processor: alive', async t => {
    const port = await application(t, socket => socket.on('data', () => socket.write('HTTP')));
    const asked = ask(port);
    // The kernel has accepted long before anybody here looks.
    const until = performance.now() + 700;
    while (performance.now() < until);
    assert.equal(await asked, true);
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
  /** Who counts as dead, and whom that is certain of. */
  readonly dead: Backend[] = [];
  readonly certain: Backend[] = [];
  readonly questions: { backend: Pick<Backend, 'address' | 'port'>; answer: (alive: boolean) => void }[] = [];
  readonly opinion: SecondOpinion;
  readonly #tick: (ms: number) => void;
  #nowMs = 0;

  constructor(t: TestContext) {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    t.mock.method(performance, 'now', () => this.#nowMs);
    this.#tick = ms => t.mock.timers.tick(ms);
    this.opinion = new SecondOpinion(
      (backend, isCertain) => void (isCertain ? this.certain : this.dead).push(backend),
      backend => new Promise(answer => void this.questions.push({ backend, answer })),
    );
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    this.#tick(ms);
  }

  async answer(index: number, alive: boolean): Promise<void> {
    this.questions[index]!.answer(alive);
    await new Promise(setImmediate);
  }
}

suite('a back end whose agent is silent', () => {
  test('its application does not answer either: dead, and told once', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one, 1);
    doubts.opinion.doubt(one, 1);
    assert.equal(doubts.questions.length, 1);
    await doubts.answer(0, false);
    doubts.pass(100);
    await doubts.answer(1, false);
    assert.deepEqual([doubts.dead, doubts.certain], [[one], []]);
  });

  test('it does not answer for three seconds: that is certain, and nobody asks any more', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one, 1);
    await doubts.answer(0, false);
    for (let i = 1; i <= 30; i++) {
      doubts.pass(100);
      await doubts.answer(i, false);
      assert.deepEqual(doubts.certain, [], `after ${i * 100} ms`);
    }
    doubts.pass(100);
    await doubts.answer(31, false);
    doubts.pass(10_000);
    assert.deepEqual([doubts.dead, doubts.certain, doubts.questions.length], [[one], [one], 32]);
  });

  test('it was slow, and answers again: its silence begins anew', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one, 1);
    await doubts.answer(0, false);
    doubts.pass(2900);
    await doubts.answer(1, true);
    doubts.pass(200);
    await doubts.answer(2, false);
    assert.deepEqual([doubts.dead, doubts.certain], [[one, one], []]);
  });

  test('another agent speaks than the one that fell silent: what that host had is lost', async t => {
    const doubts = new Doubts(t);
    for (const backend of [one, other]) doubts.opinion.doubt(backend, 1);
    for (const i of [0, 1]) await doubts.answer(i, false);
    doubts.opinion.trust(one, 2);
    doubts.opinion.trust(other, 1);
    assert.deepEqual([doubts.dead, doubts.certain], [[one, other], [one]]);
  });

  test('its application answers: not dead, asked again, and dead when it answers no more', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one, 1);
    for (let i = 0; i < 5; i++) {
      await doubts.answer(i, true);
      assert.equal(doubts.questions.length, i + 1, 'not at once');
      doubts.pass(100);
      assert.deepEqual([doubts.dead, doubts.questions.length], [[], i + 2]);
    }
    await doubts.answer(5, false);
    assert.deepEqual(doubts.dead, [one]);
  });

  test('its agent speaks again: nobody asks any more, and what was asked counts no more', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one, 1);
    doubts.opinion.trust(one, 1);
    await doubts.answer(0, false);
    doubts.opinion.doubt(other, 1);
    await doubts.answer(1, true);
    doubts.opinion.trust(other, 1);
    doubts.pass(10_000);
    assert.deepEqual([doubts.dead, doubts.questions.length], [[], 2]);
  });

  test('it falls silent again while somebody asks: only the answer to the new question counts', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one, 1);
    doubts.opinion.trust(one, 1);
    doubts.opinion.doubt(one, 1);
    assert.equal(doubts.questions.length, 2);
    await doubts.answer(0, false);
    assert.deepEqual(doubts.dead, []);
    await doubts.answer(1, true);
    doubts.pass(100);
    assert.equal(doubts.questions.length, 3, 'one question at a time');
    await doubts.answer(2, false);
    assert.deepEqual(doubts.dead, [one]);
  });

  test('two of them are asked each by itself', async t => {
    const doubts = new Doubts(t);
    doubts.opinion.doubt(one, 1);
    doubts.opinion.doubt(other, 1);
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
    doubts.opinion.doubt(one, 1);
    await doubts.answer(0, true);
    doubts.opinion.close();
    doubts.pass(10_000);
    assert.deepEqual([doubts.dead, doubts.questions.length], [[], 1]);
  });
});
