import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { Cluster, ClusterError, findBinaries, NoPostgresError, serverUser } from '../src/index.ts';

/** What psql says to a statement. */
function ask({ address }: Cluster, statement: string): { status: number | null; out: string } {
  const { status, stdout, stderr } = spawnSync(
    join(findBinaries(), 'psql'),
    ['-XAt', '-h', address.host, '-U', address.user, '-d', address.database, '-c', statement],
    { encoding: 'utf8' },
  );
  return { status, out: (stdout + stderr).trim() };
}

suite('a cluster of one’s own', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.create();
  });
  after(async () => await cluster?.remove());

  test('answers on its socket, and on no port', () => {
    assert.deepEqual(ask(cluster, 'show listen_addresses'), { status: 0, out: '' });
    assert.equal(ask(cluster, 'show server_encoding').out, 'UTF8');
  });

  test('keeps what was committed through a restart and a crash', async () => {
    ask(cluster, 'create table t as select 7 as n');
    await cluster.restart();
    assert.equal(ask(cluster, 'select n from t').out, '7');
    ask(cluster, 'insert into t values (8)');
    const { pid } = cluster;
    await cluster.restart('kill');
    assert.notEqual(cluster.pid, pid);
    assert.match(cluster.output, /was interrupted|automatic recovery/);
    assert.equal(ask(cluster, 'select max(n) from t').out, '8');
  });

  test('stopped, answers nobody; stopping it twice is fine', async () => {
    await cluster.stop();
    await cluster.stop();
    assert.notEqual(ask(cluster, 'select 1').status, 0);
    await cluster.start();
    assert.equal(ask(cluster, 'select 1').out, '1');
  });
});

suite('a cluster that is kept', () => {
  let directory: string;
  let cluster: Cluster | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'resplice-kept-'));
    // The server's user must get to what is inside.
    chmodSync(directory, 0o711);
  });
  afterEach(async () => {
    await cluster?.remove();
    cluster = undefined;
    rmSync(directory, { recursive: true, force: true });
  });
  const open = (more: object = {}): Promise<Cluster> =>
    Cluster.create({
      directory: join(directory, 'data'),
      beginning: ["create role mail login password 'secret'", 'create database mail owner mail'],
      ...more,
    });

  test('begins with what it was given, once, and outlives its server', async () => {
    cluster = await open();
    assert.equal(ask(cluster, "select datdba::regrole from pg_database where datname = 'mail'").out, 'mail');
    ask(cluster, 'create table kept as select 7 as n');
    await cluster.stop('kill');
    cluster = await open();
    assert.equal(ask(cluster, 'select n from kept').out, '7');
  });

  test('takes TCP from those whom it admits, and wants their password', async () => {
    const port = 20_000 + (process.pid % 20_000);
    cluster = await open({ listen: { address: '127.0.0.1', port, admits: ['127.0.0.1/32'] } });
    const come = (password: string, query = 'select 1') =>
      spawnSync(
        join(findBinaries(), 'psql'),
        ['-XAtw', '-h', '127.0.0.1', '-p', String(port), '-U', 'mail', '-d', 'mail', '-c', query],
        { encoding: 'utf8', env: { ...process.env, PGPASSWORD: password } },
      );
    assert.equal(come('secret').stdout.trim(), '1', come('secret').stderr);
    // Who is gone without a word is noticed.
    assert.equal(come('secret', 'show tcp_keepalives_idle').stdout.trim(), '10');
    assert.match(come('wrong').stderr, /password authentication failed/);
    await cluster.remove();
    cluster = await open({ listen: { address: '127.0.0.1', port, admits: ['192.0.2.0/24'] } });
    assert.match(come('secret').stderr, /no pg_hba.conf entry/);
  });

  test('that cannot begin says why, and is made anew when it can', async () => {
    await assert.rejects(open({ beginning: ['create tabel x (n int)'] }), /first statements failed.*tabel/s);
    cluster = await open();
    assert.equal(ask(cluster, 'select 1').out, '1');
  });

  test('whose server is killed by somebody else says so', async () => {
    const { promise, resolve } = Promise.withResolvers<Error>();
    cluster = await open({ onEnd: resolve });
    process.kill(cluster.pid!, 'SIGKILL');
    assert.match((await promise).message, /the server ended/);
  });
});

test('a setting that the server refuses is named, and nothing is left', async () => {
  const made = Cluster.create({ settings: ['shared_buffers=much'] });
  await assert.rejects(made, (error: unknown) => {
    assert.ok(error instanceof ClusterError);
    assert.match(error.message, /ended while it started.*shared_buffers/s);
    return true;
  });
});

test('it ends with the process that made it, however that ends', async () => {
  const script = `import { Cluster } from ${JSON.stringify(join(import.meta.dirname, '../src/index.ts'))};
    const cluster = await Cluster.create();
    console.log(cluster.pid + ' ' + cluster.address.host);
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(owner.stdout!, 'data')) as [Buffer];
  const [pid = '', directory = ''] = String(line).trim().split(' ');
  const runs = (): boolean =>
    existsSync(`/proc/${pid}/status`) && !/State:\s+Z/.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  assert.ok(runs());
  owner.kill('SIGKILL');
  await until('the server to end', () => !runs(), 20_000);
  spawnSync('rm', ['-rf', directory]);
});

test('what is not installed is said, with what to do', () => {
  assert.throws(() => findBinaries('/nowhere/*/bin/postgres'), NoPostgresError);
  assert.throws(() => findBinaries('/nowhere/*/bin/postgres'), /apt-get install postgresql/);
  if (process.getuid!() === 0) assert.throws(() => serverUser('/dev/null'), /no user postgres/);
});
