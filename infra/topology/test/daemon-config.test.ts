import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { checkSite } from '@resplice/site-config';
import {
  buildTopology,
  daemonConfig,
  daemonId,
  hostNamed,
  kitConfig,
  plainSite,
  type Topology,
} from '../src/index.ts';

const topology = buildTopology({ proxies: 2, backends: 2 });
const paths = { keyFile: '/k', pinDirectory: '/p', adminSocket: '/s', breakpoints: '/b', data: '/d' };
const common = { keyFile: '/k', pinDirectory: '/p', admin: { socket: '/s' }, logLevel: 'info' };
const vips = [{ address: '10.60.0.1', port: 80 }];
const probing = { probePort: 7001, probe: { intervalMs: 20, misses: 3 } };
const frontProxies = [
  { name: 'proxy-1', id: 1, address: '10.62.0.11' },
  { name: 'proxy-2', id: 2, address: '10.62.0.12' },
];
const middleProxies = [
  { name: 'proxy-1', id: 1, address: '10.63.0.11' },
  { name: 'proxy-2', id: 2, address: '10.63.0.12' },
];
const backends = [
  { name: 'backend-1', id: 1, address: '10.64.0.11', port: 8080 },
  { name: 'backend-2', id: 2, address: '10.64.0.12', port: 8080 },
];

function configOf(component: string, of: Topology = topology) {
  const host = hostNamed(of, component)!;
  const daemon = host.processes.find(each => each.kind === 'daemon')!;
  return daemonConfig(of, host, daemon, paths);
}

test("a back end's kit knows itself, the others, and what the listeners say", () => {
  assert.deepEqual(kitConfig(topology, hostNamed(topology, 'backend-2')!, '/key'), {
    self: 'backend-2',
    listen: { address: '10.64.0.12', port: 7002 },
    agentPort: 7003,
    keyFile: '/key',
    members: [
      { name: 'backend-1', address: '10.64.0.11', port: 7002 },
      { name: 'backend-2', address: '10.64.0.12', port: 7002 },
    ],
    loggers: ['logger-1', 'status'],
    site: {
      listeners: [{ name: 'web', port: 80, pool: 'web', tags: { deterministic: true } }],
      timeoutClasses: {},
    },
  });
});

