/** Who may send what to whom, and that it is delivered once. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { DEMO_PASSWORD, delegatedPassword, seedDemo } from '@resplice/mailstore';
import { type TestDatabase, testDatabase } from '@resplice/mailstore/testing';
import { createTransport } from 'nodemailer';
import { pino } from 'pino';
import { SmtpService } from '../src/index.ts';

const KEY = 'a key for these tests, long enough for it';
const ADA = 'ada@resplice.example';
const BEN = 'ben@resplice.example';
const CHLOE = 'chloe@resplice.example';

let db: TestDatabase;
let service: SmtpService;
let port: number;
before(async () => {
  db = await testDatabase();
  await seedDemo(db.database);
  await db.database.query(
    `insert into accounts (address, name, password) select unnest($1::text[]), 'Crowd', '!'`,
    [many],
  );
  service = new SmtpService({
    database: db.database,
    domain: 'resplice.example',
    delegationKey: KEY,
    maxSize: 100_000,
    log: pino({ level: 'silent' }),
  });
  port = await service.listen(0, '127.0.0.1');
});
after(async () => {
  await service?.close();
  await db?.close();
});

interface Letter {
  readonly user?: string;
  readonly password?: string;
  readonly sender?: string;
  readonly from?: string;
  readonly to?: readonly string[];
  readonly id?: string;
  readonly body?: string;
}

/** More mailboxes than one message can have recipients. */
const many = Array.from({ length: 101 }, (_, i) => `crowd-${i}@resplice.example`);

/** The reply to the letter: the last one, or the first that said no. */
async function send({
  user,
  password,
  sender,
  from,
  to = [BEN],
  id = '',
  body = 'x',
}: Letter): Promise<string> {
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    ignoreTLS: true,
    ...(user === undefined ? {} : { auth: { user, pass: password ?? delegatedPassword(KEY, user) } }),
  });
  const envelope = { from: sender ?? user ?? 'stranger@x.example', to: [...to] };
  const head = `From: ${from ?? envelope.from}\r\nSubject: s\r\n${id === '' ? '' : `Message-ID: ${id}\r\n`}`;
  try {
    const { response, rejectedErrors = [] } = await transport.sendMail({
      envelope,
      raw: `${head}\r\n${body}\r\n`,
    });
    return rejectedErrors[0]?.response ?? response;
  } catch (error) {
    return (error as { response?: string }).response ?? String(error);
  }
}

async function inbox(address: string, id: string): Promise<number> {
  const [row] = await db.database.query<{ n: number }>(
    `select count(*)::int as n from messages m join accounts a on a.id = m.account_id
     where address = $1 and folder = 'inbox' and message_id = $2`,
    [address, id],
  );
  return row!.n;
}

suite('admission', () => {
  const cases: readonly (readonly [string, Letter, RegExp])[] = [
    ['a user with the delegated password', { user: ADA }, /^250 2\.0\.0 Accepted <.+@resplice\.example>/],
    ['a user with the own password', { user: ADA, password: DEMO_PASSWORD }, /^250/],
    ['a wrong password', { user: ADA, password: 'wrong' }, /^535 5\.7\.8/],
    ['another’s delegated password', { user: ADA, password: delegatedPassword(KEY, BEN) }, /^535/],
    ['an account that is not there', { user: 'x@resplice.example' }, /^535/],
    ['a sender that is another user', { user: ADA, sender: BEN }, /^553 5\.7\.1/],
    ['a From field that is another user’s', { user: ADA, from: BEN }, /^550 5\.7\.1 The From field/],
    ['two addresses in From', { user: ADA, from: `${ADA}, ${BEN}` }, /^550 5\.7\.1/],
    ['a stranger to a mailbox', {}, /^250/],
    ['a stranger who calls himself one of us', { sender: ADA }, /^530 5\.7\.0/],
    ['a stranger whose From field is one of us', { from: ADA }, /^550 5\.7\.1/],
    ['a stranger to another domain', { to: ['a@y.example'] }, /^550 5\.7\.1 Mail for other domains/],
    [
      'a user to another domain, without a smarthost',
      { user: ADA, to: ['a@y.example'] },
      /^550 5\.7\.1.*smarthost/,
    ],
    ['a mailbox that is not there', { user: ADA, to: ['nobody@resplice.example'] }, /^550 5\.1\.1/],
    ['a recipient in capitals', { user: ADA, to: ['BEN@Resplice.Example'] }, /^250/],
    ['more than the size', { user: ADA, body: `${'x'.repeat(998)}\r\n`.repeat(120) }, /^552/],
    ['101 recipients', { to: many }, /^452 4\.5\.3/],
  ];
  for (const [what, letter, reply] of cases) {
    test(`${what}: ${reply.source}`, async () => assert.match(await send(letter), reply));
  }

  test('a message that goes in circles is refused', async () => {
    const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
    const raw = `${'Received: by x\r\n'.repeat(60)}Subject: s\r\n\r\nx\r\n`;
    const sent = transport.sendMail({ envelope: { from: 'a@x.example', to: [BEN] }, raw });
    await assert.rejects(sent, /554 5\.4\.6/);
  });
});

suite('delivery', () => {
  test('the same message of the same user is delivered once to each recipient', async () => {
    const id = '<one@resplice.example>';
    for (let i = 0; i < 3; i++) assert.match(await send({ user: ADA, id }), /^250/);
    assert.equal(await inbox(BEN, id), 1);
    await Promise.all([1, 2, 3, 4].map(() => send({ user: ADA, id, to: [BEN, CHLOE] })));
    assert.deepEqual([await inbox(BEN, id), await inbox(CHLOE, id)], [1, 1]);
  });

  test('nobody suppresses another’s mail by using its Message-ID first', async () => {
    const id = '<guessed@resplice.example>';
    await send({ user: CHLOE, id });
    await send({ id });
    await send({ user: ADA, id });
    assert.equal(await inbox(BEN, id), 3);
  });

  test('a message goes to all of its recipients or, while the database is away, to none', async () => {
    const id = '<away@resplice.example>';
    await db.cluster.stop();
    assert.match(await send({ user: ADA, id, to: [BEN, CHLOE] }), /^4\d\d|closed/);
    await db.cluster.start();
    assert.match(await send({ user: ADA, id, to: [BEN, CHLOE] }), /^250/);
    assert.deepEqual([await inbox(BEN, id), await inbox(CHLOE, id)], [1, 1]);
  });
});
