import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { type Host, networks } from '@resplice/topology';
import { parse } from 'yaml';
import {
  argumentsOf,
  type Deployment,
  deploymentFrom,
  topologyFor,
  usualDeployment,
} from '../src/deployment.ts';
import { composeFile, composeText } from '../src/index.ts';

const root = join(import.meta.dirname, '../../..');
const written = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
const file = parse(written);
const topology = topologyFor(usualDeployment);

/** The least that a program may have; whoever wants more must say why here. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  dataplane: ['BPF', 'NET_ADMIN', 'NET_RAW', 'PERFMON'],
  network: ['NET_ADMIN'],
  database: ['NET_ADMIN', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'KILL', 'SETGID', 'SETUID'],
  keys: ['CHOWN'],
  none: [],
};

function kindOf(name: string): keyof typeof allowed {
  if (name === 'keys') return 'keys';
  if (name === 'db-1') return 'database';
  if (/^(lb|proxy|logger)-\d+$|-agent$/.test(name)) return 'dataplane';
  return /^[a-z]+-\d+$/.test(name) ? 'network' : 'none';
}

suite('docker-compose.yml', () => {
  test('is what the topology gives', () => {
    assert.equal(written, composeText(usualDeployment));
  });

  test('every host is on its networks, by its addresses and MACs', () => {
    for (const host of topology.hosts) {
      const expected = host.interfaces.map(({ network, address, mac }) => [
        network,
        { ipv4_address: address, mac_address: mac },
      ]);
      assert.deepEqual(Object.entries(file.services[host.name].networks), expected, host.name);
    }
  });

  test('networks have the same subnets, and the clients’ one sorts first: the engine publishes by it', () => {
    for (const [name, network] of Object.entries<{ ipam: { config: [{ subnet: string }] } }>(file.networks)) {
      assert.equal(network.ipam.config[0].subnet, networks[name as keyof typeof networks].subnet);
    }
    const names = Object.values<{ name: string }>(file.networks).map(({ name }) => name);
    assert.equal([...names].sort()[0], file.networks.wan.name);
  });

  test('every process of the topology runs once, beside the network of its host', () => {
    const ran = (host: Host): string[] =>
      Object.entries<{ command: string[]; network_mode?: string }>(file.services).flatMap(
        ([name, { command, network_mode }]) => {
          if (command[1] !== host.name) return [];
          const parts = command.slice(2);
          if (parts.includes('network')) assert.equal(name, host.name);
          else assert.equal(network_mode, `service:${host.name}`);
          return parts.filter(part => part !== 'network');
        },
      );
    for (const host of topology.hosts) {
      assert.deepEqual(
        ran(host),
        host.processes.map(each => each.name),
        host.name,
      );
    }
  });

  test('nobody has more rights than it needs', () => {
    for (const [name, service] of Object.entries<Record<string, unknown>>(file.services)) {
      assert.equal(service.privileged, undefined, name);
      assert.equal(service.read_only, true, name);
      assert.deepEqual(service.cap_drop, ['ALL'], name);
      assert.deepEqual(service.cap_add ?? [], allowed[kindOf(name)], name);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
    }
  });

  test('no environment is made, so that no secret is in one; only daemons see the cluster key', () => {
    for (const [name, service] of Object.entries<{ environment?: unknown; volumes?: string[] }>(
      file.services,
    )) {
      assert.equal(service.environment, undefined, name);
      const isDaemon = ['keys', 'db-1', 'auxlogger-1'].includes(name) || kindOf(name) === 'dataplane';
      assert.equal(
        (service.volumes ?? []).some(each => each.startsWith('keys-cluster:')),
        isDaemon,
        name,
      );
    }
  });

  test('of what is there already, other numbers change nothing but what is run before all others', () => {
    const more = parse(composeText({ ...usualDeployment, proxies: 3, backends: 4 })).services;
    const changed = Object.keys(file.services).filter(
      name => JSON.stringify(file.services[name]) !== JSON.stringify(more[name]),
    );
    assert.deepEqual(changed, ['keys']);
  });

  test('reverse-path filters are off on the interfaces that are there before the settings are', () => {
    assert.equal(file.services['logger-1'].sysctls['net.ipv4.conf.eth1.rp_filter'], '0');
    assert.equal(file.services['lb-1'].sysctls['net.ipv4.conf.all.accept_local'], '1');
  });

  test('other numbers give other members', () => {
    const deployment: Deployment = { proxies: 3, backends: 4, site: 'demo' };
    const { services } = composeFile(deployment);
    assert.ok(services['proxy-3'] && services['backend-4-agent'] && services['backend-4-demo']);
    assert.deepEqual(deploymentFrom(argumentsOf(deployment)), deployment);
  });

  test('who is told nonsense says which argument it is', () => {
    assert.throws(() => deploymentFrom(['--proxies', 'two']), /--proxies: "two"/);
    assert.throws(() => deploymentFrom(['--site', 'shop']), /--site: "shop"/);
    assert.deepEqual(deploymentFrom([]), usualDeployment);
  });
});
