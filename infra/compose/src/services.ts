// A host of the topology as compose services: one container with its network and its daemon, or, for a back end, one that only
// owns the network and others beside it, so that either may be restarted.

import { applicationPort, type Host, type HostProcess, hostsOf, type Topology } from '@resplice/topology';
import { networkPart } from './container.ts';
import { argumentsOf, type Deployment } from './deployment.ts';
import { applicationUser, type KeyBundle } from './keys.ts';
import {
  adminSocket,
  dataDirectory,
  deploymentDirectory,
  keyDirectory,
  pinDirectory,
  pluggedFile,
  runDirectory,
} from './paths.ts';

export interface Service {
  readonly image: string;
  readonly build?: object;
  readonly profiles?: readonly string[];
  readonly command: readonly string[];
  readonly hostname?: string;
  readonly user?: string;
  readonly depends_on?: Readonly<Record<string, object>>;
  readonly network_mode?: string;
  readonly networks?: Readonly<Record<string, object>>;
  readonly ports?: readonly string[];
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly cap_drop: readonly string[];
  readonly cap_add?: readonly string[];
  readonly security_opt: readonly string[];
  readonly read_only: true;
  readonly tmpfs?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: object;
  readonly restart: string;
}

/** What loads programs into the kernel and sends packets in clients' names. */
const dataplane = ['BPF', 'NET_ADMIN', 'NET_RAW', 'PERFMON'];
/** PostgreSQL's programs refuse to be root. */
const otherUser = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'KILL', 'SETGID', 'SETUID'];

const confined = {
  cap_drop: ['ALL'],
  security_opt: ['no-new-privileges:true'],
  read_only: true,
} as const;

function imageOf(target: 'tier' | 'database') {
  return `resplice-${target}:\${RESPLICE_VERSION:-latest}`;
}

function buildOf(target: 'tier' | 'database') {
  return { context: '.', dockerfile: 'infra/compose/Dockerfile', target };
}

function healthcheck(...command: string[]) {
  return {
    test: ['CMD', ...command],
    interval: '5s',
    timeout: '5s',
    retries: 3,
    start_period: '60s',
    start_interval: '1s',
  };
}

const plugged = healthcheck('test', '-e', pluggedFile);
const daemonReady = healthcheck(
  ...['curl', '-fsS', '-o', '/dev/null', '--unix-socket', adminSocket, 'http://localhost/healthz'],
);

