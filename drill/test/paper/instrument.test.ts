import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';
import {
  instrument,
  objectAddress,
  objectAt,
  PAGE_TIME_HEADER,
  TIME_HEADER,
} from '../../src/paper/instrument.ts';
import { Witness } from '../../src/witness.ts';

suite('the instrument at a server', () => {
  let server: Server;
  let port: number;
  let served = 0;
  before(async () => {
    server = createServer((_, response) => {
      served++;
      response.end('own');
    });
    instrument(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers });

  test('serves objects of the wanted size, the same everywhere; all else is the server’s own', async () => {
    const address = objectAddress('connect-7', 6559);
    const body = Buffer.from(await (await get(address)).arrayBuffer());
    assert.equal(body.length, 6559);
    assert.ok(body.equals(objectAt(address)!));
    assert.ok(!body.equals(objectAt(objectAddress('connect-8', 6559))!));
    assert.equal(objectAt('/assets/style.css'), undefined);
    assert.equal(await (await get('/anything')).text(), 'own');
    assert.equal(served, 1);
  });

  test('a request takes the time that it asks for, and only then reaches the server', async () => {
    const started = performance.now();
    const answer = await get('/anything', { [TIME_HEADER]: '120.5' });
    assert.equal(await answer.text(), 'own');
    const took = performance.now() - started;
    assert.ok(took >= 119 && took < 1000, String(took));
  });

  test('what a browser says of pages does not hold for files', async () => {
    const took = async (path: string): Promise<number> => {
      const started = performance.now();
      await (await get(path, { [PAGE_TIME_HEADER]: '200' })).arrayBuffer();
      return performance.now() - started;
    };
    const [page, file] = [await took('/login'), await took('/assets/style.css')];
    assert.ok(page >= 199 && file < page, `${page} ${file}`);
  });

  test('an object that takes its time comes in two halves', async () => {
    const started = performance.now();
    const at: number[] = [];
    const answer = await get(objectAddress('slow', 1000), { [TIME_HEADER]: '150' });
    const parts: Uint8Array[] = [];
    for await (const part of answer.body!) {
      at.push(performance.now() - started);
      parts.push(part);
    }
    assert.deepEqual(
      parts.map(({ length }) => length),
      [500, 500],
    );
    assert.ok(Buffer.concat(parts).equals(objectAt(objectAddress('slow', 1000))!));
    assert.ok(at[1]! - at[0]! > 50, String(at));
  });

  test('tells a witness who has a request in hands, and when no more', async () => {
    // Without a namespace of its own a thread stays in ours.
    const witness = await Witness.start([{ name: 'one', namespace: '/proc/self/ns/net', port }]);
    try {
      const pending = get('/anything', { [TIME_HEADER]: '300', 'x-request-token': 'mine' });
      assert.equal(await witness.seen('mine', 'begin', 5000), 'one');
      assert.equal(witness.holderOf('mine'), 'one');
      await (await pending).text();
      assert.equal(await witness.seen('mine', 'finish', 5000), 'one');
      assert.equal(witness.holderOf('mine'), undefined);
    } finally {
      await witness.stop();
    }
  });
});
