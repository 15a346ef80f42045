import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { hostNamed } from '@resplice/topology';
import { topologyFor, usualDeployment } from '../src/deployment.ts';
import { planFor, type SeenDevice, type SeenRoute } from '../src/plan.ts';

const topology = topologyFor({ ...usualDeployment, site: 'demo' });
const proxy = hostNamed(topology, 'proxy-1')!;
const backend = hostNamed(topology, 'backend-1')!;
const logger = hostNamed(topology, 'logger-1')!;

function device(ifname: string, local: string, ...altnames: string[]): SeenDevice {
  return { ifname, altnames, addr_info: [{ family: 'inet', local }] };
}

/** As the engine leaves a container: a way out by the machine. */
const fresh: SeenRoute[] = [{ dst: 'default', gateway: '10.62.0.254', dev: 'eth0' }];

suite('plan of a container’s network', () => {
  test('devices get their names by their addresses, in whichever order the engine connected them', () => {
    const { missing, commands } = planFor(
      proxy,
      [device('eth0', '10.63.0.11'), device('eth1', '10.62.0.11')],
      fresh,
    );
    assert.deepEqual(missing, []);
    assert.deepEqual(commands, [
      'link property add dev eth1 altname front0'.split(' '),
      'link property add dev eth0 altname middle0'.split(' '),
      'route replace default via 10.62.0.1'.split(' '),
      'route replace 10.64.0.0/24 via 10.63.0.1'.split(' '),
      'route replace blackhole 10.61.0.1/32'.split(' '),
    ]);
  });

  test('what stands already is left alone', () => {
    const devices = [device('eth0', '10.62.0.11', 'front0'), device('eth1', '10.63.0.11', 'middle0')];
    const routes: SeenRoute[] = [
      { dst: 'default', gateway: '10.62.0.1', dev: 'eth0' },
      { dst: '10.64.0.0/24', gateway: '10.63.0.1', dev: 'eth1' },
      { type: 'blackhole', dst: '10.61.0.1' },
    ];
    assert.deepEqual(planFor(proxy, devices, routes), { missing: [], commands: [] });
  });

  test('a network that was taken away is missed, and no way leads there until it is back', () => {
    const { missing, commands } = planFor(proxy, [device('eth1', '10.63.0.11', 'middle0')], []);
    assert.deepEqual(
      missing.map(each => each.device),
      ['front0'],
    );
    assert.deepEqual(
      commands.map(each => each.slice(0, 4).join(' ')),
      ['route replace 10.64.0.0/24 via', 'route replace blackhole 10.61.0.1/32'],
    );
  });

  test('a back end’s way out has its congestion control, and is put right when it has another', () => {
    const devices = [device('eth0', '10.64.0.11', 'back0')];
    const way = (congestion?: string): SeenRoute => ({
      dst: 'default',
      gateway: '10.64.0.1',
      ...(congestion ? { metrics: [{ congestion }] } : {}),
    });
    const wanted = 'route replace default via 10.64.0.1 congctl cubic'.split(' ');
    assert.deepEqual(planFor(backend, devices, [way()]).commands, [wanted]);
    assert.deepEqual(planFor(backend, devices, [way('bbr')]).commands, [wanted]);
    assert.deepEqual(planFor(backend, devices, [way('cubic')]).commands, []);
  });

  test('the engine’s way out does not stay where the topology has none', () => {
    const host = { ...logger, routes: [] };
    const devices = [device('eth0', '10.63.0.1', 'middle0'), device('eth1', '10.64.0.1', 'back0')];
    assert.deepEqual(planFor(host, devices, fresh).commands, [['route', 'del', 'default']]);
  });
});
