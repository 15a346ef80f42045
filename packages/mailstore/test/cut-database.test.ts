/** The database's machine is cut off: nothing is refused or reset, there is just no answer any more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { CommitInDoubtError, Database, DatabaseAwayError } from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../testing/index.ts';

const SILENCE_MS = 400;

let db: TestDatabase;
let way: Server;
let database: Database;
const sockets = new Set<Socket>();
/** What passes the way to the server: told before it does. */
let onAsked: (text: string) => void = () => {};
let isCut = false;

before(async () => {
  db = await testDatabase();
  const { host, user, database: name } = db.cluster.address;
  way = createServer(near => {
    const far = connect(`${host}/.s.PGSQL.5432`);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', bytes => {
        if (from === near) onAsked(bytes.toString('latin1'));
        if (!isCut) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        if (!isCut) to.destroy();
      });
    }
  });
  way.listen(0, '127.0.0.1');
  await once(way, 'listening');
  const { port } = way.address() as AddressInfo;
  database = new Database({
    connection: `postgres://${user}@127.0.0.1:${port}/${name}`,
    applicationName: 'cut',
    patienceMs: 4 * SILENCE_MS,
    silenceMs: SILENCE_MS,
  });
});
after(async () => {
  for (const socket of sockets) socket.destroy();
  way?.close();
  await database?.close();
  await db?.close();
});

suite('a database that is cut off', () => {
  test('is noticed by who asks, and by who connects', async () => {
    assert.deepEqual(await database.query('select 1 as one'), [{ one: 1 }]);
    isCut = true;
    try {
      // The first one has a connection, the second needs one.
      await assert.rejects(database.query('select 1 as one'), DatabaseAwayError);
      await assert.rejects(database.query('select 1 as one'), DatabaseAwayError);
    } finally {
      isCut = false;
    }
    assert.deepEqual(await database.query('select 1 as one'), [{ one: 1 }]);
  });

  test('at the commit leaves it in doubt', async () => {
    onAsked = text => {
      if (text.includes('commit')) isCut = true;
    };
    try {
      await assert.rejects(
        database.transact(client => client.query('select 1')),
        CommitInDoubtError,
      );
    } finally {
      onAsked = () => {};
      isCut = false;
    }
  });

  test('and comes back is asked again: the effect is made once', async () => {
    let cuts = 0;
    onAsked = text => {
      isCut = text.includes('insert into effects') && cuts++ === 0;
    };
    try {
      const patient = database.once('cut-once', 'step', async client => {
        await client.query('select 1');
        return 'made';
      });
      assert.equal(await patient, 'made');
      assert.equal(cuts, 2);
    } finally {
      onAsked = () => {};
      isCut = false;
    }
  });
});
