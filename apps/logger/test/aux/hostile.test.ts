/** Back ends that do what they must not, and strangers: refused, counted, and nobody else suffers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { seedDemo } from '@resplice/mailstore';
import { type TestDatabase, testDatabase } from '@resplice/mailstore/testing';
import { SmtpService } from '@resplice/smtp';
import { pino } from 'pino';
import { dial, headerOf, LoggerProcess, Talker } from './fixture.ts';

const BEN = 'ben@resplice.example';

suite('the auxiliary logger', () => {
  let db: TestDatabase;
  let service: SmtpService;
  let logger: LoggerProcess;
  before(async () => {
    db = await testDatabase();
    await seedDemo(db.database);
    service = new SmtpService({
      database: db.database,
      domain: 'resplice.example',
      proxies: ['127.0.0.1'],
      log: pino({ level: 'silent' }),
    });
    const upstream = await service.listen(0, '127.0.0.1');
    const limits = { headerMs: 200, idleMs: 400, messageBytes: 200_000, connections: 20 };
    logger = await LoggerProcess.start({ protocol: 'smtp', upstream, limits });
  });
  after(async () => {
    await logger?.remove();
    await service?.close();
    await db?.close();
  });

  /** Somebody who sends these bytes and listens until it is over. */
  async function answerTo(bytes: Buffer | string, localAddress = '127.0.0.2'): Promise<string> {
    const socket = connect({ host: '127.0.0.1', port: logger.port, localAddress });
    await once(socket, 'connect');
    const talker = new Talker(socket);
    socket.write(bytes);
    await talker.over();
    return talker.heard;
  }

  async function inbox(): Promise<number> {
    const [row] = await db.database.query<{ n: number }>(
      `select count(*)::int as n from messages m join accounts a on a.id = m.account_id
       where address = $1 and subject = 'hostile'`,
      [BEN],
    );
    return row!.n;
  }

  const lacking = headerOf({ transaction: 'x' });
  const withoutCaller = Buffer.from(lacking.subarray(0, lacking.length - 13));
  withoutCaller.writeUInt16BE(withoutCaller.length - 16, 14);
  const headers: readonly (readonly [string, Buffer | string, string?])[] = [
    ['no header', 'EHLO backend-1\r\nMAIL FROM:<a@x.example>\r\n'],
    ['a header of version 1', 'PROXY TCP4 192.0.2.9 10.62.0.10 50000 80\r\nEHLO x\r\n'],
    ['half a header, and silence', lacking.subarray(0, 20)],
    ['a header without a caller', withoutCaller],
    ['a header that is too long', Buffer.from('0d0a0d0a000d0a515549540a2111ffff', 'hex')],
    ['a header from an address that is no back end’s', lacking, '127.0.0.9'],
  ];
  for (const [what, bytes, from] of headers) {
    test(`${what}: cut without a word, counted`, async () => {
      const before = await logger.count('refused_headers');
      assert.equal(await answerTo(bytes, from), '');
      assert.equal(await logger.count('refused_headers'), before + 1);
    });
  }

  let number = 0;
  async function talk(text: string): Promise<string> {
    return await answerTo(
      Buffer.concat([headerOf({ transaction: `hostile-${number++}` }), Buffer.from(text)]),
    );
  }

  test('an endless line is cut off', async () => {
    assert.match(await talk('X'.repeat(100_000)), /^220 .*\r\n500 5\.5\.2 a line of more than/);
  });

  test('commands in a wrong order are refused, and then go on', async () => {
    const heard = await talk(
      'EHLO x\r\nDATA\r\nRCPT TO:<ben@resplice.example>\r\nMAIL FROM:<a@x.example>\r\nMAIL FROM:<b@x.example>\r\n' +
        'DATA\r\nSTARTTLS\r\nBDAT 10 LAST\r\n\0\x07\r\nRSET\r\nNOOP\r\nQUIT\r\n',
    );
    const codes = [...heard.matchAll(/^(\d{3}) /gm)].map(([, code]) => code);
    assert.deepEqual(
      codes,
      ['220', '250', '503', '503', '250', '503', '503', '502', '502', '502', '250', '250', '221'],
      heard,
    );
    assert.doesNotMatch(heard, /STARTTLS|CHUNKING/);
  });

  test('a message that is too long is cut off, and nothing of it is delivered', async () => {
    const heard = await talk(
      `EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<${BEN}>\r\nDATA\r\nSubject: hostile\r\n\r\n${'x'.repeat(300_000)}`,
    );
    assert.match(heard, /354 [\s\S]*500 5\.5\.2 a message of more than 200000 bytes/);
    assert.equal(await inbox(), 0);
  });

  test('a dot that is none ends nothing', async () => {
    const heard = await talk(
      `EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<${BEN}>\r\nDATA\r\nSubject: hostile\r\n\r\nx\n.\nMAIL FROM:<evil@x.example>\r\n` +
        `.\rRSET\r\n\n.\r\n..\r\n.\r\nQUIT\r\n`,
    );
    assert.match(heard, /354 .*\r\n250 .*\r\n221 .*\r\n$/);
    assert.equal(await inbox(), 1);
  });

  test('silence is cut off', async () => {
    assert.match(await talk('EHLO x\r\n'), /421 4\.4\.2 You said nothing for too long/);
    assert.match(
      await talk(`EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<${BEN}>\r\nDATA\r\nSubject: slow\r\n`),
      /354 [\s\S]*421 4\.4\.2 You said nothing for too long/,
    );
  });

  test('more connections than there may be are turned away, and it goes on', async () => {
    const many = await Promise.all(
      Array.from({ length: 80 }, (_, i) =>
        dial(logger.port, { transaction: `many-${i}` }).then(
          socket => new Talker(socket),
          () => undefined,
        ),
      ),
    );
    for (const talker of many) await talker?.over();
    assert.ok((await logger.count('turned_away')) > 0);
    assert.match(await talk('QUIT\r\n'), /^220 .*\r\n221 /);
    assert.equal((await logger.status()).services[0]!.connections, 0);
  });

  test('a server that is away: 421', async () => {
    await service.close();
    assert.match(await talk('EHLO x\r\n'), /^421 4\.4\.1 The mail server cannot be reached/);
  });
});
