/** Which transaction a request is: its connection as the agent tells it, its number as the kit counts it. */
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

const ids = () => world.runs.map(({ id }) => id);

suite('numbers', () => {
  test('go on on a socket, over requests that are not journalled, from where the tier says', async () => {
    const connection = tier.connection();
    const client = await tier.client(1, connection, { start: 40 });
    await client.ask('POST', '/response/json');
    await client.ask('GET', '/page');
    assert.equal((await client.ask('GET', '/no-such-page')).status, 404);
    assert.equal((await client.ask('POST', '/page', { Expect: 'wonders' })).status, 417);
    await client.ask('POST', '/response/json');
    assert.deepEqual(ids(), [tier.id(connection, 40), tier.id(connection, 44)]);
  });

  test('follow the order on the wire when requests are pipelined, and so do the answers', async () => {
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    world.shut();
    for (let i = 0; i < 4; i++) client.send('POST', '/response/json');
    while (world.runs.length < 4) await new Promise(resolve => setImmediate(resolve));
    world.open();
    for (let i = 0; i < 4; i++) assert.equal((await client.answer()).status, 200);
    assert.deepEqual(
      ids(),
      [0, 1, 2, 3].map(number => tier.id(connection, number)),
    );
  });

  test('do not run out: the connection is ended before', async () => {
    const client = await tier.client(1, tier.connection(), { start: 59_999, moved: false });
    assert.deepEqual((await client.ask('POST', '/response/json')).all('connection'), ['keep-alive']);
    assert.deepEqual((await client.ask('GET', '/page')).all('connection'), ['close']);
    await client.closed();
    const next = await tier.client(1, tier.connection(), { start: 60_000, moved: false });
    assert.deepEqual((await next.ask('POST', '/response/json')).all('connection'), ['close']);
    await next.closed();
  });

  test('count a request that waits to be told to go on as one', async () => {
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    client.send('POST', '/response/json', { Expect: '100-continue' }, 'a body');
    assert.equal((await client.answer()).status, 100);
    assert.equal((await client.answer()).status, 200);
    await client.ask('POST', '/response/json');
    assert.deepEqual(ids(), [tier.id(connection, 0), tier.id(connection, 1)]);
  });

  test('that nobody knows leave a request unprotected, under a name of its own', async () => {
    const connection = tier.connection();
    const client = await tier.client(1, connection, { start: 65_535, moved: false });
    assert.equal((await client.ask('POST', '/response/json')).status, 200);
    assert.equal((await client.ask('POST', '/response/json')).status, 200);
    assert.equal(new Set(ids()).size, 2);
    assert.equal(ids().includes(tier.id(connection, 65_535)), false);
    assert.equal(tier.kit(1).counters.unprotected, 2);
    assert.equal(tier.kit(2).status.journals.held, 0);
  });
});

suite('a connection', () => {
  test('that no agent knows is served all the same', async () => {
    const client = await tier.stranger(1);
    assert.equal((await client.ask('POST', '/response/json')).status, 200);
    assert.equal(tier.kit(1).counters.unprotected, 1);
  });

  test('is served all the same when there is no agent', async () => {
    const client = await tier.client(1);
    await tier.node(1).agent.close();
    assert.equal((await client.ask('POST', '/response/json')).status, 200);
    assert.equal((await client.ask('POST', '/state/quote')).status, 200);
    assert.equal(tier.kit(1).counters.unprotected, 2);
  });

  test('is served all the same when the agent is silent, and only the first one waits for it', async () => {
    tier.node(1).agent.isSilent = true;
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    for (let i = 0; i < 3; i++) assert.equal((await client.ask('POST', '/response/json')).status, 200);
    assert.equal(tier.node(1).agent.questions, 1);
    assert.equal(tier.kit(1).counters.unprotected, 3);
  });

  test('whose ports belong to another one by now is cut, before it is taken for that', async () => {
    const client = await tier.client(1);
    tier.node(1).agent.known.set(client.localPort, {
      connection: tier.connection(),
      sinceNs: process.hrtime.bigint() + 1n,
    });
    client.send('POST', '/response/json');
    await client.closed();
    assert.equal(client.received.length, 0);
    assert.equal(world.runs.length, 0);
    assert.equal(tier.kit(1).counters.stale, 1);
  });
});
