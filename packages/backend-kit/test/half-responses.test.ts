/** What was only half there when its connection ended leaves nothing behind: the next run begins anew. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, suite, test } from 'node:test';
import type { KitConnection } from '@resplice/kit-channel';
import { until } from '@resplice/service-kit/testing';
import { Tier } from '../testing/index.ts';

let tier: Tier;
/** Bodies that handlers got, and where. */
let runs: string[];
let isHalf: boolean;

beforeEach(async () => {
  runs = [];
  isHalf = true;
  tier = await Tier.start(2, (app, _kit, name) => {
    const update = { config: { txn: { kind: 'update', journal: 'response' } } } as const;
    app.post<{ Body: string }>('/echo', update, request => {
      runs.push(`${name} ${request.body}`);
      return `whole: ${request.body}`;
    });
    app.post('/stream', update, (_request, reply) => {
      runs.push(name);
      if (!isHalf) return reply.send(Readable.from(['all ', 'of it']));
      const stream = new Readable({ read: () => {} });
      stream.push('half ');
      return reply.send(stream);
    });
    app.post('/late', update, async (request, reply) => {
      runs.push(name);
      if (!isHalf) return 'all of it';
      await new Promise(resolve => request.raw.socket.once('close', resolve));
      const stream = new Readable({ read: () => {} });
      return reply.send(stream);
    });
    app.post('/web', update, (_request, reply) => {
      runs.push(name);
      if (!isHalf) return reply.send(new Response('all of it').body);
      return reply.send(new ReadableStream());
    });
    app.post('/failing', update, async request => {
      runs.push(name);
      if (!isHalf) return 'all of it';
      await once(request.raw.socket, 'close');
      throw new Error('there is nobody any more');
    });
    app.post('/short', update, (_request, reply) => {
      runs.push(name);
      reply.hijack();
      reply.raw.setHeader('Content-Length', '10');
      reply.raw.end(isHalf ? 'half' : 'all of it.');
    });
  });
});
afterEach(async () => await tier?.close());

const abandoned = (i: number) => tier.kit(i).counters.abandoned;

async function nothingIsLeft(connection: KitConnection): Promise<void> {
  for (const i of [1, 2]) {
    const found = await tier.asLogger(i, { type: 'lookup', transaction: tier.id(connection, 0), attempt: 0 });
    assert.equal(found.type, 'none', `back end ${i}`);
  }
  assert.equal(tier.kit(1).status.running, 0);
}

suite('nothing is kept', () => {
  test('of a request whose body had not come when its connection ended', async () => {
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    client.send('POST', '/echo', { 'Content-Type': 'text/plain', 'Content-Length': '8' });
    client.socket.write('half');
    await until('the request', () => tier.kit(1).status.running === 1);
    client.close();
    await until('its end', () => abandoned(1) === 1);
    assert.deepEqual(runs, []);
    await nothingIsLeft(connection);
    const again = await (await tier.takeOver(2, connection)).ask('POST', '/echo', {}, 'half+all');
    assert.deepEqual([again.status, again.text], [200, 'whole: half+all']);
  });

  for (const [path, what] of [
    ['/stream', 'of a response that a stream had begun'],
    ['/late', 'of a stream that is sent when there is no connection any more'],
    ['/web', 'of a web stream that has given nothing yet'],
    ['/failing', 'of a handler that fails of that'],
  ] as const) {
    test(what, async () => {
      const connection = tier.connection();
      const client = await tier.client(1, connection);
      client.send('POST', path);
      await until('the handler', () => runs.length === 1);
      client.close();
      await until('its end', () => abandoned(1) === 1);
      await nothingIsLeft(connection);
      isHalf = false;
      // At the same back end too: nobody waits there for what will never be.
      const again = await tier.takeOver(1, connection, { attempt: 2, from: 'backend-2' });
      assert.match((await again.ask('POST', path)).text, /all/);
      assert.equal(runs.length, 2);
    });
  }

  test('of a response that is shorter than it says', async () => {
    const connection = tier.connection();
    const client = await tier.client(1, connection);
    client.send('POST', '/short');
    await client.closed();
    assert.equal(client.received.length, 0);
    await nothingIsLeft(connection);
    isHalf = false;
    const again = await (await tier.takeOver(2, connection)).ask('POST', '/short');
    assert.equal(again.text, 'all of it.');
  });
});
