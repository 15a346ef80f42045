/** What can no longer be asked for is forgotten; what can, is not. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  accountByAddress,
  claimDeliveries,
  digest,
  forgetOld,
  place,
  seedDemo,
  storeContent,
} from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../testing/index.ts';

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
  await seedDemo(db.database);
});
after(async () => await db?.close());

const age = (table: 'effects' | 'deliveries', where: string, hours: number) =>
  db.database.query(`update ${table} set at = now() - make_interval(hours => ${hours}) where ${where}`);

test('effects that are older than a day', async () => {
  const make = (id: string) => db.database.once(id, 'step', async () => id);
  for (const id of ['old', 'young']) await make(id);
  await db.database.query(
    `insert into effects (transaction_id, step, at)
       select 'many-' || n, 'step', now() - interval '2 days' from generate_series(1, 2500) as n`,
  );
  await age('effects', `transaction_id = 'old'`, 25);
  await age('effects', `transaction_id = 'young'`, 23);
  assert.deepEqual(await forgetOld(db.database), { effects: 2501, deliveries: 0 });
  assert.equal(await db.database.outcomeOf('young', 'step'), 'young');
  assert.equal(await db.database.outcomeOf('old', 'step'), undefined);
});

test('deliveries that are older than a month, unless the message is still on its way', async () => {
  const ada = (await accountByAddress(db.database, 'ada@resplice.example'))!;
  const claim = (id: string) =>
    db.database.transact(client => claimDeliveries(client, ada.id, id, ['ben@resplice.example']));
  for (const id of ['<old@x>', '<waiting@x>', '<young@x>']) assert.equal((await claim(id)).size, 1);
  await db.database.transact(async client => {
    const raw = Buffer.from('Message-ID: <waiting@x>\r\n\r\nx');
    const messageId = await place(client, {
      accountId: ada.id,
      folder: 'sent',
      state: 'sending',
      contentId: await storeContent(client, raw),
      digest: await digest(raw),
      at: new Date(),
    });
    const { rows } = await client.query(
      `insert into drafts (account_id, key, updated_at) values ($1, gen_random_uuid(), now()) returning id`,
      [ada.id],
    );
    await client.query(
      `insert into outgoing (message_id, draft_id, sender, recipients, next_at) values ($1, $2, '', '{}', now())`,
      [messageId, rows[0].id],
    );
  });
  await age('deliveries', `message_id <> '<young@x>'`, 24 * 31);
  assert.deepEqual(await forgetOld(db.database), { effects: 0, deliveries: 1 });
  assert.deepEqual([(await claim('<old@x>')).size, (await claim('<waiting@x>')).size], [1, 0]);
  await db.database.query('delete from outgoing');
  assert.deepEqual(await forgetOld(db.database), { effects: 0, deliveries: 1 });
});
