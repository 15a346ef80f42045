import assert from 'node:assert/strict';
import { beforeEach, suite, test } from 'node:test';
import { parseIp } from '@resplice/dataplane';
import { type ConfigError, checkConfig } from '@resplice/service-kit';
import { Backends } from '@resplice/splice';
import { proxyConfig } from '../src/config.ts';
import { readHead } from '../src/head.ts';
import { Site } from '../src/site.ts';

const VIP = '10.60.0.1';
const CLIENT = parseIp('10.61.0.2');

const config = (rules: object) =>
  checkConfig(proxyConfig, {
    name: 'proxy-1',
    id: 1,
    keyFile: '/key',
    pinDirectory: '/pins',
    admin: { socket: '/socket' },
    front: { device: 'front0', address: '10.62.0.11' },
    middle: { device: 'middle0', address: '10.63.0.11' },
    peers: [],
    backends: [1, 2].map(id => ({ name: `backend-${id}`, id, address: `10.64.0.1${id}`, port: 8080 })),
    controlPort: 7000,
    probePort: 7001,
    ...rules,
  });

const GOOD = {
  listeners: [
    { name: 'web', address: VIP, port: 80, pool: 'web' },
    { name: 'staff', address: VIP, port: 8443, pool: 'staff', allow: ['10.61.0.0/30', '192.168.7.12'] },
  ],
  pools: { web: { backends: 'all' }, staff: { backends: ['backend-2'], affinity: { cookie: 'session' } } },
};

let site: Site;
let backends: Backends;

beforeEach(() => {
  const good = config(GOOD);
  backends = new Backends(good.backends);
  site = new Site(good, backends, async () => true);
});

const at = (port: number, client = CLIENT) => ({ client, vip: parseIp(VIP), vipPort: port });

function head(target = '/', more = '') {
  const verdict = readHead(Buffer.from(`GET ${target} HTTP/1.1\r\nHost: a\r\n${more}\r\n`));
  assert.ok(verdict.kind === 'complete');
  return verdict.head;
}

function choice(port: number, ...of: Parameters<typeof head>) {
  const found = site.choose(at(port), head(...of));
  assert.ok(!(found instanceof Promise), 'no password is compared');
  if (found.kind === 'refused') return found.status;
  return { pool: found.pool.name, members: found.pool.members.map(({ id }) => id), session: found.session };
}

test('the port decides who is admitted and which pool serves', () => {
  assert.deepEqual(choice(80, '/', 'Cookie: session=1\r\n'), {
    pool: 'web',
    members: [1, 2],
    session: undefined,
  });
  assert.deepEqual(choice(8443, '/', 'Cookie: session=1\r\n'), { pool: 'staff', members: [2], session: '1' });
  assert.equal(site.admits(at(80, parseIp('1.2.3.4'))), true);
  for (const [address, admitted] of [
    ['10.61.0.2', true],
    ['192.168.7.12', true],
    ['10.61.0.4', false],
    ['192.168.7.13', false],
  ] as const)
    assert.equal(site.admits(at(8443, parseIp(address))), admitted, address);
});

test('routes: no match is 404, a head that servers read differently 400', () => {
  const routes = [{ match: { pathPrefix: '/api' }, pool: 'staff' }];
  site.replace({ ...config(GOOD), listeners: [{ name: 'web', address: VIP, port: 80, routes }] });
  assert.deepEqual(choice(80, '/api/x'), { pool: 'staff', members: [2], session: undefined });
  assert.deepEqual([choice(80, '/x'), choice(80, '/x/..%2fapi'), choice(80, '/%zz')], [404, 400, 400]);
});

test('other rules hold from the next request on; a removed listener serves what had been accepted', () => {
  const before = choice(8443);
  site.replace(
    config({
      listeners: [{ name: 'web', address: VIP, port: 80, pool: 'new', allow: ['10.0.0.0/8'] }],
      pools: { new: { backends: ['backend-1'] } },
    }),
  );
  assert.deepEqual(choice(80), { pool: 'new', members: [1], session: undefined });
  assert.equal(site.admits(at(80, parseIp('1.2.3.4'))), false);
  assert.deepEqual(choice(8443), before);
  assert.equal(site.admits(at(8443, parseIp('1.2.3.4'))), false, 'by the rules it had');
  assert.deepEqual(
    site.status().listeners.map(({ name }) => name),
    ['web'],
  );
  // Back again, by its new rules.
  site.replace(config({ ...GOOD, pools: { ...GOOD.pools, staff: { backends: ['backend-1'] } } }));
  assert.deepEqual(choice(8443), { pool: 'staff', members: [1], session: undefined });
});

test('a port that this daemon never knew is answered, not passed over', () => {
  assert.equal(choice(9999), 503);
});

test('the state of members is told', () => {
  backends.byName('backend-2')!.up = true;
  backends.byName('backend-2')!.active = 3;
  assert.deepEqual(site.status().pools, [
    {
      name: 'web',
      backends: [
        { name: 'backend-1', up: false, active: 0 },
        { name: 'backend-2', up: true, active: 3 },
      ],
    },
    { name: 'staff', backends: [{ name: 'backend-2', up: true, active: 3 }] },
  ]);
});

suite('the configuration', () => {
  const problems = (rules: object): readonly string[] => {
    try {
      config(rules);
    } catch (error) {
      return (error as ConfigError).problems;
    }
    return [];
  };

  test('names that lead nowhere, and ports given twice', () => {
    assert.deepEqual(
      problems({
        listeners: [
          { name: 'web', address: VIP, port: 80, pool: 'wbe' },
          { name: 'web', address: VIP, port: 80, pool: 'web' },
          { name: 'none', address: VIP, port: 81 },
        ],
        pools: { web: { backends: ['backend-9'] } },
      }),
      [
        'config: listeners[1].name: is also that of item 0',
        'config: listeners[0]: there is no pool wbe',
        "config: listeners[1].port: 10.60.0.1:80 is another listener's too",
        'config: listeners[2]: must have a pool or routes',
        'config: pools.web.backends: there is no back end backend-9',
      ],
    );
  });

  test('a listener that is not uniform is refused where no logger runs', () => {
    const routes = [{ match: { pathPrefix: '/api' }, pool: 'staff' }, { pool: 'web' }];
    const [problem, ...more] = problems({
      ...GOOD,
      listeners: [{ name: 'web', address: VIP, port: 80, routes }],
    });
    assert.match(
      problem!,
      /^config: listeners\[0\]\.routes: web sends requests to 2 pools .* only the logger can enforce that, and none runs here: /,
    );
    assert.deepEqual(more, []);
  });
});
