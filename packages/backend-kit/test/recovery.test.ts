/** What becomes of transactions when back ends die, freeze, or were suspected in error (P12). */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { ChannelServer, kitKeyOf } from '@resplice/kit-channel';
import { until } from '@resplice/service-kit/testing';
import { Tier } from '../testing/index.ts';
import { application, World } from './application.ts';

let tier: Tier;
let world: World;
beforeEach(async () => {
  world = new World();
  tier = await Tier.start(3, application(world));
});
afterEach(async () => await tier?.close());

const names = () => world.runs.map(({ name }) => name);
const held = (i: number) => tier.kit(i).status.journals.held;

suite('the dialogue with the logger', () => {
  test('tells what is stored, and the last transaction of the connection', async () => {
    const connection = tier.connection();
    const recover = (number: number) =>
      tier.asLogger(2, {
        type: 'recover',
        connection,
        transaction: tier.id(connection, number),
        number,
        attempt: 1,
        from: 'backend-1',
      });
    const told = async (number: number) => {
      const { body: _, ...fields } = await recover(number);
      return fields;
    };
    assert.deepEqual(await told(0), {
      type: 'recovered',
      stored: 'none',
      lastStored: null,
      lastApplied: null,
      runs: true,
    });
    const client = await tier.client(1, connection, { start: 1, moved: false });
    await client.ask('POST', '/response/json');
    await client.ask('POST', '/state/quote');
    assert.deepEqual(await told(1), {
      type: 'recovered',
      stored: 'response',
      lastStored: 2,
      lastApplied: 2,
      runs: true,
    });
    assert.deepEqual((await told(2)).type === 'recovered' && (await told(2)), {
      type: 'recovered',
      stored: 'state',
      lastStored: 2,
      lastApplied: 2,
      runs: true,
    });
  });

  test('finds a record at another kit than the one that is asked', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/response/json');
    assert.deepEqual([held(2), held(3)], [1, 0]);
    await tier.crash(1);
    const again = await (await tier.takeOver(3, connection)).ask('POST', '/response/json');
    assert.equal(again.text, first.text);
    assert.deepEqual(names(), ['backend-1']);
  });

  test('is not needed: a successor that was told nothing asks the others itself', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/response/json');
    const client = await tier.client(3, connection, { moved: true });
    assert.equal((await client.ask('POST', '/response/json')).text, first.text);
    assert.equal(tier.kit(3).counters.lookups, 1);
  });
});

suite('a transaction without a record', () => {
  test('is run again under its name, and has its effect once', async () => {
    const connection = tier.connection();
    world.shut();
    const client = await tier.client(1, connection);
    client.send('POST', '/response/json');
    await until('the first run', () => world.runs.length === 1);
    const successor = await tier.takeOver(2, connection);
    successor.send('POST', '/response/json');
    await until('the second run', () => world.runs.length === 2);
    world.open();
    assert.equal(JSON.parse((await successor.answer()).text).from, 'backend-2');
    assert.equal(world.effects.size, 1);
    assert.deepEqual(
      world.runs.map(({ attempt }) => attempt),
      [0, 1],
    );
    // The predecessor was frozen, not dead: by now its answer is nobody's.
    await client.closed();
    assert.equal(client.received.length, 0);
    assert.equal(tier.kit(1).counters.superseded, 1);
  });
});

suite('a back end that was suspected in error', () => {
  test('does not run a transaction beside itself when it gets it back', async () => {
    const connection = tier.connection();
    world.shut();
    const before = await tier.client(1, connection);
    before.send('POST', '/response/json');
    await until('the first run', () => world.runs.length === 1);
    // As the tier clears an old socket out of the way.
    before.close();
    const back = await tier.takeOver(1, connection, { attempt: 2, from: 'backend-2' });
    back.send('POST', '/response/json');
    await until('the second request', () => tier.kit(1).counters.joined === 1);
    world.open();
    assert.equal(JSON.parse((await back.answer()).text).number, 1);
    assert.equal(world.runs.length, 1);
  });
});

