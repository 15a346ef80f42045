/** Strategy 1 (P9.2): the whole response lies at the alternate before its first byte leaves, and comes out of it the same. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { Tier } from '../testing/index.ts';
import { application, World } from './application.ts';

let tier: Tier;
let world: World;
beforeEach(async () => {
  world = new World();
  tier = await Tier.start(2, application(world));
});
afterEach(async () => await tier?.close());

suite('a response from its record', () => {
  for (const form of [
    'json',
    'text',
    'redirect',
    'empty',
    'nothing',
    'cookies',
    'stream',
    'chunked',
    'trailers',
    'raw',
    'failing',
    'breaking',
    'close',
  ]) {
    test(`has every byte of the first one: ${form}`, async () => {
      const connection = tier.connection();
      const first = await (await tier.client(1, connection)).ask('POST', `/response/${form}`);
      const again = await (await tier.takeOver(2, connection)).ask('POST', `/response/${form}`);
      assert.equal(again.bytes.toString('latin1'), first.bytes.toString('latin1'));
      assert.equal(world.runs.length, 1, 'the application ran once');
      assert.equal(tier.kit(2).counters.replayed, 1);
      assert.equal(first.all('date').length, 1);
      assert.deepEqual(first.all('connection'), [form === 'close' ? 'close' : 'keep-alive']);
    });
  }

  test('keeps what it is: status, reason, header names, several cookies, trailers', async () => {
    const connection = tier.connection();
    await (await tier.client(1, connection)).ask('POST', '/response/raw');
    const raw = await (await tier.takeOver(2, connection)).ask('POST', '/response/raw');
    assert.match(
      raw.head,
      /^HTTP\/1\.1 299 As It Likes\r\nX-Raw: backend-1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n/,
    );
    assert.match(raw.text, /^raw \d/);
    const other = await (await tier.client(1)).ask('POST', '/response/trailers');
    assert.match(other.text, /before trailers\r\n0\r\nx-sum: backend-1\r\n\r\n$/);
    assert.equal((await (await tier.client(1)).ask('POST', '/response/breaking')).status, 500);
  });

  test('is at the alternate before its first byte is at the client', async () => {
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    let stored: unknown;
    client.socket.once('data', () => {
      stored = tier.kit(2).status.journals.held;
    });
    await client.ask('POST', '/response/json');
    assert.equal(stored, 1);
  });

  test('leaves the connection as it was: the next request is served on it, by the application', async () => {
    const connection = tier.connection();
    await (await tier.client(1, connection)).ask('POST', '/response/json', {}, 'a body');
    const client = await tier.takeOver(2, connection);
    await client.ask('POST', '/response/json', {}, 'a body');
    const next = JSON.parse((await client.ask('POST', '/response/json')).text);
    assert.deepEqual([next.number, next.from], [2, 'backend-2']);
  });

  test('may be large', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/large?bytes=20000000');
    assert.ok(first.body.length >= 20_000_000);
    const again = await (await tier.takeOver(2, connection)).ask('POST', '/large?bytes=20000000');
    assert.ok(again.bytes.equals(first.bytes));
    assert.equal(world.runs.length, 1);
  });

  test('that is too long leaves without one, whole, and is counted', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/large?bytes=40000000');
    assert.ok(first.body.length >= 40_000_000);
    assert.equal(tier.kit(1).counters.tooLong, 1);
    const found = await tier.asLogger(2, { type: 'lookup', transaction: tier.id(connection, 0), attempt: 0 });
    assert.equal(found.type, 'none');
    assert.deepEqual(tier.node(1).warnings.length, 1);
  });

  test('is forgotten when the client has it', async () => {
    const connection = tier.connection();
    await (await tier.client(1, connection)).ask('POST', '/response/json');
    const transaction = tier.id(connection, 0);
    assert.deepEqual([tier.kit(1).status.journals.own, tier.kit(2).status.journals.held], [1, 1]);
    for (const i of [1, 2]) {
      (await tier.logger(i)).tell({ type: 'commit', transactions: [transaction] });
      const found = await tier.asLogger(i, { type: 'lookup', transaction, attempt: 0 });
      assert.equal(found.type, 'none');
      assert.deepEqual(tier.kit(i).status.journals, { own: 0, held: 0, bytes: 0 });
    }
  });
});

suite('requests that need no record', () => {
  test('ship nothing and ask nobody', async () => {
    const client = await tier.client(1);
    for (const path of ['/page', '/untagged', '/page']) await client.ask('GET', path);
    await client.ask('POST', '/untagged');
    assert.equal(tier.node(1).agent.questions, 0);
    assert.equal(tier.kit(2).status.journals.held, 0);
    assert.equal(tier.kit(1).counters.journalled, 0);
  });

  test('ask who is there once for a socket, and have their name and chance elsewhere too', async () => {
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    const texts = [];
    for (let i = 0; i < 3; i++) texts.push((await client.ask('GET', '/named')).text);
    assert.equal(tier.node(1).agent.questions, 1);
    assert.equal(new Set(texts).size, 3);
    assert.equal(JSON.parse(texts[1]!).id, tier.id(connection, 1));
    const elsewhere = await tier.client(2, connection, { start: 1 });
    assert.equal((await elsewhere.ask('GET', '/named')).text, texts[1]);
  });
});
