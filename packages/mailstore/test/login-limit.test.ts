/** Guesses are counted, however many come at once. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { beginTry, forgiveTry } from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../testing/index.ts';

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
});
after(async () => await db?.close());

const ADDRESS = 'ada@resplice.example';
const begin = (source: string, address = ADDRESS, at = new Date()): Promise<string | null> =>
  db.database.repeat(client => beginTry(client, { source, address, at }));

async function open(tries: readonly Promise<string | null>[]): Promise<string[]> {
  return (await Promise.all(tries)).filter(each => each !== null);
}

suite('tries at a password', () => {
  test('at once, at various instants: no more pass than one after the other', async () => {
    const now = Date.now();
    const all = Array.from({ length: 40 }, (_, i) => begin('192.0.2.1', ADDRESS, new Date(now - i)));
    assert.equal((await open(all)).length, 8);
    assert.equal(await begin('192.0.2.1', ADDRESS.toUpperCase()), null);
    assert.notEqual(await begin('192.0.2.2'), null, 'a stranger locks nobody out');
  });

  test('for many accounts from one source: forty', async () => {
    const all = Array.from({ length: 60 }, (_, i) => begin('192.0.2.3', `user-${i}@resplice.example`));
    assert.equal((await open(all)).length, 40);
  });

  test('that were right do not count, and old ones neither', async () => {
    for (let i = 0; i < 20; i++) await forgiveTry(db.database, (await begin('192.0.2.4'))!);
    const longAgo = new Date(Date.now() - 16 * 60_000);
    for (let i = 0; i < 8; i++) assert.notEqual(await begin('192.0.2.4', ADDRESS, longAgo), null);
    assert.notEqual(await begin('192.0.2.4'), null);
  });
});
