/** Connections that a back-end logger opens: with a PROXY header, from configured addresses only. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { delegatedPassword, seedDemo } from '@resplice/mailstore';
import { type TestDatabase, testDatabase } from '@resplice/mailstore/testing';
import { encodeProxyHeader } from '@resplice/protocol';
import { createTransport } from 'nodemailer';
import { pino } from 'pino';
import { SmtpService } from '../src/index.ts';

const KEY = 'a key for these tests, long enough for it';
const ADA = 'ada@resplice.example';
const BEN = 'ben@resplice.example';
const LOGGER = '127.0.0.2';

const header = encodeProxyHeader({
  route: { client: { address: '192.0.2.9', port: 50_000 }, server: { address: '10.62.0.10', port: 80 } },
  transaction: 'transaction-1',
  caller: { backend: 1, epoch: 1000, attempt: 0, step: 0 },
});

suite('a connection of a logger', () => {
  let db: TestDatabase;
  let service: SmtpService;
  let port: number;
  const lines: Record<string, unknown>[] = [];

  before(async () => {
    db = await testDatabase();
    await seedDemo(db.database);
    service = new SmtpService({
      database: db.database,
      domain: 'resplice.example',
      delegationKey: KEY,
      proxies: [LOGGER],
      log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    });
    port = await service.listen(0, '127.0.0.1');
  });
  after(async () => {
    await service?.close();
    await db?.close();
  });

  async function dial(from: string, first: string | Buffer): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port, localAddress: from });
    await once(socket, 'connect');
    socket.write(first);
    return socket;
  }

  async function send(connection: Socket, id: string): Promise<string> {
    const auth = { user: ADA, pass: delegatedPassword(KEY, ADA) };
    const transport = createTransport({ connection, ignoreTLS: true, auth });
    const raw = `From: ${ADA}\r\nTo: ${BEN}\r\nMessage-ID: <${id}@resplice.example>\r\n\r\nwords\r\n`;
    return (await transport.sendMail({ envelope: { from: ADA, to: [BEN] }, raw })).response;
  }

  async function received(id: string): Promise<string[]> {
    const rows = await db.database.query<{ raw: Buffer }>(
      `select c.raw from messages m join accounts a on a.id = m.account_id join contents c on c.id = m.content_id
       where address = $1 and folder = 'inbox' and message_id = $2`,
      [BEN, `<${id}@resplice.example>`],
    );
    return rows.map(({ raw }) => String(raw));
  }

  test('is greeted, its transaction is logged, and its user’s address is in no mail', async () => {
    assert.match(await send(await dial(LOGGER, header), 'a'), /^250/);
    const opened = lines.find(({ msg }) => msg === 'opened by a logger');
    assert.equal(opened?.transaction, 'transaction-1');
    assert.equal(opened?.client, '192.0.2.9');
    assert.equal(lines.find(({ msg }) => msg === 'received')?.transaction, 'transaction-1');
    const [raw, ...more] = await received('a');
    assert.deepEqual(more, []);
    assert.match(raw!, /Received: from .*\(\[127\.0\.0\.2\]\)/);
    assert.doesNotMatch(raw!, /192\.0\.2\.9/);
  });

  test('the same message in another transaction is delivered once', async () => {
    for (let i = 0; i < 2; i++) assert.match(await send(await dial(LOGGER, header), 'b'), /^250/);
    assert.equal((await received('b')).length, 1);
  });

  test('without a header is refused, and with a header from elsewhere', async () => {
    const bare = await dial(LOGGER, 'EHLO somebody.example\r\n');
    await once(bare.resume(), 'close');
    assert.match(String(lines.find(({ msg }) => msg === 'refused')?.why), /PROXY header/);
    await assert.rejects(send(await dial('127.0.0.3', header), 'c'));
    assert.deepEqual(await received('c'), []);
  });

  test('others are greeted at once, too', async () => {
    let fastest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 10; i++) {
      const start = performance.now();
      const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.3' });
      const [greeting] = await once(socket, 'data');
      assert.match(String(greeting), /^220 /);
      fastest = Math.min(fastest, performance.now() - start);
      socket.destroy();
    }
    // The library alone would wait for 100 ms each time.
    assert.ok(fastest < 90, `${fastest} ms`);
  });
});
