/** Strategy 2 (P9.2): clock, chance and declared inputs lie at the alternate, and the response is made of them again. */
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

suite('a response that is made again', () => {
  test('has every byte of the first one, and is run for it', async () => {
    const connection = tier.connection();
    const first = await (await tier.client(1, connection)).ask('POST', '/state/quote');
    const again = await (await tier.takeOver(2, connection)).ask('POST', '/state/quote');
    assert.equal(again.bytes.toString(), first.bytes.toString());
    assert.deepEqual(
      world.runs.map(({ name, attempt }) => [name, attempt]),
      [
        ['backend-1', 0],
        ['backend-2', 1],
      ],
    );
    assert.equal(world.effects.size, 1);
    assert.equal(world.price, 101, 'the input was asked for once');
    assert.equal(tier.kit(2).counters.rerun, 1);
  });

  test('differs from that of another transaction', async () => {
    const client = await tier.client(1);
    const [a, b] = [await client.ask('POST', '/state/quote'), await client.ask('POST', '/state/quote')];
    const [first, second] = [JSON.parse(a.text), JSON.parse(b.text)];
    assert.notEqual(first.chance, second.chance);
    assert.deepEqual([first.price, second.price], [100, 101]);
  });

  for (const bytes of [10_000, 65_536, 300_000]) {
    test(`has the same chunks, whatever pieces a stream of ${bytes} bytes comes in`, async () => {
      const connection = tier.connection();
      const target = `/state/stream?piece=7000&bytes=${bytes}`;
      const first = await (await tier.client(1, connection)).ask('POST', target);
      const again = await (await tier.takeOver(2, connection)).ask('POST', target);
      assert.ok(again.bytes.equals(first.bytes));
      assert.equal(world.runs.length, 2);
      assert.equal(first.all('transfer-encoding').length, bytes > 65_536 ? 1 : 0);
    });
  }

  test('ships its state alone, not its bytes', async () => {
    await (await tier.client(1)).ask('POST', '/state/stream?piece=7000&bytes=300000');
    assert.ok(tier.kit(2).status.journals.bytes < 2000);
  });

  test('is refused an input when it is too late to record it', async () => {
    const answer = await (await tier.client(1)).ask('POST', '/state/late');
    assert.match(answer.text, /input late: the response has begun/);
  });
});
