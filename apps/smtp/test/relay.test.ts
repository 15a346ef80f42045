/** Mail for other domains: handed to the smarthost until that answers, bounced when it says no. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';
import {
  accountByAddress,
  delegatedPassword,
  listPage,
  parseMail,
  rawById,
  seedDemo,
} from '@resplice/mailstore';
import { type TestDatabase, testDatabase } from '@resplice/mailstore/testing';
import { until } from '@resplice/service-kit/testing';
import { createTransport } from 'nodemailer';
import { pino } from 'pino';
import { SMTPServer } from 'smtp-server';
import { SmtpService } from '../src/index.ts';
import { FaultyPath } from '../testing/index.ts';

const KEY = 'a key for these tests, long enough for it';
const ADA = 'ada@resplice.example';

/** A server of another domain: remembers what it got. */
class OtherServer {
  readonly got: { to: string; raw: string }[] = [];
  readonly #server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    onData: (stream, session, callback) => {
      const parts: Buffer[] = [];
      stream.on('data', part => parts.push(part));
      stream.on('end', () => {
        for (const { address } of session.envelope.rcptTo) {
          this.got.push({ to: address, raw: Buffer.concat(parts).toString() });
        }
        callback();
      });
    },
  });

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server.server, 'listening');
    return (this.#server.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await new Promise<void>(resolve => this.#server.close(() => resolve()));
  }
}

suite('the relay', () => {
  let db: TestDatabase;
  const other = new OtherServer();
  let path: FaultyPath;
  let service: SmtpService;
  let port: number;

  before(async () => {
    db = await testDatabase();
    await seedDemo(db.database);
    path = await FaultyPath.to(await other.listen());
    service = new SmtpService({
      database: db.database,
      domain: 'resplice.example',
      delegationKey: KEY,
      smarthost: { host: '127.0.0.1', port: path.port },
      retryPausesMs: [50],
      giveUpMs: 4000,
      log: pino({ level: 'silent' }),
    });
    port = await service.listen(0, '127.0.0.1');
  });
  after(async () => {
    await service?.close();
    await path?.close();
    await other.close();
    await db?.close();
  });

  async function send(to: string, id: string): Promise<void> {
    const auth = { user: ADA, pass: delegatedPassword(KEY, ADA) };
    const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true, auth });
    const raw = `From: ${ADA}\r\nTo: ${to}\r\nSubject: far\r\nMessage-ID: <${id}@resplice.example>\r\n\r\nwords\r\n`;
    await transport.sendMail({ envelope: { from: ADA, to: [to] }, raw });
  }

  const arrived = (to: string): number => other.got.filter(each => each.to === to).length;

  async function queued(): Promise<number> {
    return (await db.database.query<{ n: number }>('select count(*)::int as n from relays'))[0]!.n;
  }

  /** The bounces in the sender's inbox about this recipient. */
  async function bounces(recipient: string): Promise<string[]> {
    const account = await accountByAddress(db.database, ADA);
    const { entries } = await listPage(db.database, account!.id, {
      folder: 'inbox',
      page: 1,
      pageSize: 50,
      search: '',
    });
    const mine = entries.filter(({ subject }) => subject === `Not delivered: ${recipient}`);
    return await Promise.all(mine.map(async ({ id }) => String(await rawById(db.database, account!.id, id))));
  }

  test('passes mail on with its recipient’s own spelling, once, and empties its queue', async () => {
    await send('Zoe@Far.example', 'a');
    await send('Zoe@Far.example', 'a');
    await until('it to arrive', () => arrived('Zoe@Far.example') > 0 || arrived('Zoe@far.example') > 0);
    await until('the queue to be empty', async () => (await queued()) === 0);
    assert.equal(other.got.length, 1);
    assert.match(
      other.got[0]!.raw,
      /Received: from .*by resplice\.example.*Message-ID: <a@resplice\.example>.*words/s,
    );
  });

  test('tries again after 4xx, a cut and a smarthost that is away', async () => {
    path.set({ phase: 'RCPT', kind: 'refuse', code: 451, times: 2 });
    await send('later@far.example', 'b');
    await until('it to arrive', () => arrived('later@far.example') === 1);
    assert.equal(path.fired, 2);
    path.set({ phase: 'DATA', kind: 'cut', times: 2 });
    await send('cut@far.example', 'c');
    await until('it to arrive', () => arrived('cut@far.example') === 1);
    path.heal();
    assert.deepEqual([await bounces('later@far.example'), await bounces('cut@far.example')], [[], []]);
  });

  test('bounces once what is refused for good, with the reason and the message’s head', async () => {
    path.set({ phase: 'RCPT', kind: 'refuse', code: 550, times: 1 });
    await send('gone@far.example', 'd');
    await until('the bounce', async () => (await bounces('gone@far.example')).length > 0);
    await until('the queue to be empty', async () => (await queued()) === 0);
    const [bounce, ...more] = await bounces('gone@far.example');
    assert.deepEqual(more, []);
    assert.match(bounce!, /^Content-Type: multipart\/report; report-type=delivery-status/m);
    assert.match(
      bounce!,
      /Action: failed\r\nStatus: 5\.0\.0\r\nDiagnostic-Code: smtp; 550 refused on the way/,
    );
    assert.match(bounce!, /Message-ID: <d@resplice\.example>/);
    assert.match((await parseMail(Buffer.from(bounce!))).text, /could not be delivered to gone@far\.example/);
    assert.equal(arrived('gone@far.example'), 0);
  });

  test('gives up in the end, and says so', async () => {
    path.set({ phase: 'greeting', kind: 'refuse', code: 421 });
    await send('never@far.example', 'e');
    await until('the bounce', async () => (await bounces('never@far.example')).length > 0, 20_000);
    assert.match((await bounces('never@far.example'))[0]!, /421 refused on the way/);
    path.heal();
    assert.equal(await queued(), 0);
  });
});
