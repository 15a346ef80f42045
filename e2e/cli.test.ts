/** `./resplice` as scripts know it: exit codes, and the shapes of what it prints (CLI.md). */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { Lab, resplice } from './fixtures/lab.ts';
import { assertNothingLeft } from './fixtures/remains.ts';

const OK = 0;
const FAILED = 1;
const USAGE = 64;

test('without a lab', async t => {
  await resplice(['down']);
  await t.test('status says so, with exit 1', async () => {
    const { code, stdout } = await resplice(['status', '--json']);
    assert.equal(code, FAILED);
    assert.deepEqual(JSON.parse(stdout), { state: 'down' });
    const plain = await resplice(['status']);
    assert.equal(plain.code, FAILED);
    assert.notEqual(plain.stdout.trim() + plain.stderr.trim(), '');
  });
  await t.test('down is harmless, twice', async () => {
    assert.equal((await resplice(['down'])).code, OK);
    assert.equal((await resplice(['down'])).code, OK);
  });
  await t.test('wrong usage is 64 and explains itself on stderr', async () => {
    for (const argv of [
      ['frobnicate'],
      ['up', '--proxies', 'many'],
      ['up', '--no-such-flag'],
      ['fault', 'crash'],
    ]) {
      const { code, stdout, stderr } = await resplice(argv);
      assert.equal(code, USAGE, argv.join(' '));
      assert.equal(stdout, '', argv.join(' '));
      assert.notEqual(stderr.trim(), '', argv.join(' '));
    }
  });
});

test('with a lab', async t => {
  let lab: Lab;
  const theLab = (): Lab => lab;
  t.before(async () => {
    lab = await Lab.up();
  });
  t.after(() => lab?.down());

  await t.test('up again is 64, and the lab stays', async () => {
    const { code, stdout, stderr } = await resplice(['up', '--detach']);
    assert.deepEqual([code, stdout], [USAGE, '']);
    assert.match(stderr, /up/);
    assert.equal((await lab.status()).state, 'up');
  });

  await t.test('status --json has the shape that scripts rely on', async () => {
    const { code, stdout } = await resplice(['status', '--json']);
    assert.equal(code, OK);
    const status = JSON.parse(stdout);
    assert.deepEqual([status.state, status.engine, status.arm], ['up', 'netns', 'resplice']);
    assert.deepEqual(Object.keys(status.link).sort(), [
      'emulator',
      'lossPercent',
      'name',
      'rateMbit',
      'rttMs',
    ]);
    assert.equal(status.link.name, 'lan');
    assert.equal(status.vip.url.replace(/\/$/, ''), `http://${status.vip.address}`);
    assert.ok(existsSync(`/run/netns/${status.client.netns}`));
    const names = status.components.map((each: { name: string }) => each.name).sort();
    assert.deepEqual(names, ['backend-1', 'backend-2', 'client-1', 'lb-1', 'logger-1', 'proxy-1', 'proxy-2']);
    for (const component of status.components) {
      assert.equal(component.state, 'up', component.name);
      assert.ok(existsSync(`/run/netns/${component.netns}`), component.name);
      assert.ok(component.addresses.length > 0, component.name);
      for (const pid of Object.values(component.processes))
        assert.ok(existsSync(`/proc/${pid}`), component.name);
      for (const value of Object.values(component.metrics))
        assert.equal(typeof value, 'number', component.name);
    }
    const running = new Map(
      status.components.map((c: { name: string; processes: object }) => [c.name, Object.keys(c.processes)]),
    );
    assert.deepEqual(running.get('proxy-1'), ['proxy']);
    assert.deepEqual((running.get('backend-1') as string[]).sort(), ['agent', 'demo']);
  });

  await t.test('a fault on something that does not exist, or of an unknown kind, is 64', async () => {
    for (const argv of [
      ['fault', 'crash', 'proxy-9'],
      ['fault', 'crash', 'proxy-1/nothing'],
      ['fault', 'melt', 'proxy-1'],
      ['fault', 'heal', 'proxy-9'],
    ]) {
      const { code, stdout } = await resplice(argv);
      assert.deepEqual([code, stdout], [USAGE, ''], argv.join(' '));
    }
  });

  await t.test('exec passes input, output and the exit code through', async () => {
    const input = `first line\n${'x'.repeat(200_000)}\n`;
    const told = await resplice(['exec', 'client-1', '--', 'sh', '-c', 'cat; echo noise >&2; exit 42'], {
      input,
    });
    assert.equal(told.code, 42);
    assert.equal(told.stdout, input);
    assert.equal(told.stderr, 'noise\n');
    const where = await lab.exec('client-1', ['ip', '-4', '-brief', 'address']);
    assert.match(where.stdout, /10\.61\.0\.2\/24/);
    assert.equal((await resplice(['exec', 'nobody-1', '--', 'true'])).code, USAGE);
  });

  await t.test('fault and heal: the report, the state, and repeating either is harmless', async () => {
    const before = Date.now();
    for (let i = 0; i < 2; i++) {
      const { code, stdout } = await resplice(['fault', 'crash', 'proxy-2']);
      assert.equal(code, OK);
      const report = JSON.parse(stdout);
      assert.deepEqual([report.kind, report.target], ['crash', 'proxy-2']);
      assert.ok(report.at >= before && report.at <= Date.now(), String(report.at));
    }
    assert.equal((await lab.component('proxy-2')).state, 'down');
    for (let i = 0; i < 2; i++) assert.equal((await resplice(['fault', 'heal'])).code, OK);
    assert.equal((await lab.component('proxy-2')).state, 'up');
    assert.equal((await resplice(['fault', 'cut', 'proxy-1'])).code, OK);
    assert.notEqual((await lab.component('proxy-1')).state, 'up');
    assert.equal((await resplice(['fault', 'heal', 'proxy-1'])).code, OK);
    assert.equal((await lab.component('proxy-1')).state, 'up');
  });

  await t.test('a back end that crashes and is restarted serves again', async () => {
    const { code, stdout } = await resplice(['fault', 'restart', 'backend-1']);
    assert.equal(code, OK);
    assert.equal(JSON.parse(stdout).kind, 'restart');
    assert.equal((await lab.component('backend-1')).state, 'up');
    const client = await theLab().client();
    assert.equal((await client.fetch(lab.site, { path: '/healthz' })).status, 200);
  });

  await t.test('logs shows what the daemons wrote', async () => {
    const { code, stdout } = await resplice(['logs', 'proxy-1']);
    assert.equal(code, OK);
    assert.match(stdout, /proxy/);
  });

  await t.test('down leaves nothing behind', async () => {
    await lab.down();
    assertNothingLeft();
    assert.equal((await resplice(['down'])).code, OK);
    assert.equal((await resplice(['fault', 'crash', 'proxy-1'])).code, FAILED);
  });
});