suite('daemon configuration', () => {
  test('database: who may ask, and where it keeps what it knows', () => {
    assert.deepEqual(configOf('db-1', buildTopology({ proxies: 1, backends: 1, site: 'webmail' })), {
      ...common,
      name: 'db-1',
      id: 601,
      listen: { address: '10.65.0.31', port: 5432 },
      database: 'mail',
      role: 'mail',
      admits: ['10.64.0.0/24', '10.65.0.0/24'],
      directory: '/d',
    });
  });

  test('auxiliary logger: whose dialogues it relays, and to whom', () => {
    assert.deepEqual(configOf('auxlogger-1', buildTopology({ proxies: 1, backends: 2, site: 'webmail' })), {
      ...common,
      name: 'auxlogger-1',
      id: 501,
      role: 'auxiliary',
      backends: backends.map(({ name, address }) => ({ name, address })),
      services: [
        {
          name: 'smtp',
          protocol: 'smtp',
          listen: { address: '10.64.0.2', port: 2525 },
          upstream: { host: '10.65.0.21', port: 2525 },
        },
      ],
      commits: { listen: { address: '10.64.0.2', port: 7002 }, from: ['logger-1'] },
      logDirectory: '/d',
    });
    const { auxiliaries } = configOf('logger-1', buildTopology({ proxies: 1, backends: 2, site: 'webmail' }));
    assert.deepEqual(auxiliaries, [{ name: 'auxlogger-1', address: '10.64.0.2' }]);
  });

  test('balancer', () => {
    assert.deepEqual(configOf('lb-1'), {
      ...common,
      name: 'lb-1',
      id: 101,
      vips,
      wan: { device: 'wan0' },
      front: { device: 'front0', address: '10.62.0.1' },
      proxies: frontProxies,
      steering: 'hash',
      ...probing,
    });
  });

  test('proxy: its peers are the others, reached over the middle', () => {
    assert.deepEqual(configOf('proxy-1'), {
      ...common,
      name: 'proxy-1',
      id: 1,
      front: { device: 'front0', address: '10.62.0.11' },
      middle: { device: 'middle0', address: '10.63.0.11' },
      listeners: [
        { name: 'web', address: '10.60.0.1', port: 80, pool: 'web', tags: { deterministic: true } },
      ],
      pools: { web: { backends: 'all', balance: 'least-connections' } },
      peers: [middleProxies[1]],
      balancers: [{ name: 'lb-1', id: 101, address: '10.62.0.1' }],
      logger: { name: 'logger-1', id: 201, address: '10.63.0.1' },
      backends,
      controlPort: 7000,
      probePort: 7001,
      maxConnections: 262144,
      limits: { headBytes: 65536, headTimeoutMs: 30000, connectTimeoutMs: 400 },
      breakpoints: '/b',
    });
  });

  test('logger', () => {
    assert.deepEqual(configOf('logger-1'), {
      ...common,
      name: 'logger-1',
      id: 201,
      role: 'front',
      vips,
      middle: { device: 'middle0', address: '10.63.0.1' },
      back: { device: 'back0', address: '10.64.0.1' },
      proxies: middleProxies,
      backends,
      auxiliaries: [],
      maxConnections: 262144,
      listeners: [{ name: 'web', port: 80, pool: 'web', tags: { deterministic: true } }],
      pools: { web: { backends: 'all', balance: 'least-connections' } },
      headBytes: 65536,
      headTimeoutMs: 30000,
      timeoutClasses: {},
      recovery: { wait: 5000, requestBytes: 1048576, spillBytes: 1073741824 },
      draining: [],
      steering: 'hash',
      controlPort: 7000,
      ...probing,
    });
  });

  test('who is to be empty is told, and so is the logger', () => {
    const drained = ['proxy-2', 'backend-1'];
    const topology = buildTopology({ proxies: 2, backends: 2, drained });
    const drainingOf = (name: string) => configOf(name, topology).draining;
    assert.deepEqual(['proxy-1', 'proxy-2', 'backend-1', 'backend-2', 'logger-1', 'lb-1'].map(drainingOf), [
      undefined,
      true,
      true,
      undefined,
      ['backend-1'],
      undefined,
    ]);
  });

  test('agent', () => {
    assert.deepEqual(configOf('backend-2'), {
      ...common,
      name: 'backend-2',
      id: 302,
      device: 'back0',
      address: '10.64.0.12',
      app: { port: 8080 },
      proxies: [...middleProxies, { name: 'logger-1', id: 201, address: '10.64.0.1' }],
      probePort: 7001,
      maxConnections: 262144,
    });
  });

  test('a site of its own: ports, rules and limits reach whom they concern', () => {
    const checked = checkSite(
      `listeners:
  - { name: api, port: 9100, pool: api, allow: [10.61.0.0/24] }
  - { name: web, port: 80, pool: all }
pools: { api: { backends: [backend-2], affinity: { cookie: s } }, all: { backends: all } }
limits: { headBytes: 2048, headTimeout: 5s, connectTimeout: 1s, connections: 4096 }`,
      'x.yaml',
      { backends: ['backend-1', 'backend-2'] },
    );
    assert.ok(checked.ok);
    const own = buildTopology({ proxies: 1, backends: 2, rules: checked.site });
    assert.deepEqual(own.vip, { address: '10.60.0.1', port: 9100, url: 'http://10.60.0.1:9100/' });
    const two = [9100, 80].map(port => ({ address: '10.60.0.1', port }));
    assert.deepEqual(configOf('lb-1', own).vips, two);
    assert.deepEqual(configOf('logger-1', own).vips, two);
    const proxy = configOf('proxy-1', own);
    assert.deepEqual(proxy.listeners, [
      { name: 'api', address: '10.60.0.1', port: 9100, pool: 'api', allow: ['10.61.0.0/24'] },
      { name: 'web', address: '10.60.0.1', port: 80, pool: 'all' },
    ]);
    assert.deepEqual(proxy.limits, { headBytes: 2048, headTimeoutMs: 5000, connectTimeoutMs: 1000 });
    assert.equal(configOf('logger-1', own).headTimeoutMs, 5000);
    assert.deepEqual([proxy.maxConnections, configOf('backend-1', own).maxConnections], [4096, 4096]);
  });

  test('the plain site is what the smallest file means', () => {
    const checked = checkSite(
      'listeners: [{ name: web, port: 80, pool: web }]\npools: { web: { backends: all } }',
      'x.yaml',
      { backends: ['backend-1'] },
    );
    assert.ok(checked.ok);
    assert.deepEqual(checked.site, plainSite);
  });

  test('ids are unique over all daemons at full size, and a host without a daemon has none', () => {
    const { hosts } = buildTopology({ proxies: 16, backends: 16 });
    const ids = hosts.filter(host => host.role !== 'client').map(daemonId);
    assert.equal(new Set(ids).size, ids.length);
    assert.throws(() => daemonId(hosts[0]!), /client-1 runs no daemon/);
  });
});
