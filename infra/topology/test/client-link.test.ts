import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  buildTopology,
  commonNetworks,
  daemonConfig,
  hostNamed,
  lan,
  linkForms,
  parseLink,
} from '../src/index.ts';

const paths = { keyFile: '/k', pinDirectory: '/p', adminSocket: '/s', breakpoints: '/b', data: '/d' };

suite('the words for a link', () => {
  for (const [text, rttMs, rateMbit, lossPercent, queuePackets] of [
    ['lan', 0, null, 0, 100],
    ['lan-paper', 0.3, 100, 0, 100],
    ['wan-mit', 66, 10, 0, 100],
    ['wan-sg', 218, 10, 0, 100],
    ['wan-in', 300, 0.0395, 0, 100],
    ['66ms', 66, null, 0, 100],
    ['0.5ms,20mbit', 0.5, 20, 0, 100],
    ['300ms,.0395mbit', 300, 0.0395, 0, 100],
    ['66ms,20mbit,1%', 66, 20, 1, 100],
    ['66ms,20mbit,0.25%,50pkt', 66, 20, 0.25, 50],
    ['66ms,20mbit,50pkt', 66, 20, 0, 50],
  ] as const) {
    test(text, () => {
      assert.deepEqual(parseLink(text), { name: text, rttMs, rateMbit, lossPercent, queuePackets });
    });
  }

  for (const text of [
    '',
    'wan',
    '66',
    '66 ms',
    '66ms,',
    '66ms,20',
    '66ms,1%',
    '66ms,50pkt',
    '-1ms',
    '1e3ms',
    '66ms,20mbit,1%,5pkt,',
  ]) {
    test(`"${text}" is refused, and all forms are named`, () => {
      assert.throws(() => parseLink(text), {
        name: 'RangeError',
        message: `"${text}" is no link; there are ${linkForms}`,
      });
    });
  }

  test('what no link can have is refused with its bounds', () => {
    assert.throws(() => parseLink('20000ms'), { message: 'rtt: 20000 is not within 0…10000 ms' });
    assert.throws(() => parseLink('1ms,0mbit'), { message: 'rate: 0 is not within 0.008…10000 Mbit/s' });
    assert.throws(() => parseLink('1ms,1mbit,101%'), { message: 'loss: 101 is not within 0…100 %' });
    assert.throws(() => parseLink('1ms,1mbit,0pkt'), { message: 'queue: 0 is not within 1…10000 packets' });
  });
});

suite('a topology with a link', () => {
  const topology = buildTopology({ proxies: 2, backends: 1, link: parseLink('66ms,20mbit,1%,50pkt') });

  test('has a host that carries frames between client and balancer', () => {
    assert.deepEqual(
      topology.hosts.map(host => host.name),
      ['client-1', 'link-1', 'lb-1', 'proxy-1', 'proxy-2', 'logger-1', 'backend-1'],
    );
    const plugged = topology.links.filter(({ bridge }) => bridge === 'wan' || bridge === 'access');
    assert.deepEqual(
      plugged.map(({ device, bridge, port }) => `${device} ${bridge} ${port}`),
      ['wan0 access client-1-0', 'near0 access link-1-0', 'far0 wan link-1-1', 'wan0 wan lb-1-0'],
    );
    assert.ok(hostNamed(topology, 'link-1')!.interfaces.every(each => each.address === undefined));
  });

  test('leaves the others as they were', () => {
    const bare = buildTopology({ proxies: 2, backends: 1 });
    assert.equal(bare.link, lan);
    for (const host of bare.hosts.slice(1)) assert.deepEqual(hostNamed(topology, host.name), host);
    const [client, balancer, link] = ['client-1', 'lb-1', 'link-1'].map(name => hostNamed(topology, name)!);
    assert.deepEqual(commonNetworks(client!, balancer!), ['wan']);
    assert.deepEqual(commonNetworks(client!, link!), []);
  });

  test('halves the round trip, and gives the rest to both directions', () => {
    const host = hostNamed(topology, 'link-1')!;
    const [daemon] = host.processes;
    assert.equal(daemon!.kind, 'daemon');
    assert.deepEqual(daemonConfig(topology, host, daemon as never, paths), {
      name: 'link-1',
      id: 401,
      keyFile: '/k',
      pinDirectory: '/p',
      admin: { socket: '/s' },
      logLevel: 'info',
      near: 'near0',
      far: 'far0',
      shape: { delay: 33, rate: 20e6, loss: 1, queue: { packets: 50 } },
    });
  });
});
