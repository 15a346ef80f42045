/** A log that cannot be written: the final answer is not given, and nothing is lost or doubled by that. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { readProxyHeader } from '@resplice/protocol';
import { until } from '@resplice/service-kit/testing';
import type { Outcomes } from '../../src/aux/outcomes.ts';
import { Talker } from './fixture.ts';
import { Disk, startHttp, startRelay } from './relay-fixture.ts';

/** Fails from the write that holds these bytes on. */
let failAt: string | undefined;

const disk = new Disk();
const { tally } = disk;
disk.onWrite = bytes => {
  if (failAt !== undefined && bytes.includes(failAt)) {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }
};
let outcomes: Outcomes;
const errors: Error[] = [];
before(async () => {
  outcomes = await disk.outcomes();
});
after(async () => {
  await outcomes?.close();
  disk.remove();
  assert.deepEqual(errors, []);
});

suite('mail', () => {
  /** Says yes to everything, and counts final dots. */
  let accepted = 0;
  const server = createTcpServer(async socket => {
    socket.on('error', () => {});
    await readProxyHeader(socket, 5000);
    let text = '';
    let isContent = false;
    socket.write('220 x\r\n');
    socket.on('data', bytes => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (!isContent) socket.write(line === 'DATA' ? '354 go on\r\n' : '250 ok\r\n');
        else if (line === '.') socket.write(`250 accepted ${++accepted}\r\n`);
        isContent = line === 'DATA' || (isContent && line !== '.');
      }
    });
  });
  let mail: Awaited<ReturnType<typeof startRelay>>;
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const upstream = (server.address() as AddressInfo).port;
    mail = await startRelay({ protocol: 'smtp', upstream, outcomes, tally });
  });
  after(async () => {
    failAt = undefined;
    await mail?.close();
    errors.push(...(mail?.errors ?? []));
    server.close();
  });

  async function begin(transaction: string): Promise<Talker> {
    const talker = await Talker.dial(mail.port, { transaction });
    await talker.hear(220);
    for (const line of ['EHLO x', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@x.example>']) {
      talker.say(`${line}\r\n`);
      await talker.hear(250);
    }
    talker.say('DATA\r\n');
    await talker.hear(354);
    return talker;
  }

  test('what could not be recorded later is not sent: 451', async () => {
    failAt = '"kind":"intent"';
    accepted = 0;
    const talker = await begin('full-1');
    talker.say('words\r\n.\r\n');
    await talker.hear(451);
    assert.equal(accepted, 0);
    failAt = undefined;
    // The same connection can try again.
    for (const line of ['MAIL FROM:<a@x.example>', 'RCPT TO:<b@x.example>']) {
      talker.say(`${line}\r\n`);
      await talker.hear(250);
    }
    talker.say('DATA\r\n');
    await talker.hear(354);
    talker.say('words\r\n.\r\n');
    await talker.hear(250);
    assert.equal(accepted, 1);
    talker.socket.destroy();
  });

  test('what was accepted and cannot be recorded has no answer; the next attempt gets it when there is room', async () => {
    failAt = '"kind":"mail"';
    accepted = 0;
    const talker = await begin('full-2');
    talker.say('words\r\n.\r\n');
    await talker.over();
    assert.equal(talker.heard, '');
    assert.equal(accepted, 1);
    const early = await Talker.dial(mail.port, { transaction: 'full-2' });
    await early.hear(220);
    for (const line of ['EHLO x', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@x.example>'])
      early.say(`${line}\r\n`);
    early.say('DATA\r\n');
    await early.over();
    assert.doesNotMatch(early.heard, /354/);
    failAt = undefined;
    const late = await begin('full-2');
    late.say('words\r\n.\r\n');
    await late.hear(250);
    assert.equal(accepted, 1);
    assert.ok(tally.unrecorded >= 2);
    late.socket.destroy();
  });
});

suite('HTTP', () => {
  let asked = 0;
  const listener: RequestListener = (request, response) => {
    request.resume().on('end', () => response.end(`answer ${++asked}`));
  };
  let server: Awaited<ReturnType<typeof startHttp>>;
  let relayed: Awaited<ReturnType<typeof startRelay>>;
  before(async () => {
    server = await startHttp(listener);
    relayed = await startRelay({ protocol: 'http', upstream: server.port, outcomes, tally });
  });
  after(async () => {
    failAt = undefined;
    await relayed?.close();
    server?.close();
    errors.push(...(relayed?.errors ?? []));
  });

  async function post(transaction: string): Promise<string> {
    const talker = await Talker.dial(relayed.port, { transaction });
    talker.say('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nwords');
    await talker.over();
    return talker.heard;
  }

  test('what could not be recorded later is not asked: 503', async () => {
    failAt = '"kind":"intent"';
    assert.match(await post('full-3'), /^HTTP\/1\.1 503 /);
    assert.equal(asked, 0);
    failAt = undefined;
    assert.match(await post('full-3'), /^HTTP\/1\.1 200 [\s\S]*answer 1$/);
  });

  test('what was answered and cannot be recorded has no answer, and is not asked again', async () => {
    failAt = '"kind":"response"';
    assert.equal(await post('full-4'), '');
    assert.equal(asked, 2);
    failAt = undefined;
    await until('it to be refused', async () => {
      assert.equal(await post('full-4'), '');
      return tally.inDoubtRefused > 0;
    });
    assert.equal(asked, 2);
  });
});
