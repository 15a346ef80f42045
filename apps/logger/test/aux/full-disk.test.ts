/** A log that cannot be written: the final answer is not given, and nothing is lost or doubled by that. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { readProxyHeader } from '@resplice/protocol';
import { silentLog } from '@resplice/service-kit';
import { until } from '@resplice/service-kit/testing';
import { Claims } from '../../src/aux/claims.ts';
import { auxiliaryConfig, type ServiceConfig } from '../../src/aux/config.ts';
import { Gate } from '../../src/aux/gate.ts';
import { HttpRelay } from '../../src/aux/http/relay.ts';
import { Outcomes } from '../../src/aux/outcomes.ts';
import { SmtpRelay } from '../../src/aux/smtp/relay.ts';
import { AuxiliaryTally } from '../../src/aux/tally.ts';
import { ADDRESSES, freePort, Talker } from './fixture.ts';

/** Fails from the write that holds these bytes on. */
let failAt: string | undefined;

async function create(path: string) {
  const file: FileHandle = await open(path, 'wx');
  return {
    writev: (async (buffers: Buffer[], position: number) => {
      if (failAt !== undefined && buffers.some(each => each.includes(failAt!))) {
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      }
      return await file.writev(buffers, position);
    }) as FileHandle['writev'],
    write: file.write.bind(file) as FileHandle['write'],
    datasync: () => file.datasync(),
    close: () => file.close(),
  };
}

let directory: string;
let outcomes: Outcomes;
const tally = new AuxiliaryTally();
const errors: Error[] = [];
before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'full-disk-'));
  outcomes = await Outcomes.open({
    ...{ directory, keepMs: 3_600_000, maxBytes: 1 << 30, tally, create },
    onClaim() {},
    onState() {},
  });
});
after(async () => {
  await outcomes?.close();
  rmSync(directory, { recursive: true, force: true });
  assert.deepEqual(errors, []);
});

async function relay(protocol: ServiceConfig['protocol'], upstream: number) {
  const service = {
    ...{ name: protocol, protocol, listen: { address: '127.0.0.1', port: await freePort() } },
    upstream: { host: '127.0.0.1', port: upstream },
    knowsTransactions: false,
  };
  const { limits } = auxiliaryConfig.pick({ limits: true }).parse({});
  const claims = new Claims(tally, () => {}, silentLog());
  const options = { service, claims, outcomes, limits, tally, log: silentLog() };
  const fail = (error: Error) => void errors.push(error);
  const made =
    protocol === 'smtp' ? new SmtpRelay({ ...options, fail }) : new HttpRelay({ ...options, fail });
  const backends = new Map(Object.entries(ADDRESSES).map(([name, address]) => [address as string, name]));
  const gate = new Gate({ ...options, backends, onArrival: arrival => made.receive(arrival) });
  await gate.listen();
  return {
    port: service.listen.port,
    async close() {
      made.close();
      await gate.close();
    },
  };
}

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
  let mail: Awaited<ReturnType<typeof relay>>;
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    mail = await relay('smtp', (server.address() as AddressInfo).port);
  });
  after(async () => {
    failAt = undefined;
    await mail?.close();
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
  const http = createServer(listener);
  const server = createTcpServer(async socket => {
    const header = await readProxyHeader(socket, 5000).catch(() => undefined);
    if (header !== undefined) http.emit('connection', socket);
  });
  let relayed: Awaited<ReturnType<typeof relay>>;
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    relayed = await relay('http', (server.address() as AddressInfo).port);
  });
  after(async () => {
    failAt = undefined;
    await relayed?.close();
    server.close();
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
