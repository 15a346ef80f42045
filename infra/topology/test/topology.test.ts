import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { checkSite } from '@resplice/site-config';
import { buildTopology, commonNetworks, hostNamed, macOf, most } from '../src/index.ts';

function unique(values: readonly string[]): void {
  assert.equal(new Set(values).size, values.length, `a value appears twice in ${values.join(' ')}`);
}

suite('topology', () => {
  test('the smallest useful lab has the hosts of the picture, in its order', () => {
    const { hosts } = buildTopology({ proxies: 2, backends: 2 });
    assert.deepEqual(
      hosts.map(host => host.name),
      ['client-1', 'lb-1', 'proxy-1', 'proxy-2', 'logger-1', 'backend-1', 'backend-2'],
    );
  });

  test('addresses follow the contract', () => {
    const topology = buildTopology({ proxies: 2, backends: 2 });
    const addresses = Object.fromEntries(
      topology.hosts.map(host => [host.name, host.interfaces.map(each => `${each.device} ${each.address}`)]),
    );
    assert.deepEqual(addresses, {
      'client-1': ['wan0 10.61.0.2'],
      'lb-1': ['wan0 10.61.0.1', 'front0 10.62.0.1'],
      'proxy-1': ['front0 10.62.0.11', 'middle0 10.63.0.11'],
      'proxy-2': ['front0 10.62.0.12', 'middle0 10.63.0.12'],
      'logger-1': ['middle0 10.63.0.1', 'back0 10.64.0.1'],
      'backend-1': ['back0 10.64.0.11'],
      'backend-2': ['back0 10.64.0.12'],
    });
  });

  test('at full size every address, MAC and port is unique and every name fits a device', () => {
    const { hosts, links } = buildTopology(most);
    const interfaces = hosts.flatMap(host => host.interfaces);
    assert.equal(interfaces.length, 1 + 2 + 2 * 16 + 2 + 16);
    assert.equal(links.length, interfaces.length);
    unique(interfaces.map(each => String(each.address)));
    unique(interfaces.map(each => each.mac));
    unique(interfaces.map(each => each.port));
    for (const each of interfaces) {
      assert.ok(each.port.length <= 15, each.port);
      assert.ok(each.device.length <= 15, each.device);
    }
  });

  test('no host holds the VIP, and those who forward to clients never route to it', () => {
    const { hosts, vip } = buildTopology({ proxies: 3, backends: 1 });
    for (const host of hosts) {
      assert.ok(!host.interfaces.some(each => each.address === vip.address), host.name);
      if (host.role !== 'lb' && host.role !== 'proxy') continue;
      assert.ok(
        host.routes.some(route => route.destination === '10.60.0.0/24' && route.via === 'blackhole'),
        host.name,
      );
    }
  });

  test('the VIP may be the balancer’s own address, which then forwards what has it as source', () => {
    const { hosts, vip } = buildTopology({ proxies: 2, backends: 1, vip: 'balancer' });
    assert.deepEqual(vip, { address: '10.61.0.1', port: 80, url: 'http://10.61.0.1/' });
    const routesOf = (name: string) => hosts.find(host => host.name === name)!.routes;
    assert.deepEqual(routesOf('lb-1'), [{ destination: 'default', via: '10.61.0.254' }]);
    assert.ok(
      routesOf('proxy-2').some(each => each.destination === '10.61.0.1/32' && each.via === 'blackhole'),
    );
    const accepting = hosts.filter(host => host.sysctls.some(each => each.path.endsWith('accept_local')));
    assert.deepEqual(
      accepting.map(host => host.name),
      ['lb-1'],
    );
    assert.throws(
      () => buildTopology({ proxies: 1, backends: 1, vip: 'balancer', arm: 'haproxy' }),
      RangeError,
    );
  });

  test('only those in the path forward; IPv6 and reverse-path filters are off everywhere', () => {
    for (const host of buildTopology({ proxies: 1, backends: 1 }).hosts) {
      const values = new Map(host.sysctls.map(each => [each.path, each.value]));
      const forwards = ['lb', 'proxy', 'logger'].includes(host.role);
      assert.equal(values.get('net/ipv4/ip_forward'), forwards ? '1' : '0', host.name);
      for (const which of ['all', 'default']) {
        assert.equal(values.get(`net/ipv4/conf/${which}/rp_filter`), '0');
        assert.equal(values.get(`net/ipv6/conf/${which}/disable_ipv6`), '1');
      }
    }
  });

  test('back ends pin cubic to their route and answer repeated SYNs', () => {
    const backend = hostNamed(buildTopology({ proxies: 1, backends: 1 }), 'backend-1')!;
    assert.deepEqual(backend.routes, [
      { destination: 'default', via: '10.64.0.1', congestionControl: 'cubic' },
    ]);
    assert.ok(
      backend.sysctls.some(each => each.path.endsWith('tcp_invalid_ratelimit') && each.value === '0'),
    );
  });

  test('the site is the demo unless a command takes its place', () => {
    const names = (site: 'demo' | 'command') =>
      hostNamed(buildTopology({ proxies: 1, backends: 1, site }), 'backend-1')!.processes.map(
        each => each.name,
      );
    assert.deepEqual(names('demo'), ['agent', 'demo']);
    assert.deepEqual(names('command'), ['agent', 'app']);
  });

  suite('the webmail', () => {
    const topology = buildTopology({ proxies: 1, backends: 2, site: 'webmail' });
    const host = (name: string) => hostNamed(topology, name)!;

    test('has its auxiliary servers behind its back ends, and nobody else has', () => {
      assert.deepEqual(
        topology.hosts.slice(4).map(each => each.name),
        ['backend-1', 'backend-2', 'auxlogger-1', 'smtp-1', 'db-1'],
      );
      assert.deepEqual(
        host('auxlogger-1').interfaces.map(each => each.address),
        ['10.64.0.2', '10.65.0.1'],
      );
      assert.deepEqual(
        topology.networks.map(each => each.name),
        ['wan', 'front', 'middle', 'back', 'aux'],
      );
      assert.ok(!buildTopology({ proxies: 1, backends: 1 }).networks.some(each => each.name === 'aux'));
    });

    test('finds them by way of the auxiliary logger, and they it', () => {
      assert.deepEqual(host('backend-2').routes[1], { destination: '10.65.0.0/24', via: '10.64.0.2' });
      for (const name of ['smtp-1', 'db-1']) {
        assert.deepEqual(host(name).routes, [{ destination: 'default', via: '10.65.0.1' }]);
      }
      const forwards = host('auxlogger-1').sysctls.find(each => each.path === 'net/ipv4/ip_forward');
      assert.equal(forwards?.value, '1');
    });

    test('is told where they are; its secrets are named, not told', () => {
      const site = host('backend-1').processes.find(each => each.kind === 'site')!;
      assert.deepEqual(site, {
        kind: 'site',
        name: 'webmail',
        environment: {
          PORT: '8080',
          BACKEND_ID: 'backend-1',
          DATABASE_URL: 'postgres://mail@10.65.0.31:5432/mail',
          SMTP_SERVER: '10.64.0.2:2525',
        },
        secrets: { PGPASSWORD: 'database', DELEGATION_KEY: 'delegation', SESSION_SECRET: 'sessions' },
      });
    });

    test('without the kit it keeps no journal, speaks to the SMTP server itself, and has its sessions in memory', () => {
      const plain = buildTopology({ proxies: 1, backends: 2, site: 'webmail', kit: false });
      const environmentOf = ({ hosts }: typeof plain) =>
        hosts.find(each => each.name === 'backend-1')!.processes.find(each => each.kind === 'site')!
          .environment;
      assert.deepEqual(environmentOf(plain), {
        ...environmentOf(topology),
        SMTP_SERVER: '10.65.0.21:2525',
        SESSIONS: 'memory',
      });
      assert.deepEqual([topology.kit, plain.kit], [true, false]);
      assert.match(JSON.stringify(topology.rules), /"journal":"response"/);
      assert.doesNotMatch(JSON.stringify(plain.rules), /journal/);
      assert.equal(plain.rules.listeners[0]!.routes!.length, topology.rules.listeners[0]!.routes!.length);
      assert.equal(buildTopology({ proxies: 1, backends: 1, arm: 'haproxy' }).kit, false);
    });

    test('in another arm nothing of ours is between', () => {
      const other = buildTopology({ proxies: 1, backends: 1, site: 'webmail', arm: 'haproxy' });
      assert.deepEqual(
        hostNamed(other, 'router-2')!.interfaces.map(each => each.address),
        ['10.64.0.2', '10.65.0.1'],
      );
      assert.equal(hostNamed(other, 'auxlogger-1'), undefined);
    });

    test('its rules are what the schema makes of such a file', () => {
      const checked = checkSite(
        `listeners:
  - name: web
    port: 80
    routes:
      - { match: { pathPrefix: /assets }, tags: { deterministic: true }, pool: web }
      - { match: { methods: [POST] }, tags: { kind: update }, journal: response, pool: web }
      - { pool: web }
pools: { web: { backends: all } }
`,
        'webmail.yaml',
        { backends: ['backend-1', 'backend-2'] },
      );
      assert.deepEqual(checked.ok && checked.site, topology.rules);
    });
  });

  test('neighbours share a network, two proxies share two, and others none', () => {
    const topology = buildTopology({ proxies: 2, backends: 1 });
    const common = (a: string, b: string) =>
      commonNetworks(hostNamed(topology, a)!, hostNamed(topology, b)!).join(' ');
    assert.equal(common('client-1', 'lb-1'), 'wan');
    assert.equal(common('proxy-1', 'lb-1'), 'front');
    assert.equal(common('proxy-1', 'proxy-2'), 'front middle');
    assert.equal(common('backend-1', 'logger-1'), 'back');
    assert.equal(common('backend-1', 'proxy-1'), '');
    assert.equal(common('client-1', 'proxy-1'), '');
  });

  for (const count of [0, 17, 1.5, Number.NaN, -1]) {
    test(`${count} proxies or back ends are refused by name`, () => {
      assert.throws(() => buildTopology({ proxies: count, backends: 1 }), /^RangeError: proxies: /);
      assert.throws(() => buildTopology({ proxies: 1, backends: count }), /^RangeError: backends: /);
    });
  }

  test('a MAC follows from its address and is locally administered', () => {
    assert.equal(macOf('10.62.0.11'), '02:00:0a:3e:00:0b');
  });
});
