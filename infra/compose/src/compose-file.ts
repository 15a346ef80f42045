// The compose file of a deployment, made from the topology: nothing in it is written twice.

import { machineOn, type Network, type NetworkName, networks } from '@resplice/topology';
import { stringify } from 'yaml';
import { type Deployment, topologyFor } from './deployment.ts';
import { type Service, servicesOf } from './services.ts';

interface ComposeFile {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, unknown>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

export const projectName = 'resplice';

export function networkNameOf(name: NetworkName, project: string = projectName): string {
  return `${project}-${Object.keys(networks).indexOf(name)}-${name}`;
}

/**
 * The engine publishes ports by the network whose name sorts first, so the clients' one is numbered in front of the others. Nothing
 * is translated on the way: packets cross a network with sources of others, and must keep them.
 */
function networkOf({ name, subnet }: Network) {
  return {
    name: networkNameOf(name, `\${COMPOSE_PROJECT_NAME:-${projectName}}`),
    driver: 'bridge',
    driver_opts: {
      'com.docker.network.bridge.enable_ip_masquerade': 'false',
      // From engine 28 on, what comes from another network for a container's address would be dropped.
      'com.docker.network.bridge.gateway_mode_ipv4': 'nat-unprotected',
    },
    ipam: { config: [{ subnet, gateway: machineOn(name) }] },
  };
}

/** A BPF file system is mounted while somebody uses its volume. */
function volumeOf(name: string) {
  return name.startsWith('bpf-') ? { driver: 'local', driver_opts: { type: 'bpf', device: 'bpf' } } : {};
}

export function composeFile(deployment: Deployment): ComposeFile {
  const topology = topologyFor(deployment);
  const services = servicesOf(topology, deployment);
  const volumes = new Set(
    Object.values(services)
      .flatMap(service => service.volumes ?? [])
      .map(volume => volume.split(':', 1)[0]!),
  );
  return {
    name: projectName,
    services,
    networks: Object.fromEntries(topology.networks.map(each => [each.name, networkOf(each)])),
    volumes: Object.fromEntries([...volumes].map(name => [name, volumeOf(name)])),
  };
}

const heading = ` Made by infra/compose from the topology, and compared with it by a test: do not edit.
 Other numbers of proxies and back ends: node infra/compose/src/main.ts file --proxies 3 --backends 3 >compose.yml`;

export function composeText(deployment: Deployment): string {
  const comment = heading.replaceAll(/^/gm, '#');
  return `${comment}\n${stringify(composeFile(deployment), { aliasDuplicateObjects: false, lineWidth: 0, version: '1.1' })}`;
}
