import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
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
