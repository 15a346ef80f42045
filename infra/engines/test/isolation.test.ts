import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { command } from '../src/command.ts';
import { addressFilter, sourceFilter } from '../src/isolation.ts';
import { netnsPathOf } from '../src/place.ts';
import { componentOf, remains, testEngine, testPlace } from './fixtures/test-lab.ts';

const place = testPlace('isolation');
const engine = testEngine(place);
const knocker = fileURLToPath(new URL('fixtures/knock.ts', import.meta.url));

async function inside(name: string, ...argv: string[]): Promise<string> {
  const { stdout } = await command('nsenter', [`--net=${netnsPathOf(place, name)}`, '--', ...argv]);
  return stdout;
}

async function forgetNeighbours(...names: string[]): Promise<void> {
  for (const name of names) await inside(name, 'ip', 'neigh', 'flush', 'all');
}

/** Behind which of these addresses a kernel answers the component. */
async function hears(name: string, ...addresses: string[]): Promise<string[]> {
  const targets = addresses.map(address => `${address}:9`);
  const answered: string[] = JSON.parse(await inside(name, process.execPath, knocker, ...targets));
  return answered.map(target => target.split(':')[0]!);
}

/** Every filter in the fabric, by port. */
async function filters(): Promise<string[]> {
  const links = JSON.parse(await inside('fabric', 'ip', '-j', 'link')) as { ifname: string }[];
  const found: string[] = [];
  for (const { ifname } of links) {
    for (const direction of ['egress', 'ingress']) {
      const shown = await inside('fabric', 'tc', 'filter', 'show', 'dev', ifname, direction);
      found.push(...[...shown.matchAll(/handle 0x\w+/g)].map(() => ifname));
    }
  }
  return found.sort();
}

async function resetsSent(name: string): Promise<number> {
  const [keys, values] = (await inside(name, 'cat', '/proc/net/snmp'))
    .split('\n')
    .filter(line => line.startsWith('Tcp:'))
    .map(line => line.split(' '));
  return Number(values![keys!.indexOf('OutRsts')]);
}

const address = {
  lb: '10.62.0.1',
  proxy1: { front: '10.62.0.11', middle: '10.63.0.11' },
  proxy2: { front: '10.62.0.12', middle: '10.63.0.12' },
  logger: '10.63.0.1',
};

/** proxy-1 and proxy-2 share two networks. */
async function assertProxies(apart: boolean): Promise<void> {
  await forgetNeighbours('proxy-1', 'proxy-2', 'lb-1', 'logger-1');
  const { lb, logger, proxy1, proxy2 } = address;
  const [fromOne, fromTwo, fromBalancer, fromRouter] = await Promise.all([
    hears('proxy-1', lb, logger, proxy2.front, proxy2.middle),
    hears('proxy-2', lb, logger, proxy1.front, proxy1.middle),
    hears('lb-1', proxy1.front, proxy2.front),
    hears('logger-1', proxy1.middle, proxy2.middle),
  ]);
  assert.deepEqual(fromOne, apart ? [lb, logger] : [lb, logger, proxy2.front, proxy2.middle]);
  assert.deepEqual(fromTwo, apart ? [lb, logger] : [lb, logger, proxy1.front, proxy1.middle]);
  assert.deepEqual(fromBalancer, [proxy1.front, proxy2.front]);
  assert.deepEqual(fromRouter, [proxy1.middle, proxy2.middle]);
}

const betweenProxies = ['proxy-1-0', 'proxy-1-1', 'proxy-2-0', 'proxy-2-1'];

test('a filter matches a source address in two words and drops', () => {
  assert.equal(
    sourceFilter('02:00:0a:3e:ff:0b'),
    `6,32 0 0 6,21 0 3 ${0x02_00_0a_3e},40 0 0 10,21 0 1 ${0xff_0b},6 0 0 2,6 0 0 4294967295`,
  );
});

test('a filter matches the sender or the addressee among addresses, in IPv4 only', () => {
  assert.equal(
    addressFilter('destination', ['10.63.0.11', '10.62.0.11']),
    `7,40 0 0 12,21 0 3 2048,32 0 0 30,21 2 0 ${0x0a_3f_00_0b},21 1 0 ${0x0a_3e_00_0b},6 0 0 4294967295,6 0 0 2`,
  );
});

