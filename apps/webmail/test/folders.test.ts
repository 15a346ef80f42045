/** Lists of ten thousand messages, searches, and what is done to messages; nobody touches another's. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Person } from '../testing/person.ts';
import { Stand } from '../testing/stand.ts';

const MANY = 10_000;
/** Measured: 20 to 60 ms on a machine that does other things too; a scan of all messages would take seconds. */
const PATIENCE_MS = 1000;

let stand: Stand;
let ada: Person;
let ben: Person;
before(async () => {
  stand = await Stand.start();
  [ada, ben] = await Promise.all([Person.loggedIn(stand.url, 'ada'), Person.loggedIn(stand.url, 'ben')]);
  await stand.database.query(`
    with content as (insert into contents (raw) values ('Subject: many') returning id)
    insert into messages (account_id, folder, content_id, message_id, subject, addresses, snippet, size, attachments,
      received_at, words)
    select (select id from accounts where address = 'ada@resplice.example'), 'inbox', content.id, '<' || n || '@x>',
      'Message ' || n, '{"from": [{"name": "Robot", "address": "r@x.example"}], "to": [], "cc": [], "bcc": [], "replyTo": []}',
      'number ' || n, 100, 0, timestamptz '2026-01-01' + n * interval '1 minute',
      to_tsvector('simple', 'Message number' || n || ' ' || case when n % 1000 = 7 then 'Übermut' else 'plain' end)
    from generate_series(1, ${MANY}) n, content`);
});
after(async () => await stand?.close());

async function timed(path: string): Promise<string> {
  const start = performance.now();
  const { status, text } = await ada.get(path);
  assert.equal(status, 200, path);
  assert.ok(performance.now() - start < PATIENCE_MS, `${path} took ${performance.now() - start} ms`);
  return text;
}

suite('a mailbox of 10,000 messages', () => {
  test('is shown page by page, to its end', async () => {
    const first = await timed('/mail/inbox');
    assert.match(first, /1–50 of 10,000/);
    assert.match(first, />Message 10000</);
    assert.match(first, /href="\/mail\/inbox\?page=2"/);
    const last = await timed('/mail/inbox?page=200');
    assert.match(last, /9951–10000 of 10,000/);
    assert.match(last, />Message 1</);
    assert.doesNotMatch(last, /page=201/);
  });

  test('answers whatever page is asked for', async () => {
    for (const page of ['0', '-1', 'x', '1e9', '201', '99999999999999999999', "1'"]) {
      assert.match(await timed(`/mail/inbox?page=${page}`), /of 10,000/);
    }
  });

  test('finds words, their beginnings, and all of several', async () => {
    const found = async (q: string) => {
      const text = await timed(`/mail/inbox?q=${encodeURIComponent(q)}`);
      return Number(/of ([\d,]+)<\/span>/.exec(text)?.[1]?.replace(',', '') ?? 0);
    };
    assert.equal(await found('übermut'), 10);
    assert.equal(await found('überm'), 10);
    assert.equal(await found('message number5007 übermut'), 1);
    assert.equal(await found('message nothing'), 0);
    for (const q of ["'", '&|!():*', '\\', '<->', 'a'.repeat(500), '\0', ':*']) await found(q);
  });
});

test('messages move to the trash, back, and away for ever', async () => {
  const csrf = await ben.token();
  for (const subject of ['one', 'two', 'three']) {
    await ada.send({ recipients: 'ben@resplice.example', subject, body: 'x' });
  }
  const [three, two, one] = await ben.list('inbox');
  const act = (folder: string, action: string, ...ids: (string | undefined)[]) => {
    const form = new URLSearchParams({ csrf, action, back: `/mail/${folder}` });
    for (const id of ids) form.append('id', id!);
    return ben.post(`/mail/${folder}/act`, form);
  };
  assert.match((await act('inbox', 'delete', one, two)).text, /2 messages moved to the trash/);
  assert.deepEqual(await ben.list('inbox'), [three]);
  assert.match((await act('trash', 'restore', two)).text, /One message restored/);
  assert.deepEqual(await ben.list('inbox'), [three, two]);
  assert.match((await act('inbox', 'purge', three)).text, /0 messages deleted/, 'only from the trash');
  assert.match((await act('trash', 'purge', one)).text, /One message deleted for ever/);
  await act('inbox', 'delete', two);
  assert.match(
    (await ben.post('/mail/trash/empty', { csrf })).text,
    /One message deleted for ever.*The trash is empty/s,
  );
  assert.match((await act('inbox', 'delete')).text, /Nothing was selected/);
  assert.equal((await act('inbox', 'explode', three)).status, 404);
  const [row] = await stand.database.query<{ n: number }>(
    `select count(*)::int as n from contents c where not exists (select from messages m where m.content_id = c.id)`,
  );
  assert.equal(row!.n, 0, 'bytes that nobody holds are gone');
});

test('messages are unread until they are opened', async () => {
  await ada.send({ recipients: 'chloe@resplice.example', subject: 'fresh', body: 'x' });
  const chloe = await Person.loggedIn(stand.url, 'chloe');
  const list = async () => (await chloe.get('/mail/inbox')).text;
  assert.match(await list(), /<title>Inbox \(1\)/);
  const [id] = await chloe.list('inbox');
  await chloe.get(`/message/${id}`);
  assert.match(await list(), /<title>Inbox ·/);
  const csrf = await chloe.token();
  await chloe.post('/mail/inbox/act', { csrf, action: 'unread', id: id!, back: '' });
  assert.match(await list(), /<title>Inbox \(1\)/);
});

test('nobody sees, moves or deletes what is another’s', async () => {
  const [id] = await ada.list('inbox');
  const csrf = await ben.token();
  for (const path of ['', '/body', '/source', '/file/0', '/picture/0']) {
    assert.equal((await ben.get(`/message/${id}${path}`)).status, 404, path);
  }
  for (const path of [`/compose?reply=${id}`, `/compose?forward=${id}`]) {
    assert.equal((await ben.get(path)).status, 404, path);
  }
  for (const action of ['delete', 'restore', 'purge', 'read']) {
    const { text } = await ben.post('/mail/inbox/act', { csrf, action, id: id!, back: '' });
    assert.match(text, /0 messages/, action);
  }
  assert.equal((await ada.get(`/message/${id}`)).status, 200);
});

test('addresses that make no sense are answered with a page', async () => {
  for (const path of [
    '/message/0',
    '/message/x',
    '/message/99999999999999999999',
    '/mail/x',
    '/draft/x',
    '/compose?reply=x',
  ]) {
    const { status, text } = await ada.get(path);
    assert.equal(status, 404, path);
    assert.match(text, /There is nothing here/);
  }
});
