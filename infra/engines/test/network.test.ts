import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { command } from '../src/command.ts';
import type { LabStatus } from '../src/index.ts';
import { netnsPathOf } from '../src/place.ts';
import { isDead, processEntry } from '../src/process-table.ts';
import { reaches, remains, testEngine, testPlace, until } from './fixtures/test-lab.ts';

const place = testPlace('network');
const engine = testEngine(place);

async function status(): Promise<LabStatus> {
  const found = await engine.status();
  assert.ok(found && found !== 'starting');
  return found;
}

async function component(name: string) {
  const found = (await status()).components.find(each => each.name === name);
  assert.ok(found, name);
  return found;
}

async function inside(name: string, ...argv: string[]) {
  const { stdout } = await command('nsenter', [`--net=${netnsPathOf(place, name)}`, '--', ...argv]);
  return stdout;
}

function running(pid: number): boolean {
  const entry = processEntry(pid);
  return entry !== undefined && !isDead(entry);
}

suite('a lab of stubs', { timeout: 120_000 }, () => {
  before(async () => {
    await engine.down();
    await engine.up({ proxies: 2, backends: 2, backendCommand: null });
  });
  after(() => engine.down());

  test('is up, every component with its processes', async () => {
    const { components, state, client, vip } = await status();
    assert.equal(state, 'up');
    assert.equal(client.netns, 'rstestnetwork-client-1');
    assert.deepEqual(vip, { address: '10.60.0.1', port: 80, url: 'http://10.60.0.1/' });
    assert.deepEqual(
      components.map(each => [each.name, each.state, Object.keys(each.processes).join()]),
      [
        ['client-1', 'up', ''],
        ['lb-1', 'up', 'lb'],
        ['proxy-1', 'up', 'proxy'],
        ['proxy-2', 'up', 'proxy'],
        ['logger-1', 'up', 'logger'],
        ['backend-1', 'up', 'agent,demo'],
        ['backend-2', 'up', 'agent,demo'],
      ],
    );
    for (const { processes, metrics } of components) {
      if (processes.agent) assert.equal(metrics.pid, processes.agent, 'metrics come from /status');
    }
  });

  test('neighbours along the path reach each other', async () => {
    const pairs: [string, string][] = [
      ['client-1', '10.61.0.1'],
      ['client-1', '10.62.0.11'],
      ['client-1', '10.62.0.12'],
      ['lb-1', '10.62.0.11'],
      ['proxy-1', '10.63.0.1'],
      ['proxy-1', '10.63.0.12'],
      ['proxy-2', '10.64.0.11'],
      ['backend-2', '10.63.0.11'],
      ['backend-1', '10.64.0.12'],
    ];
    const found = await Promise.all(
      pairs.map(async ([from, to]) => [from, to, await reaches(place, from, to)]),
    );
    assert.deepEqual(
      found,
      pairs.map(pair => [...pair, true]),
    );
  });

  test('the site answers a proxy on port 8080, and a client has no way to it but through a proxy', async () => {
    assert.match(await inside('proxy-1', 'curl', '-s', 'http://10.64.0.11:8080/'), /"ready":true/);
    await assert.rejects(inside('client-1', 'curl', '-sS', '--max-time', '1', 'http://10.64.0.11:8080/'));
  });

  test('hosts have their sysctls, cubic and deterministic MACs, and no IPv6', async () => {
    assert.match(
      await inside('backend-1', 'ip', 'route'),
      /default via 10\.64\.0\.1 dev back0 congctl cubic/,
    );
    assert.match(await inside('proxy-1', 'ip', 'link', 'show', 'front0'), /02:00:0a:3e:00:0b/);
    assert.equal(await inside('proxy-2', 'ip', '-6', 'addr'), '');
    const value = async (host: string, key: string) =>
      (await inside(host, 'cat', `/proc/sys/net/${key}`)).trim();
    assert.equal(await value('lb-1', 'ipv4/conf/wan0/rp_filter'), '0');
    assert.equal(await value('lb-1', 'ipv4/conf/wan0/send_redirects'), '0');
    assert.equal(await value('logger-1', 'ipv4/ip_forward'), '1');
    assert.equal(await value('client-1', 'ipv4/ip_forward'), '0');
    assert.equal(await value('backend-1', 'ipv4/tcp_syncookies'), '0');
    assert.equal(await value('backend-1', 'ipv4/tcp_invalid_ratelimit'), '0');
  });

  test('a cut host falls silent without noticing; heal reconnects it', async () => {
    const { at } = await engine.cut('proxy-1');
    assert.ok(Math.abs(Date.now() - at) < 1000);
    await engine.cut('proxy-1');
    assert.equal(await reaches(place, 'lb-1', '10.62.0.11'), false);
    assert.equal(await reaches(place, 'backend-1', '10.63.0.11'), false);
    assert.match(await inside('proxy-1', 'ip', 'link', 'show', 'front0'), /LOWER_UP.*state UP/);
    const during = await component('proxy-1');
    assert.equal(during.state, 'degraded');
    assert.ok(running(during.processes.proxy!));
    await engine.heal('proxy-1');
    assert.equal(await reaches(place, 'lb-1', '10.62.0.11'), true);
    const healed = await component('proxy-1');
    assert.deepEqual([healed.state, healed.faults], ['up', []]);
    assert.equal(healed.processes.proxy, during.processes.proxy, 'nobody was restarted');
  });

  test('a crashed proxy is gone as a machine, with all that ran there; heal brings it back', async () => {
    const before = (await component('proxy-2')).processes.proxy!;
    const stranger = command('nsenter', [`--net=${netnsPathOf(place, 'proxy-2')}`, '--', 'sleep', '600'], {
      anyExit: true,
    });
    const started = performance.now();
    const report = await engine.crash('proxy-2');
    const tookMs = performance.now() - started;
    assert.equal(report.kind, 'crash');
    assert.equal(report.target, 'proxy-2');
    assert.ok(tookMs < 500, `${tookMs} ms`);
    assert.equal(running(before), false);
    assert.equal((await stranger).code, null, 'killed by a signal');
    assert.deepEqual((await inside('proxy-2', 'ip', '-br', 'link')).match(/^\S+/gm), ['lo']);
    assert.equal((await component('proxy-2')).state, 'down');
    await engine.crash('proxy-2');
    await engine.cut('proxy-2');
    await engine.heal();
    assert.equal(await reaches(place, 'lb-1', '10.62.0.12'), true);
    assert.equal(await reaches(place, 'proxy-2', '10.64.0.11', 8080), true);
    assert.equal((await component('proxy-2')).state, 'up');
  });

  test('a crashed back end loses its processes and keeps its kernel', async () => {
    const { processes } = await component('backend-1');
    await engine.crash('backend-1');
    assert.ok(Object.values(processes).every(pid => !running(pid)));
    assert.equal((await component('backend-1')).state, 'down');
    assert.equal(await reaches(place, 'logger-1', '10.64.0.11', 8080), true, 'its kernel refuses');
    const { healthyAt, at } = await engine.heal('backend-1');
    assert.ok(healthyAt! >= at);
    assert.match(await inside('proxy-1', 'curl', '-s', 'http://10.64.0.11:8080/'), /ready/);
  });

  test('a crashed process stays dead, its neighbours live; restart starts it again', async () => {
    const { processes } = await component('backend-2');
    await engine.crash('backend-2/demo');
    const during = await component('backend-2');
    assert.equal(during.state, 'degraded');
    assert.deepEqual(during.processes, { agent: processes.agent });
    assert.deepEqual(during.faults, [{ kind: 'crash', target: 'backend-2/demo' }]);
    await engine.restart('backend-2/demo');
    const after = await component('backend-2');
    assert.equal(after.state, 'up');
    assert.equal(after.processes.agent, processes.agent);
    assert.notEqual(after.processes.demo, processes.demo);
  });

  test('a site that exits by itself is started again', async () => {
    const { processes } = await component('backend-2');
    process.kill(processes.demo!, 'SIGKILL');
    await until('another demo', async () => {
      const pid = (await component('backend-2')).processes.demo;
      return pid !== undefined && pid !== processes.demo;
    });
  });

  test('restart of a whole host gives it new processes and a network', async () => {
    const { processes } = await component('logger-1');
    const { at, healthyAt } = await engine.restart('logger-1');
    assert.ok(healthyAt! >= at);
    assert.notEqual((await component('logger-1')).processes.logger, processes.logger);
    assert.equal(await reaches(place, 'proxy-1', '10.64.0.12', 8080), true);
  });

  test('faults may come at the same time', async () => {
    await Promise.all([
      engine.crash('proxy-1'),
      engine.crash('backend-1'),
      engine.cut('backend-2'),
      engine.cut('lb-1'),
    ]);
    const states = (await status()).components.map(each => `${each.name} ${each.state}`);
    assert.deepEqual(states, [
      'client-1 up',
      'lb-1 degraded',
      'proxy-1 down',
      'proxy-2 up',
      'logger-1 up',
      'backend-1 down',
      'backend-2 degraded',
    ]);
    await engine.heal();
    assert.ok((await status()).components.every(each => each.state === 'up'));
  });

  test('what does not exist is refused by name', async () => {
    await assert.rejects(engine.crash('proxy-9'), {
      code: 'usage',
      message: /"proxy-9"; there are client-1, lb-1/,
    });
    await assert.rejects(engine.crash('backend-1/nginx'), { code: 'usage', message: /there is agent, demo/ });
    await assert.rejects(engine.cut('backend-1/demo'), { code: 'usage', message: /no links to cut/ });
    assert.throws(() => engine.commandIn('lb-7', ['true']), { code: 'usage' });
  });

  test('a second lab in the same place is refused, and the first goes on', async () => {
    await assert.rejects(engine.up({ proxies: 1, backends: 1, backendCommand: null }), {
      code: 'already-up',
    });
    assert.equal((await status()).components.length, 7);
  });

  test('logs name every process and hold what it said', () => {
    const files = engine.logs('backend-1');
    assert.deepEqual(
      files.map(each => each.process),
      ['agent', 'demo'],
    );
    assert.equal(engine.logs().length, 8);
    assert.deepEqual(
      engine.logs('backend-1/demo').map(each => each.process),
      ['demo'],
    );
  });

  test('down leaves nothing, twice is fine, and then there is no lab', async () => {
    const pids = (await status()).components.flatMap(each => Object.values(each.processes));
    assert.equal(await engine.down(), true);
    assert.deepEqual(remains(place), []);
    assert.ok(pids.every(pid => !running(pid)));
    assert.equal(await engine.down(), false);
    assert.equal(await engine.status(), undefined);
    await assert.rejects(engine.crash('proxy-1'), { code: 'not-up' });
  });
});
