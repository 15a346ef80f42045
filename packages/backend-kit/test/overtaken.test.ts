/** A run that another back end has overtaken never answers, at once or later; and of several records the latest run's counts. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { ChannelServer, type JournalRecord, type KitConnection } from '@resplice/kit-channel';
import { until } from '@resplice/service-kit/testing';
import { Peers } from '../src/peers.ts';
import { Tier } from '../testing/index.ts';
import { application, World } from './application.ts';

let tier: Tier;
let world: World;
beforeEach(async () => {
  world = new World();
  tier = await Tier.start(3, application(world));
});
afterEach(async () => await tier?.close());

const bodyOf = (attempt: number) => Buffer.from(`attempt ${attempt}`);

function recordOf(connection: KitConnection, attempt: number, origin: string): JournalRecord {
  const { length } = bodyOf(attempt);
  return {
    transaction: tier.id(connection, 0),
    connection,
    number: 0,
    attempt,
    origin,
    strategy: 'response',
    response: { status: 200, reason: 'OK', headers: ['Content-Length', String(length)], trailers: [] },
    sessions: [],
  };
}

/** Gives a kit a record as another kit does. */
async function give(i: number, record: JournalRecord): Promise<void> {
  const client = await tier.logger(i);
  const answer = await client.request({ type: 'journal', record }, { body: bodyOf(record.attempt) });
  assert.equal(answer.type, 'stored');
}

suite('a run that was overtaken', () => {
  test('has no record, here either, when its alternate refuses it', async () => {
    const connection = tier.connection();
    world.shut();
    const first = await tier.client(1, connection);
    first.send('POST', '/response/json');
    await until('the first run', () => world.runs.length === 1);
    const transaction = tier.id(connection, 0);
    await tier.asLogger(2, { type: 'lookup', transaction, attempt: 1 });
    world.open();
    await first.closed();
    assert.equal(first.received.length, 0);
    assert.equal(tier.kit(1).counters.superseded, 1);
    const found = await tier.asLogger(1, { type: 'lookup', transaction, attempt: 1 });
    assert.equal(found.type, 'none');
    assert.deepEqual(tier.kit(1).status.journals, { own: 0, held: 0, bytes: 0 });
  });

  test('does not answer when it is told so while its record is on its way', async () => {
    await tier.crash(2);
    await until('its absence noticed', () => tier.kit(1).status.alternate === 'backend-3');
    const connection = tier.connection();
    const transaction = tier.id(connection, 0);
    const { promise: told, resolve: tell } = Promise.withResolvers<void>();
    let isShipped = false;
    const slow = new ChannelServer({
      kitKey: tier.kitKey,
      address: tier.addressOf(2),
      port: 7002,
      callers: new Set(['backend-1', 'backend-3']),
      handle: async ({ type }) => {
        if (type === 'resync') return { type: 'synced' };
        isShipped = true;
        await told;
        return { type: 'stored' };
      },
    });
    await slow.listen();
    try {
      await until('the slow one', () => tier.kit(1).status.alternate === 'backend-2');
      const first = await tier.client(1, connection);
      first.send('POST', '/response/json');
      await until('the record on its way', () => isShipped);
      const found = await tier.asLogger(1, { type: 'lookup', transaction, attempt: 1 });
      assert.equal(found.type, 'found', 'whoever overtakes has its record');
      tell();
      await first.closed();
      assert.equal(first.received.length, 0);
      assert.equal(tier.kit(1).counters.superseded, 1);
    } finally {
      await slow.close();
    }
  });

  test('loses the record that it kept while it was cut off', async () => {
    const connection = tier.connection();
    tier.cut(1);
    await until('the cut', () => tier.kit(1).status.alternate === null);
    const before = await tier.client(1, connection);
    await before.ask('POST', '/response/json');
    before.close();
    const second = await (await tier.takeOver(2, connection)).ask('POST', '/response/json');
    assert.equal(world.runs.length, 2);
    tier.heal(1);
    await until('its record gone', () => tier.kit(1).status.journals.own === 0);
    const third = await tier.takeOver(1, connection, { attempt: 2, from: 'backend-2' });
    assert.equal((await third.ask('POST', '/response/json')).text, second.text);
    assert.equal(world.runs.length, 2);
  });
});

suite('of several records', () => {
  test('the one of the latest attempt counts, whoever answers first', async () => {
    const connection = tier.connection();
    await give(1, recordOf(connection, 0, 'backend-3'));
    await give(3, recordOf(connection, 1, 'backend-3'));
    const client = await tier.takeOver(2, connection, { attempt: 2, from: 'backend-1' });
    assert.equal((await client.ask('POST', '/response/json')).text, 'attempt 1');
    assert.deepEqual(world.runs, []);
  });

  test('also when this back end has an earlier one itself', async () => {
    const connection = tier.connection();
    await give(2, recordOf(connection, 0, 'backend-1'));
    await give(3, recordOf(connection, 1, 'backend-3'));
    const client = await tier.takeOver(2, connection, { attempt: 2, from: 'backend-3' });
    // The third is said to have failed: nobody asks it before it is heard again.
    await client.ask('POST', '/response/json');
    const other = tier.connection();
    await give(2, recordOf(other, 0, 'backend-1'));
    await give(3, recordOf(other, 1, 'backend-3'));
    await until('the third', () => tier.kit(2).status.peers.every(({ up }) => up));
    const later = await tier.takeOver(2, other, { attempt: 2, from: 'backend-1' });
    assert.equal((await later.ask('POST', '/response/json')).text, 'attempt 1');
  });
});

test('a peer is asked for all that it knows once at a time', async () => {
  let asked = 0;
  const { promise, resolve: tell } = Promise.withResolvers<void>();
  const server = new ChannelServer({
    kitKey: tier.kitKey,
    address: '127.0.0.1',
    port: 0,
    callers: new Set(['backend-1']),
    handle: async ({ type }) => {
      if (type !== 'resync') return { type: 'stored' };
      asked++;
      await promise;
      return { type: 'synced' };
    },
  });
  await server.listen();
  const peer = { name: 'backend-2', address: '127.0.0.1', port: server.port };
  let isMet = false;
  const peers = new Peers({
    config: {
      self: 'backend-1',
      members: [{ name: 'backend-1', address: '127.0.0.1', port: 1 }, peer],
      kitKey: tier.kitKey,
    },
    session: () => undefined,
    onChange: (_name, isUp) => {
      isMet = isUp;
      void peers.catchUp();
    },
    onPart: () => {},
  });
  try {
    await until('the meeting', () => isMet && asked > 0);
    const both = Promise.all([peers.catchUp(), peers.settled()]);
    tell();
    await both;
    await peers.catchUp();
    assert.equal(asked, 1);
  } finally {
    peers.close();
    await server.close();
  }
});
