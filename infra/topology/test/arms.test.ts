import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  type Arm,
  arms,
  buildTopology,
  carriersOf,
  daemonConfig,
  hostNamed,
  serverConfig,
} from '../src/index.ts';

function build(arm: Arm) {
  return buildTopology({ arm, proxies: 2, backends: 2 });
}

function hostOf(arm: Arm, name: string) {
  return hostNamed(build(arm), name)!;
}

function processesOf(arm: Arm, name: string) {
  return hostOf(arm, name).processes.map(each => each.name);
}

suite('arms', () => {
  test('all have the same hosts, addresses and links, but for the name in the logger’s place', () => {
    const [first, ...others] = arms.map(build).map(({ arm, hosts, links }) => {
      const places = { links, hosts: hosts.map(({ name, interfaces }) => ({ name, interfaces })) };
      const text = JSON.stringify(places);
      assert.ok(text.includes(arm === 'resplice' ? '"logger-1"' : '"router-1"'), arm);
      return { arm, places: text.replaceAll('logger-1', 'router-1') };
    });
    for (const { arm, places } of others) assert.equal(places, first!.places, arm);
  });

  test('what runs where', () => {
    const table = Object.fromEntries(
      arms.map(arm => [
        arm,
        ['lb-1', 'proxy-2', arm === 'resplice' ? 'logger-1' : 'router-1', 'backend-1'].map(name =>
          processesOf(arm, name).join(' '),
        ),
      ]),
    );
    assert.deepEqual(table, {
      resplice: ['lb', 'proxy', 'logger', 'agent demo'],
      forward: ['', '', '', 'demo'],
      haproxy: ['lb', 'haproxy responder', '', 'demo'],
      nginx: ['lb', 'nginx responder', '', 'demo'],
    });
  });

  test('the VIP is held by nobody, by the back ends, or by the proxies', () => {
    const holders = (arm: Arm) =>
      build(arm)
        .hosts.filter(host => host.held.includes('10.60.0.1'))
        .map(host => host.role);
    assert.deepEqual(holders('resplice'), []);
    assert.deepEqual(holders('forward'), ['backend', 'backend']);
    for (const arm of ['haproxy', 'nginx'] as const) assert.deepEqual(holders(arm), ['proxy', 'proxy']);
  });

  test('who holds the VIP does not name it in ARP questions', () => {
    for (const arm of arms) {
      for (const { name, held, sysctls } of build(arm).hosts) {
        const announce = sysctls.find(each => each.path === 'net/ipv4/conf/all/arp_announce')?.value;
        assert.equal(announce, held.length > 0 ? '2' : undefined, `${arm} ${name}`);
      }
    }
  });

  test('forward: every hop routes to the VIP, by the first proxy to the first back end', () => {
    const ways = ['lb-1', 'proxy-1', 'router-1'].map(
      name => hostOf('forward', name).routes.find(route => route.destination === '10.60.0.0/24')?.via,
    );
    assert.deepEqual(ways, ['10.62.0.11', '10.63.0.1', '10.64.0.11']);
    const carriers = (arm: Arm) => carriersOf(build(arm), 'proxy').map(host => host.name);
    assert.deepEqual(carriers('forward'), ['proxy-1']);
    assert.deepEqual(carriers('haproxy'), ['proxy-1', 'proxy-2']);
  });

  test("forward: nothing translates ports, so the application listens on the VIP's", () => {
    const portOf = (arm: Arm) => {
      const site = hostOf(arm, 'backend-1').processes.find(each => each.kind === 'site');
      return site?.kind === 'site' ? site.environment.PORT : undefined;
    };
    assert.deepEqual(arms.map(portOf), ['8080', '80', '8080', '8080']);
  });

  test('the responder answers under the id of the proxy in whose place it is', () => {
    const topology = build('nginx');
    const host = hostNamed(topology, 'proxy-2')!;
    const process = host.processes.find(each => each.kind === 'daemon')!;
    assert.deepEqual(
      daemonConfig(topology, host, process, {
        keyFile: '/k',
        pinDirectory: '/p',
        adminSocket: '/s',
        breakpoints: '/b',
        data: '/d',
      }),
      {
        name: 'proxy-2',
        id: 2,
        keyFile: '/k',
        pinDirectory: '/p',
        admin: { socket: '/s' },
        logLevel: 'info',
        server: { address: '127.0.0.1', port: 8404 },
        probePort: 7001,
      },
    );
  });

  for (const arm of ['haproxy', 'nginx'] as const) {
    test(`${arm}: its file names the VIP, every back end and the check port, and logs no request`, () => {
      const text = serverConfig(build(arm), arm, '/run/place');
      for (const part of ['10.60.0.1:80', '10.64.0.11:8080', '10.64.0.12:8080', '127.0.0.1:8404']) {
        assert.ok(text.includes(part), part);
      }
      assert.doesNotMatch(text, /option httplog|access_log (?!off)/);
    });
  }
});