function listening(port: number) {
  return healthcheck('bash', '-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`);
}

function healthOf(part: HostProcess | undefined) {
  if (!part) return plugged;
  if (part.kind === 'daemon') return daemonReady;
  return listening(part.kind === 'service' ? part.port : applicationPort);
}

const keysMade = { keys: { condition: 'service_completed_successfully' } };

const deploymentVolume = `deployment:${deploymentDirectory}:ro`;

function keyVolumes(bundles: readonly KeyBundle[], mode: ':ro' | '' = ':ro'): string[] {
  return bundles.map(bundle => `keys-${bundle}:${keyDirectory}/${bundle}${mode}`);
}

function bundlesOf(part: HostProcess): KeyBundle[] {
  if (part.kind === 'daemon') return ['cluster'];
  if (part.name === 'webmail') return ['kit', 'webmail'];
  return part.name === 'smtp' ? ['smtp'] : [];
}

function hasDataplane(part: HostProcess): boolean {
  return (
    part.kind === 'daemon' &&
    ['lb', 'proxy', 'logger', 'backend-agent'].includes(part.app) &&
    part.name !== 'auxlogger'
  );
}

/** The first interface's name is eth0: what the engine makes of `default` has not reached them when they are there already. */
function sysctlsOf({ sysctls, interfaces }: Host): Record<string, string> {
  const known = sysctls.filter(({ path }) => !path.startsWith('net/ipv6/'));
  const each = known.flatMap(({ path, value }) => {
    const name = path.replaceAll('/', '.');
    if (!name.includes('.conf.default.')) return [[name, value]];
    const own = interfaces.map((_, index) => [name.replace('.default.', `.eth${index}.`), value]);
    return [[name, value], ...own];
  });
  return Object.fromEntries(each);
}

function networksOf({ interfaces }: Host): Record<string, object> {
  return Object.fromEntries(
    interfaces.map(({ network, address, mac }) => [network, { ipv4_address: address, mac_address: mac }]),
  );
}

/** The container that is the host: it has its network, and its processes unless they are beside it. */
function hostService(host: Host, part: HostProcess | undefined): Service {
  const isDatabase = part?.name === 'postgres';
  const hasData = isDatabase || part?.name === 'auxlogger';
  const needsPins = host.role === 'backend' || (part !== undefined && hasDataplane(part));
  return {
    image: imageOf(isDatabase ? 'database' : 'tier'),
    ...(isDatabase ? { build: buildOf('database') } : {}),
    ...(host.role === 'client' ? { profiles: ['drill'] } : {}),
    command: ['run', host.name, networkPart, ...(part ? [part.name] : [])],
    hostname: host.name,
    depends_on: keysMade,
    networks: networksOf(host),
    ...(host.role === 'lb' ? { ports: [`\${RESPLICE_PORT:-8080}:80`] } : {}),
    sysctls: sysctlsOf(host),
    ...confined,
    cap_add: [...(part && hasDataplane(part) ? dataplane : ['NET_ADMIN']), ...(isDatabase ? otherUser : [])],
    tmpfs: [runDirectory, ...(isDatabase ? ['/tmp'] : [])],
    volumes: [
      deploymentVolume,
      ...(part ? keyVolumes(bundlesOf(part)) : []),
      ...(needsPins ? [`bpf-${host.name}:${pinDirectory}`] : []),
      ...(hasData ? [`data-${host.name}:${dataDirectory}`] : []),
    ],
    healthcheck: healthOf(part),
    restart: 'unless-stopped',
  };
}

/** A process beside a back end's network. Restarted with it: otherwise it would be left in one that nobody is on. */
function besideService(host: Host, part: HostProcess): Service {
  const isAgent = part.kind === 'daemon';
  return {
    image: imageOf('tier'),
    command: ['run', host.name, part.name],
    ...(isAgent ? {} : { user: 'node' }),
    depends_on: { ...keysMade, [host.name]: { condition: 'service_healthy', restart: true } },
    network_mode: `service:${host.name}`,
    ...confined,
    ...(isAgent ? { cap_add: dataplane } : {}),
    tmpfs: [isAgent ? runDirectory : `${runDirectory}:uid=${applicationUser},gid=${applicationUser}`],
    volumes: [
      deploymentVolume,
      ...keyVolumes(bundlesOf(part)),
      // Its network's owner has it as well: it stays mounted, with what is pinned there, while the agent is away.
      ...(isAgent ? [`bpf-${host.name}:${pinDirectory}`] : []),
    ],
    healthcheck: healthOf(part),
    restart: 'unless-stopped',
  };
}

/** Before everybody else starts, it makes the keys, once, and writes down how many there are. Its arguments are its alone. */
function keysService(topology: Topology, deployment: Deployment): Service {
  const hasWebmail = hostsOf(topology, 'db').length > 0;
  const bundles: readonly KeyBundle[] = hasWebmail ? ['cluster', 'kit', 'webmail', 'smtp'] : ['cluster'];
  return {
    image: imageOf('tier'),
    build: buildOf('tier'),
    command: ['keys', ...argumentsOf(deployment)],
    network_mode: 'none',
    ...confined,
    cap_add: ['CHOWN'],
    volumes: [`deployment:${deploymentDirectory}`, ...keyVolumes(bundles, '')],
    restart: 'no',
  };
}

/** Those of a host's processes that have containers of their own beside the one that owns the network. */
export function besides(host: Host): readonly HostProcess[] {
  return host.role === 'backend' ? host.processes : [];
}

export function servicesOf(topology: Topology, deployment: Deployment): Record<string, Service> {
  const services = topology.hosts.flatMap((host): [string, Service][] => {
    const apart = besides(host);
    const own = host.processes.find(each => !apart.includes(each));
    return [
      [host.name, hostService(host, own)],
      ...apart.map((part): [string, Service] => [`${host.name}-${part.name}`, besideService(host, part)]),
    ];
  });
  return { keys: keysService(topology, deployment), ...Object.fromEntries(services) };
}
