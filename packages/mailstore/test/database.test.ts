/** Migrations that fail loudly, effects that are made once. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import {
  CommitInDoubtError,
  Database,
  DatabaseAwayError,
  MIGRATIONS,
  MigrationError,
  migrate,
} from '../src/index.ts';
import { type TestDatabase, testDatabase } from '../testing/index.ts';

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
});
after(async () => await db?.close());

suite('migrations', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'resplice-migrations-'));
    cpSync(MIGRATIONS, directory, { recursive: true });
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const put = (name: string, sql: string): void => writeFileSync(join(directory, name), sql);
  const refused = (says: RegExp) =>
    assert.rejects(migrate(db.database, directory), (error: unknown) => {
      assert.ok(error instanceof MigrationError, String(error));
      assert.match(error.message, says);
      return true;
    });

  test('are applied once, also by two programs at a time', async () => {
    assert.deepEqual(await migrate(db.database, directory), []);
    put('0004-more.sql', 'create table more (n int)');
    const both = await Promise.all([migrate(db.database, directory), migrate(db.database, directory)]);
    assert.deepEqual(both.flat(), ['0004-more.sql']);
    await refusedWithout();
  });

  /** The program before: it does not know the database that the one after it left. */
  async function refusedWithout(): Promise<void> {
    rmSync(join(directory, '0004-more.sql'));
    await refused(/0004-more\.sql: applied by a newer version/);
    await db.database.query(`delete from migrations where name = '0004-more.sql'`);
  }

  test('that fail name file and line, and leave nothing of themselves', async () => {
    put('0004-good.sql', 'create table good (n int)');
    put('0005-bad.sql', 'create table bad (n int);\n\ncreate tabel worse (n int);');
    await refused(/0005-bad\.sql: line 3: syntax error at or near "tabel"/);
    await assert.rejects(db.database.query('select * from good'), /does not exist/);
  });

  test('that were changed, or leave a gap, are refused', async () => {
    put('0001-mailboxes.sql', 'select 1');
    await refused(/0001-mailboxes\.sql: was changed after it was applied/);
    cpSync(MIGRATIONS, directory, { recursive: true });
    put('0005-gap.sql', 'select 1');
    await refused(/0005-gap\.sql: is not 0004-….sql/);
  });
});

suite('an effect', () => {
  before(async () => {
    await db.database.query('create table counter (n int)');
    await db.database.query('insert into counter values (0)');
  });
  const count = async (): Promise<number> =>
    (await db.database.query<{ n: number }>('select n from counter'))[0]!.n;
  const add = (id: string, step = 'add') =>
    db.database.once(id, step, async client => {
      const { rows } = await client.query<{ n: number }>('update counter set n = n + 1 returning n');
      return rows[0]!;
    });

  test('is made once for a transaction and step, and its outcome told again', async () => {
    const first = await add('a');
    assert.deepEqual(await Promise.all([add('a'), add('a')]), [first, first]);
    assert.equal(await count(), first.n);
    assert.equal((await add('a', 'other step')).n, first.n + 1);
  });

  test('that fails is not recorded, and may be made later', async () => {
    const before = await count();
    const failing = db.database.once('b', 'add', async client => {
      await client.query('update counter set n = n + 1');
      throw new Error('no');
    });
    await assert.rejects(failing, /^Error: no$/);
    assert.equal(await count(), before);
    assert.equal((await add('b')).n, before + 1);
  });

  test('is made once though the server crashes in the middle, whoever asks again', async () => {
    const before = await count();
    let attempts = 0;
    const outcome = await db.database.once('c', 'add', async client => {
      const { rows } = await client.query<{ n: number }>('update counter set n = n + 1 returning n');
      if (++attempts === 1) await db.cluster.restart('kill');
      return rows[0]!;
    });
    assert.equal(attempts, 2);
    assert.deepEqual([outcome.n, await count()], [before + 1, before + 1]);
  });
});

suite('a predecessor that is frozen', () => {
  test('does not hold up whoever takes over, and finds the effect made when it thaws', async () => {
    await db.database.query('create table purse (coins int)');
    await db.database.query('insert into purse values (0)');
    const [frozen, successor] = ['backend-1', 'backend-2'].map(
      applicationName => new Database({ connection: db.cluster.address, applicationName }),
    ) as [Database, Database];
    const { promise: thawed, resolve: thaw } = Promise.withResolvers<void>();
    const { promise: locked, resolve: lock } = Promise.withResolvers<void>();
    let runs = 0;
    const pay = (database: Database, wait?: Promise<void>) =>
      database.once('a_transaction', 'pay', async client => {
        runs++;
        await client.query('update purse set coins = coins + 1');
        lock();
        await wait;
        return { paidBy: database === frozen ? 'frozen' : 'successor' };
      });
    const first = pay(frozen, thawed);
    await locked;
    assert.equal(await successor.endPredecessor('atransaction'), 0, 'an underscore is no wildcard');
    assert.equal(await successor.endPredecessor('a_transaction'), 1);
    assert.deepEqual(await pay(successor), { paidBy: 'successor' });
    thaw();
    assert.deepEqual(await first, { paidBy: 'successor' });
    assert.equal(runs, 2);
    assert.deepEqual(await db.database.query('select coins from purse'), [{ coins: 1 }]);
    assert.equal(await successor.endPredecessor('a_transaction'), 0, 'the label ends with the effect');
    await Promise.all([frozen.close(), successor.close()]);
  });
});

suite('a transaction that stands still', () => {
  test('is ended by whoever takes over, if it is named after what it is for', async () => {
    const { promise: thawed, resolve: thaw } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    let runs = 0;
    const first = db.database.repeat(async () => {
      begin();
      if (++runs === 1) await thawed;
      return 'done';
    }, 'b_transaction');
    await begun;
    assert.equal(await db.database.endPredecessor('b_transaction'), 1);
    thaw();
    assert.equal(await first, 'done');
    assert.equal(runs, 2);
  });

  test('is ended by the database after a while, and repeated', async () => {
    const hasty = new Database({ connection: db.cluster.address, applicationName: 'hasty', idleMs: 100 });
    await db.database.query('create table door (opened int)');
    await db.database.query('insert into door values (0)');
    const { promise: thawed, resolve: thaw } = Promise.withResolvers<void>();
    const { promise: locked, resolve: lock } = Promise.withResolvers<void>();
    let runs = 0;
    const first = hasty.repeat(async client => {
      await client.query('update door set opened = opened + 1');
      lock();
      if (++runs === 1) await thawed;
    });
    await locked;
    // Waits for the row, and has it when the other's transaction is over.
    await db.database.query('update door set opened = opened + 10');
    thaw();
    await first;
    assert.deepEqual(await db.database.query('select opened from door'), [{ opened: 11 }]);
    assert.equal(runs, 2);
    await hasty.close();
  });
});

test('a commit whose answer is lost is said to be in doubt, and is no reason to repeat what does harm', async () => {
  const impatient = new Database({
    connection: db.cluster.address,
    applicationName: 'test',
    patienceMs: 300,
  });
  let attempts = 0;
  const lost = impatient.transact(async client => {
    attempts++;
    await client.query('select 1');
    await db.cluster.stop('kill');
  });
  await assert.rejects(lost, CommitInDoubtError);
  assert.equal(attempts, 1);
  await assert.rejects(impatient.query('select 1'), (error: unknown) => {
    assert.ok(error instanceof DatabaseAwayError && !(error instanceof CommitInDoubtError));
    return true;
  });
  await db.cluster.start();
  assert.equal((await impatient.query('select 1')).length, 1);
  await impatient.close();
});
