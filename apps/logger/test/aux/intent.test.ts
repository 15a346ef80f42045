/** What is about to be asked: it is undone by whom it belongs to, and only while nobody can have heard it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { after, afterEach, before, suite, test } from 'node:test';
import { readProxyHeader } from '@resplice/protocol';
import { until } from '@resplice/service-kit/testing';
import { DiskLog } from '../../src/aux/disk-log.ts';
import { Exchange } from '../../src/aux/http/exchange.ts';
import type { Outcomes } from '../../src/aux/outcomes.ts';
import { Talker } from './fixture.ts';
import { Disk, startHttp, startRelay } from './relay-fixture.ts';

const key = (transaction: string) => ({ service: 'http', transaction, step: 0 });

suite('an intent', () => {
  const disk = new Disk();
  let outcomes: Outcomes;
  before(async () => {
    outcomes = await disk.outcomes();
  });
  after(async () => {
    await outcomes?.close();
    disk.remove();
  });

  async function again(): Promise<void> {
    await outcomes.close();
    outcomes = await disk.outcomes();
  }

  test('that is undone leaves no doubt, after a restart either', async () => {
    const undo = await outcomes.intend(key('undone'));
    assert.equal(outcomes.isDoubtful(key('undone')), true);
    undo();
    undo();
    assert.equal(outcomes.isDoubtful(key('undone')), false);
    await again();
    assert.equal(outcomes.isDoubtful(key('undone')), false);
  });

  test('that is undone late says nothing of the one that has come after it', async () => {
    const undo = await outcomes.intend(key('late'));
    await outcomes.intend(key('late'));
    undo();
    assert.equal(outcomes.isDoubtful(key('late')), true);
    await again();
    assert.equal(outcomes.isDoubtful(key('late')), true);
  });

  test('that is undone late, behind another’s outcome and a third one, says nothing of that', async () => {
    const undo = await outcomes.intend(key('third'));
    const undoSecond = await outcomes.intend(key('third'));
    undoSecond();
    assert.equal(outcomes.isDoubtful(key('third')), true, 'the first one may have been heard');
    const answer = { status: 200, reason: 'OK', headers: [] };
    const asked = { method: 'POST', path: '/', digest: '' };
    await outcomes.keep({ kind: 'response', ...key('third'), ...asked, ...answer }, true);
    assert.equal(outcomes.isDoubtful(key('third')), false);
    await outcomes.intend(key('third'));
    undo();
    assert.equal(outcomes.isDoubtful(key('third')), true);
  });

  test('of an older version’s log is undone without being named', async () => {
    await outcomes.close();
    const log = await DiskLog.open({
      ...{ directory: disk.directory, keepMs: 3_600_000, maxBytes: 1 << 30 },
      onFound() {},
      onForgotten() {},
      onState() {},
    });
    for (const kind of ['intent', 'void']) await log.append({ kind, ...key('older') }, true);
    await log.append({ kind: 'intent', ...key('older-2') }, true);
    await log.close();
    outcomes = await disk.outcomes();
    assert.deepEqual(
      ['older', 'older-2'].map(each => outcomes.isDoubtful(key(each))),
      [false, true],
    );
  });
});

suite('an HTTP request', () => {
  const disk = new Disk();
  let asked = 0;
  let outcomes: Outcomes;
  let server: Awaited<ReturnType<typeof startHttp>>;
  let relay: Awaited<ReturnType<typeof startRelay>>;
  before(async () => {
    outcomes = await disk.outcomes();
    server = await startHttp((request, response) => {
      request.on('error', () => {});
      request.resume().on('end', () => response.end(`answer ${++asked}`));
    });
    relay = await startRelay({ protocol: 'http', upstream: server.port, outcomes, tally: disk.tally });
  });
  afterEach(() => {
    disk.onWrite = () => {};
  });
  after(async () => {
    await relay?.close();
    server?.close();
    await outcomes?.close();
    disk.remove();
    assert.deepEqual(relay?.errors, []);
  });

  const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n';

  for (const half of [HEAD, `${HEAD}wor`]) {
    const how = half === HEAD ? 'nothing' : 'half';
    test(`of whose body ${how} came, while its intent is written, and again twice: asked once`, async () => {
      const transaction = `twice-${how}`;
      const before = asked;
      const { promise: written, resolve: write } = Promise.withResolvers<void>();
      let isWriting = false;
      disk.onWrite = () => {
        isWriting = true;
        return written;
      };
      const first = await Talker.dial(relay.port, { transaction });
      first.say(half);
      await until('its intent', () => isWriting);
      const { opened } = disk.tally;
      const successors: Talker[] = [];
      for (const step of [1, 2]) {
        const talker = await Talker.dial(relay.port, { transaction, backend: 'backend-2', attempt: 1 });
        talker.say(`${HEAD}words`);
        successors.push(talker);
        await until('it to come', () => disk.tally.opened === opened + step);
      }
      await first.over();
      write();
      for (const each of successors) await each.over();
      assert.equal(asked, before + 1);
      // Whoever is cut off by the other one hears nothing; nobody hears anything else.
      const heard = successors.map(each => each.heard).filter(Boolean);
      assert.ok(heard.length > 0 && heard.every(each => each.endsWith(`\r\n\r\nanswer ${asked}`)));
      assert.equal(outcomes.isDoubtful({ service: 'http', transaction, step: 0 }), false);
      assert.equal(relay.relay.size, 0);
    });
  }

  test('is heard when its last byte is out, and not before', async () => {
    const options = {
      ...{ host: '127.0.0.1', port: server.port, patienceMs: 5000, maxBytes: 1000 },
      ...{ method: 'POST', path: '/', header: { transaction: 'asked', caller: undefined, route: undefined } },
    };
    for (const [header, isKnown] of [
      [['Content-Length', '5'], true],
      [['Transfer-Encoding', 'chunked'], false],
    ] as const) {
      const exchange = new Exchange({ ...options, headers: ['Host', 'x', ...header] });
      await exchange.write(Buffer.from('wor'));
      assert.equal(exchange.isAsked, false);
      await exchange.write(Buffer.from('ds'));
      assert.equal(exchange.isAsked, isKnown);
      exchange.end();
      assert.equal(exchange.isAsked, true);
      assert.match(String(((await exchange.answer) as { body: Buffer }).body), /^answer/);
    }
    const aborted = new Exchange({ ...options, headers: ['Host', 'x', 'Content-Length', '5'] });
    aborted.abort('enough');
    await aborted.write(Buffer.from('words'));
    aborted.end();
    assert.equal(aborted.isAsked, false);
    await assert.rejects(aborted.answer, { mayHaveRun: false });
  });
});

suite('a mail', () => {
  const disk = new Disk();
  /** What the log was given. */
  let written = '';
  /** Of the server: it has heard DATA, and is to answer. */
  const waiting: (() => void)[] = [];
  const server = createTcpServer(async socket => {
    socket.on('error', () => {});
    await readProxyHeader(socket, 5000);
    socket.write('220 x\r\n');
    let text = '';
    socket.on('data', bytes => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        if (text.slice(0, end) === 'DATA') waiting.push(() => socket.write('354 go on\r\n'));
        else socket.write('250 ok\r\n');
        text = text.slice(end + 2);
      }
    });
  });
  let outcomes: Outcomes;
  let relay: Awaited<ReturnType<typeof startRelay>>;
  before(async () => {
    disk.onWrite = bytes => {
      written += bytes.toString('latin1');
    };
    outcomes = await disk.outcomes();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const limits = { lingerMs: 100 };
    relay = await startRelay({ protocol: 'smtp', upstream: port, outcomes, tally: disk.tally, limits });
  });
  after(async () => {
    await relay?.close();
    server.close();
    await outcomes?.close();
    disk.remove();
    assert.deepEqual(relay?.errors, []);
  });

  for (const when of ['before', 'after'] as const) {
    test(`whose back end is gone before 354, which comes ${when} it has lingered: nothing is in doubt`, async () => {
      written = '';
      const talker = await Talker.dial(relay.port, { transaction: `lingered-${when}` });
      await talker.hear(220);
      for (const line of ['EHLO x', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@x.example>']) {
        talker.say(`${line}\r\n`);
        await talker.hear(250);
      }
      talker.say('DATA\r\n');
      await until('DATA', () => waiting.length === 1);
      talker.socket.destroy();
      await until('it to be gone', () => relay.gate.size === 0);
      if (when === 'after') await until('it to have lingered', () => relay.relay.size === 0);
      waiting.pop()!();
      await until('its intent', () => written.includes('"kind":"intent"'));
      await until('it to be undone', () => written.includes('"kind":"void"'));
      const its = { service: 'smtp', transaction: `lingered-${when}`, step: 0 };
      assert.equal(outcomes.isDoubtful(its), false);
      await until('it to have lingered', () => relay.relay.size === 0);
    });
  }
});
