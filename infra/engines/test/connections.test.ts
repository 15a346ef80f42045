import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { buildSlots, flowHash, parseIp } from '@resplice/dataplane';
import { buildTopology, hostNamed } from '@resplice/topology';
import { connectionsOf } from '../src/connections.ts';
import { type ProxyConnection, readDaemonStatus } from '../src/daemon-status.ts';
import type { HostInspection } from '../src/inspection.ts';

const topology = buildTopology({ proxies: 2, backends: 2 });

function inspected(component: string, status: Record<string, unknown>): HostInspection {
  const host = hostNamed(topology, component)!;
  const process = host.processes[0]!;
  return {
    host,
    processes: [{ process, pid: 1, gone: false, reason: undefined, status: readDaemonStatus(status) }],
  };
}

function connection(port: number, ageMs: number, more: Partial<ProxyConnection> = {}): ProxyConnection {
  return {
    client: `10.61.0.2:${port}`,
    vip: '10.60.0.1:80',
    backend: 'backend-1',
    owner: 'proxy-1',
    ageMs,
    ...more,
  };
}

function table(seed: number, live: readonly number[]) {
  return {
    live: [],
    seed,
    version: 1,
    slots: [...buildSlots([1, 2], new Set(live))],
    proxies: ['proxy-1', 'proxy-2'],
  };
}

suite('connections', () => {
  test('each client appears once, the newest first, as its youngest entry has it', async () => {
    const found = await connectionsOf(topology, [
      inspected('proxy-1', { connections: [connection(1, 50), connection(2, 10)] }),
      inspected('proxy-2', { connections: [connection(1, 5, { backend: 'backend-2' }), connection(3, 900)] }),
    ]);
    assert.deepEqual(
      found.map(each => `${each.client} ${each.backend}`),
      ['10.61.0.2:1 backend-2', '10.61.0.2:2 backend-1', '10.61.0.2:3 backend-1'],
    );
    assert.deepEqual(found[0], {
      client: '10.61.0.2:1',
      proxy: 'proxy-1',
      backend: 'backend-2',
      vip: '10.60.0.1:80',
      transaction: null,
      transactionId: null,
      state: 'unprotected',
      reason: 'the logger does not know it',
      failovers: 0,
    });
  });

  test('what the logger knows of a connection counts', async () => {
    const logged = {
      client: '10.61.0.2:1',
      vip: '10.60.0.1:80',
      backend: 'backend-2',
      transaction: '3 GET response',
      transactionId: 'gq3xZ0c7Qv5bq1kY2mJdW8Ra',
      state: 'moving',
      reason: null,
      failovers: 2,
      ageMs: 50,
    };
    const resting = {
      ...{ ...logged, client: '10.61.0.2:3', backend: null, state: 'resting' },
      ...{ transaction: null, transactionId: null },
    };
    const found = await connectionsOf(topology, [
      inspected('proxy-1', { connections: [connection(1, 50), connection(2, 10)] }),
      inspected('logger-1', { role: 'front', connections: [logged, resting] }),
    ]);
    assert.deepEqual(
      found.map(({ client, backend, transaction, state, failovers }) =>
        [client, backend, transaction, state, failovers].join(' '),
      ),
      [
        '10.61.0.2:2 backend-1  unprotected 0',
        '10.61.0.2:1 backend-2 3 GET response moving 2',
        '10.61.0.2:3   resting 2',
      ],
    );
    assert.deepEqual(
      found.map(({ transactionId }) => transactionId),
      [null, 'gq3xZ0c7Qv5bq1kY2mJdW8Ra', null],
    );
  });

  test('one port of a client towards two listeners makes two connections', async () => {
    const found = await connectionsOf(topology, [
      inspected('proxy-1', { connections: [connection(1, 50), connection(1, 5, { vip: '10.60.0.1:9100' })] }),
    ]);
    assert.deepEqual(
      found.map(({ client, vip }) => `${client} ${vip}`),
      ['10.61.0.2:1 10.60.0.1:9100', '10.61.0.2:1 10.60.0.1:80'],
    );
  });

  test("the proxy is the one that the balancer's table leads the flow to", async () => {
    const seed = 0xdecafbad;
    const ports = Array.from({ length: 50 }, (_, index) => 40_000 + index);
    const { slots } = table(seed, [1, 2]);
    const expected = ports.map(port => {
      const hash = flowHash(parseIp('10.61.0.2'), port, parseIp('10.60.0.1'), 80, seed);
      return `proxy-${slots[hash & 1023]! + 1}`;
    });
    const found = await connectionsOf(topology, [
      inspected('lb-1', { table: table(seed, [1, 2]) }),
      inspected('proxy-1', { connections: ports.map((port, index) => connection(port, index)) }),
    ]);
    assert.deepEqual(
      found.map(each => each.proxy),
      expected,
    );
    assert.equal(new Set(expected).size, 2, 'both proxies serve some');
  });

  test('when one proxy is dead the other has them all; with none, the owner is the last that is known', async () => {
    const proxies = async (live: readonly number[]) =>
      (
        await connectionsOf(topology, [
          inspected('lb-1', { table: table(7, live) }),
          inspected('proxy-2', { connections: [connection(1, 1), connection(2, 2), connection(3, 3)] }),
        ])
      ).map(each => each.proxy);
    assert.deepEqual(await proxies([2]), ['proxy-2', 'proxy-2', 'proxy-2']);
    assert.deepEqual(await proxies([]), ['proxy-1', 'proxy-1', 'proxy-1']);
  });

  test('at most the thousand newest are listed', async () => {
    const many = Array.from({ length: 1500 }, (_, index) => connection(index + 1, 1500 - index));
    const found = await connectionsOf(topology, [inspected('proxy-1', { connections: many })]);
    assert.equal(found.length, 1000);
    assert.equal(found[0]!.client, '10.61.0.2:1500');
  });
});