suite('isolation', { timeout: 120_000 }, () => {
  before(async () => {
    await engine.down();
    await engine.up({ proxies: 2, backends: 2, backendCommand: null });
  });
  after(() => engine.down());

  test('two that share two networks hear each other on neither, and a third hears both; heal undoes it', async () => {
    await assertProxies(false);
    const { at, ...report } = await engine.isolate('proxy-1', 'proxy-2');
    assert.deepEqual(report, { kind: 'isolate', target: 'proxy-1', from: 'proxy-2' });
    assert.ok(Math.abs(Date.now() - at) < 1000);
    await assertProxies(true);
    await engine.isolate('proxy-1', 'proxy-2');
    await assertProxies(true);
    assert.deepEqual(await filters(), betweenProxies);
    const [one, two] = [await componentOf(engine, 'proxy-1'), await componentOf(engine, 'proxy-2')];
    assert.deepEqual(
      [one.state, one.faults],
      ['degraded', [{ kind: 'isolate', target: 'proxy-1', from: 'proxy-2' }]],
    );
    assert.deepEqual([two.state, two.faults], ['up', []]);
    await engine.heal('proxy-1');
    await assertProxies(false);
    assert.deepEqual(await filters(), []);
    await engine.heal('proxy-1');
    assert.deepEqual((await componentOf(engine, 'proxy-1')).faults, []);
  });

  test('neither hears the other, not even its ARP questions', async () => {
    const { lb, proxy1 } = address;
    await engine.isolate('proxy-1', 'lb-1');
    await forgetNeighbours('proxy-1', 'lb-1');
    assert.deepEqual(await hears('proxy-1', lb), []);
    assert.equal(await inside('lb-1', 'ip', 'neigh', 'show', proxy1.front), '', 'the question came through');
    await forgetNeighbours('proxy-1', 'lb-1');
    assert.deepEqual(await hears('lb-1', proxy1.front), []);
    assert.equal(await inside('proxy-1', 'ip', 'neigh', 'show', lb), '', 'the question came through');
    await engine.heal();
  });

  test('who knows the MAC already does not get through either, in either direction', async () => {
    const { lb, proxy1 } = address;
    await hears('proxy-1', lb);
    const neighbour = async (name: string, to: string, device: string) =>
      /lladdr (\S+)/.exec(await inside(name, 'ip', 'neigh', 'show', to, 'dev', device))![1]!;
    const pin = async (name: string, to: string, device: string) => {
      const mac = await neighbour(name, to, device);
      await inside(name, 'ip', 'neigh', 'replace', to, 'lladdr', mac, 'nud', 'permanent', 'dev', device);
    };
    await pin('proxy-1', lb, 'front0');
    await pin('lb-1', proxy1.front, 'front0');
    const before = await Promise.all(['proxy-1', 'lb-1'].map(resetsSent));
    await engine.isolate('lb-1', 'proxy-1');
    assert.deepEqual(await hears('proxy-1', lb), []);
    assert.deepEqual(await hears('lb-1', proxy1.front), []);
    assert.deepEqual(await Promise.all(['proxy-1', 'lb-1'].map(resetsSent)), before, 'a SYN arrived');
    await engine.heal('lb-1');
    assert.deepEqual(await hears('lb-1', proxy1.front), [proxy1.front]);
    await inside('proxy-1', 'ip', 'neigh', 'del', lb, 'dev', 'front0');
    await inside('lb-1', 'ip', 'neigh', 'del', proxy1.front, 'dev', 'front0');
  });

  test('heal removes that isolation and no other', async () => {
    await engine.isolate('proxy-1', 'proxy-2');
    await engine.isolate('lb-1', 'proxy-2');
    await engine.isolate('backend-1', 'backend-2');
    await engine.heal('proxy-1');
    assert.deepEqual(await filters(), ['backend-1-0', 'backend-2-0', 'lb-1-1', 'proxy-2-0']);
    await engine.heal('proxy-2');
    assert.equal((await filters()).length, 4, 'the faults were given to others');
    await engine.heal();
    assert.deepEqual(await filters(), []);
    await assertProxies(false);
  });

  test('isolated from both sides, they stay apart until both are healed', async () => {
    await engine.isolate('proxy-1', 'proxy-2');
    await engine.isolate('proxy-2', 'proxy-1');
    await engine.heal('proxy-1');
    await assertProxies(true);
    await engine.heal('proxy-2');
    await assertProxies(false);
  });

  test('it outlives a restart of the other, whose ports are new', async () => {
    await engine.isolate('proxy-1', 'proxy-2');
    await engine.restart('proxy-2');
    assert.deepEqual(await filters(), betweenProxies);
    await assertProxies(true);
    await engine.crash('proxy-2');
    await engine.isolate('proxy-1', 'proxy-2');
    await engine.heal('proxy-2');
    await assertProxies(true);
    await engine.heal('proxy-1');
    await assertProxies(false);
    assert.deepEqual(await filters(), []);
  });

  test('a restart of the isolated heals it, on both sides, and a heal thereafter is harmless', async () => {
    await engine.isolate('proxy-1', 'proxy-2');
    await engine.restart('proxy-1');
    await assertProxies(false);
    assert.deepEqual(await filters(), []);
    await engine.heal('proxy-1');
    await engine.isolate('backend-1', 'logger-1');
    assert.deepEqual(await hears('backend-1', '10.64.0.1', '10.64.0.12'), ['10.64.0.12']);
    await engine.restart('backend-1');
    assert.deepEqual(await hears('backend-1', '10.64.0.1', '10.64.0.12'), ['10.64.0.1', '10.64.0.12']);
    assert.deepEqual(await filters(), []);
  });

  test('while the logger is isolated, or gone, nobody waits for a proxy to see a back end', async () => {
    await engine.isolate('logger-1', 'proxy-1');
    for (const breaks of [() => engine.cut('backend-1'), () => engine.crash('logger-1')]) {
      await breaks();
      const { at, healthyAt } = await engine.heal('backend-1');
      assert.ok(healthyAt! - at < 5000, `${healthyAt! - at} ms`);
    }
    await engine.heal();
    assert.equal((await componentOf(engine, 'logger-1')).state, 'up');
    assert.deepEqual(await filters(), []);
  });

  test('it goes with cut and freeze, and heal undoes them all', async () => {
    await engine.cut('proxy-1');
    await engine.freeze('proxy-1');
    await engine.isolate('proxy-1', 'proxy-2');
    assert.equal((await componentOf(engine, 'proxy-1')).faults.length, 3);
    await engine.heal('proxy-1');
    await assertProxies(false);
    assert.deepEqual((await componentOf(engine, 'proxy-1')).state, 'up');
  });

  test('a proxy and a back end, which meet only through the logger', async () => {
    const [backend1, backend2] = ['10.64.0.11', '10.64.0.12'];
    const all = async () => [
      await hears('proxy-1', backend1, backend2, address.logger),
      await hears('proxy-2', backend1, backend2),
      await hears('backend-1', address.proxy1.middle, address.proxy2.middle),
    ];
    const whole = await all();
    assert.deepEqual(whole, [
      [backend1, backend2, address.logger],
      [backend1, backend2],
      [address.proxy1.middle, address.proxy2.middle],
    ]);
    await engine.isolate('proxy-1', 'backend-1');
    assert.deepEqual(await all(), [
      [backend2, address.logger],
      [backend1, backend2],
      [address.proxy2.middle],
    ]);
    await engine.heal('proxy-1');
    assert.deepEqual(await all(), whole);
    assert.deepEqual(await filters(), []);
  });

  test('what cannot be isolated is refused in a sentence, and nothing is changed', async () => {
    const refused = (target: string, from: string, message: RegExp) =>
      assert.rejects(engine.isolate(target, from), { code: 'usage', message });
    await refused(
      'backend-1',
      'lb-1',
      /^backend-1 and lb-1 do not talk to each other; backend-1 can be isolated from proxy-1, proxy-2, logger-1, backend-2$/,
    );
    await refused('proxy-1', 'proxy-1', /cannot be isolated from itself/);
    await refused('proxy-1/proxy', 'proxy-2', /no links to cut; try: isolate proxy-1/);
    await refused('proxy-1', 'backend-1/demo', /no links to cut/);
    await refused('proxy-1', 'proxy-9', /no component is named "proxy-9"/);
    assert.deepEqual(await filters(), []);
    assert.deepEqual((await componentOf(engine, 'proxy-1')).faults, []);
  });

  test('down leaves nothing of it', async () => {
    await engine.isolate('proxy-1', 'lb-1');
    assert.equal(await engine.down(), true);
    assert.deepEqual(remains(place), []);
  });
});