suite('the alternate', () => {
  test('gone: records go to the next one, and survive the serving back end too', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/response/json');
    assert.deepEqual([held(2), held(3)], [1, 0]);
    await tier.crash(2);
    await until('the record at the next one', () => held(3) === 1);
    await tier.crash(1);
    const again = await (await tier.takeOver(3, connection)).ask('POST', '/response/json');
    assert.equal(again.bytes.toString(), first.bytes.toString());
    assert.deepEqual(names(), ['backend-1']);
  });

  test('has it passed on when it takes over, and dies as well', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/response/json');
    await tier.crash(1);
    const second = await (await tier.takeOver(2, connection)).ask('POST', '/response/json');
    await tier.crash(2);
    const third = await tier.takeOver(3, connection, { attempt: 2, from: 'backend-2' });
    const bytes = [first, second, await third.ask('POST', '/response/json')].map(each =>
      each.bytes.toString(),
    );
    assert.equal(new Set(bytes).size, 1);
    assert.deepEqual(names(), ['backend-1']);
  });

  test('passes on the records of a back end that died, before anybody asks for them', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/response/json');
    await tier.crash(1);
    await until('the record at the third', () => held(3) === 1);
    await tier.crash(2);
    const third = await tier.takeOver(3, connection);
    assert.equal((await third.ask('POST', '/response/json')).bytes.toString(), first.bytes.toString());
  });

  test('missing altogether: answers leave, are counted, warned of once, and kept when somebody is back', async () => {
    await tier.crash(2);
    await tier.crash(3);
    await until('nobody', () => tier.kit(1).status.alternate === null);
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    const first = await client.ask('POST', '/response/json');
    await client.ask('POST', '/response/json');
    assert.equal(tier.kit(1).counters.degraded, 2);
    assert.equal(tier.kit(1).status.degraded, true);
    assert.deepEqual(tier.node(1).warnings.filter(each => /no other back end/.test(each)).length, 1);
    await tier.restart(3);
    await until('the records', () => held(3) === 2);
    await until('the end of it', () => !tier.kit(1).status.degraded);
    const again = await (await tier.takeOver(3, connection)).ask('POST', '/response/json');
    assert.equal(again.bytes.toString(), first.bytes.toString());
  });

  test('that is frozen delays one answer, and is passed over from then on', async () => {
    await tier.crash(2);
    await until('its absence noticed', () => tier.kit(1).status.alternate === 'backend-3');
    let asked = 0;
    const frozen = new ChannelServer({
      kitKey: tier.kitKey,
      address: tier.addressOf(2),
      port: 7002,
      callers: new Set(['backend-1', 'backend-3']),
      handle: ({ type }) => {
        if (type === 'resync') return { type: 'synced' };
        asked++;
        return new Promise(() => {});
      },
    });
    await frozen.listen();
    try {
      await until('it', () => tier.kit(1).status.alternate === 'backend-2');
      const start = performance.now();
      assert.equal((await (await tier.client(1)).ask('POST', '/response/json')).status, 200);
      assert.ok(performance.now() - start < 3000);
      assert.equal(asked, 1);
      assert.equal(held(3), 1);
    } finally {
      await frozen.close();
    }
  });
});

test('status tells what a kit keeps, and who is there', async () => {
  const client = await tier.client(1);
  await client.ask('POST', '/response/json');
  await client.ask('POST', '/login?user=ada');
  const told = await tier.asLogger(2, { type: 'status' });
  assert.equal(told.type, 'status');
  const { counters, journals, ...rest } = told.status as ReturnType<typeof tier.kit>['status'];
  assert.deepEqual(rest, {
    self: 'backend-2',
    ready: true,
    alternate: 'backend-3',
    degraded: false,
    peers: [
      { name: 'backend-1', up: true },
      { name: 'backend-3', up: true },
    ],
    sessions: { live: 1, destroyed: 0 },
    running: 0,
  });
  assert.deepEqual([journals.own, journals.held, counters.kept], [0, 2, 2]);
});

suite('a stranger', () => {
  test('without the kits’ key learns nothing', async () => {
    const connection = tier.connection();
    await (await tier.client(1, connection)).ask('POST', '/response/json');
    const { ChannelClient } = await import('@resplice/kit-channel');
    const stranger = new ChannelClient({
      kitKey: kitKeyOf(new Uint8Array(32)),
      self: 'logger-1',
      peer: { name: 'backend-2', address: tier.addressOf(2), port: 7002 },
    });
    await stranger.tried;
    await assert.rejects(
      stranger.request({ type: 'lookup', transaction: tier.id(connection, 0), attempt: 9 }),
      /away/,
    );
    stranger.close();
  });
});

suite('many at once', () => {
  test('each get their own answer, once, whichever back ends serve them', async () => {
    const people = Array.from({ length: 60 }, () => tier.connection());
    const first = await Promise.all(
      people.map(async (connection, i) =>
        (await tier.client(1 + (i % 3), connection)).ask('POST', '/response/text', {}, `from ${i}`),
      ),
    );
    await tier.crash(1);
    const again = await Promise.all(
      people.map(async (connection, i) =>
        i % 3 === 0
          ? (await tier.takeOver(2, connection)).ask('POST', '/response/text', {}, `from ${i}`)
          : first[i]!,
      ),
    );
    assert.deepEqual(
      again.map(({ bytes }) => bytes.toString()),
      first.map(({ bytes }) => bytes.toString()),
    );
    assert.equal(world.runs.length, 60);
  });
});
