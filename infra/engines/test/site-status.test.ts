import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { buildTopology, hostNamed, plainSite } from '@resplice/topology';
import { readDaemonStatus } from '../src/daemon-status.ts';
import type { HostInspection } from '../src/inspection.ts';
import type { Lab } from '../src/lab.ts';
import { siteStatusOf } from '../src/site-status.ts';

const rules = {
  ...plainSite,
  listeners: [
    { name: 'web', port: 80, pool: 'web' },
    { name: 'api', port: 9100, routes: [{ match: {}, pool: 'api' }], allow: ['10.0.0.0/8'] },
  ],
  pools: {
    ...plainSite.pools,
    api: { backends: ['backend-2'], balance: 'least-connections' as const, affinity: { cookie: 's' } },
  },
};
const topology = buildTopology({ proxies: 2, backends: 2, rules });
const lab = { topology, state: { siteFile: { file: '/etc/resplice.yaml', rules } } } as unknown as Lab;

/** What a proxy says of both pools, by its members' names: up, and how many connections. */
function told(component: string, members: Record<string, [up: boolean, active: number]>): HostInspection {
  const backends = Object.entries(members).map(([name, [up, active]]) => ({ name, up, active }));
  const pools = [
    { name: 'web', backends },
    { name: 'api', backends: backends.filter(({ name }) => name === 'backend-2') },
  ];
  const host = hostNamed(topology, component)!;
  const status = readDaemonStatus({ pools });
  return {
    host,
    processes: [{ process: host.processes[0]!, pid: 1, gone: false, reason: undefined, status }],
  };
}

suite('listeners and pools', () => {
  test('are what the lab follows', () => {
    const { siteFile, listeners, pools } = siteStatusOf(lab, []);
    assert.equal(siteFile, '/etc/resplice.yaml');
    assert.deepEqual(listeners, [
      { name: 'web', port: 80, url: 'http://10.60.0.1/', pools: ['web'], allow: null },
      { name: 'api', port: 9100, url: 'http://10.60.0.1:9100/', pools: ['api'], allow: ['10.0.0.0/8'] },
    ]);
    assert.deepEqual(pools, [
      {
        name: 'web',
        affinity: null,
        backends: ['backend-1', 'backend-2'].map(name => ({ name, state: 'unknown', connections: 0 })),
      },
      { name: 'api', affinity: 's', backends: [{ name: 'backend-2', state: 'unknown', connections: 0 }] },
    ]);
  });

  test('a member is as the proxies see it', () => {
    const { pools } = siteStatusOf(lab, [
      told('proxy-1', { 'backend-1': [true, 3], 'backend-2': [false, 0] }),
      told('proxy-2', { 'backend-1': [true, 5], 'backend-2': [true, 1] }),
    ]);
    assert.deepEqual(
      pools.map(({ name, backends }) => [
        name,
        ...backends.map(each => `${each.name} ${each.state} ${each.connections}`),
      ]),
      [
        ['web', 'backend-1 up 5', 'backend-2 degraded 1'],
        ['api', 'backend-2 degraded 1'],
      ],
    );
    const down = siteStatusOf(lab, [told('proxy-1', { 'backend-1': [false, 0], 'backend-2': [false, 0] })]);
    assert.deepEqual(
      down.pools[0]!.backends.map(({ state }) => state),
      ['down', 'down'],
    );
  });
});
