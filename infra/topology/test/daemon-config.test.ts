import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { buildTopology, daemonConfig, daemonId, hostNamed } from '../src/index.ts';

const topology = buildTopology({ proxies: 2, backends: 2 });
const paths = { keyFile: '/k', pinDirectory: '/p', adminSocket: '/s' };
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

function configOf(component: string) {
  const host = hostNamed(topology, component)!;
  const daemon = host.processes.find(each => each.kind === 'daemon')!;
  return daemonConfig(topology, host, daemon, paths);
}

suite('daemon configuration', () => {
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
      vips,
      peers: [middleProxies[1]],
      backends: [
        { name: 'backend-1', id: 1, address: '10.64.0.11', port: 8080 },
        { name: 'backend-2', id: 2, address: '10.64.0.12', port: 8080 },
      ],
      controlPort: 7000,
      probePort: 7001,
      maxConnections: 262144,
    });
  });

  test('router', () => {
    assert.deepEqual(configOf('router-1'), {
      ...common,
      name: 'router-1',
      id: 201,
      role: 'router',
      vips,
      middle: { device: 'middle0', address: '10.63.0.1' },
      back: { device: 'back0' },
      proxies: middleProxies,
      steering: 'hash',
      ...probing,
    });
  });

  test('agent', () => {
    assert.deepEqual(configOf('backend-2'), {
      ...common,
      name: 'backend-2',
      id: 302,
      device: 'back0',
      address: '10.64.0.12',
      app: { port: 8080 },
      proxies: middleProxies,
      probePort: 7001,
    });
  });

  test('ids are unique over all daemons at full size, and a host without a daemon has none', () => {
    const { hosts } = buildTopology({ proxies: 16, backends: 16 });
    const ids = hosts.filter(host => host.role !== 'client').map(daemonId);
    assert.equal(new Set(ids).size, ids.length);
    assert.throws(() => daemonId(hosts[0]!), /client-1 runs no daemon/);
  });
});
