import { mkdirSync, rmSync } from 'node:fs';
import {
  command,
  type DatabaseAddress,
  type Deployment as Deployed,
  type DrainReport,
  type Engine,
  type FaultReport,
  type KitStatus,
  LabError,
  type LabStatus,
  type LogFile,
  labPlace,
  type ReloadReport,
  requireRoot,
  type Trace,
  type UpOptions,
  type Watcher,
  type WebmailStatus,
} from '@resplice/engines';
import {
  type Fault,
  findLab,
  hasRemains,
  isAlive,
  isFaulted,
  isWithin,
  kitFrom,
  type Lab,
  type LabState,
  processEntry,
  readLabState,
  requireComponent,
  requireHost,
  requireLab,
  requireTarget,
  statusFrom,
  type Target,
  traceIn,
  withLabLock,
  writeLabState,
} from '@resplice/engines/lab';
import { type Host, hostNamed, hostsOf, lan } from '@resplice/topology';
import { adminSocket, configFileOf } from '../paths.ts';
import { fileIn, inspectHosts } from './inspection.ts';
import { containerOf, Project, requireEngine, serviceOf, servicesOf } from './project.ts';

const upDeadlineMs = 60_000;
const healDeadlineMs = 30_000;
const place = labPlace;

function unable(what: string): LabError {
  return new LabError('usage', `the compose engine does not ${what}; the netns one does: leave --engine out`);
}

function projectOf({ proxies, backends, site = 'demo' }: LabState): Project {
  return new Project({ proxies, backends, site });
}

function servicesIn({ host, process }: Target): string[] {
  return process ? [serviceOf(host, process.name)] : servicesOf(host);
}

/** What a crash kills: of a back end its processes, whose kernel stays. */
function mortalIn(target: Target): string[] {
  const [owner, ...beside] = servicesIn(target);
  return beside.length > 0 ? beside : [owner!];
}

function requirePlain({ arm, kit, link, steering, backendCommand, siteFile }: UpOptions): void {
  if (arm && arm !== 'resplice') throw unable(`know --arm ${arm}`);
  if (kit === false) throw unable('leave the kit out');
  if (link && link.name !== lan.name) throw unable('emulate links');
  if (steering && steering !== 'hash') throw unable(`steer by ${steering}`);
  if (backendCommand) throw unable('run a command of yours');
  if (siteFile) throw unable('follow a resplice.yaml');
}

/** Of every component that nothing was done to. */
function soundServices({ state, topology }: Lab): string[] {
  return topology.hosts.filter(({ name }) => !isFaulted(state, name)).flatMap(servicesOf);
}

async function requirePage({ topology }: Lab): Promise<void> {
  const asked = ['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '5', topology.vip.url];
  const { code, stdout, stderr } = await command('docker', ['exec', containerOf('client-1'), ...asked], {
    anyExit: true,
  });
  if (code === 0 && Number(stdout) < 500) return;
  const why = code === 0 ? `answered ${stdout}` : stderr.trim();
  throw new LabError('unhealthy', `GET ${topology.vip.url} from client-1: ${why}`);
}

/** A kit tells only who stands beside it; undefined when it does not answer. */
async function kitOf({ name }: Host): Promise<KitStatus | undefined> {
  const probe = ['node', '/resplice/infra/engines/src/kit-probe.ts', configFileOf('kit')];
  const { code, stdout } = await command('docker', ['exec', containerOf(`${name}-webmail`), ...probe], {
    anyExit: true,
  });
  return code === 0 ? kitFrom(name, stdout) : undefined;
}

/** The lab as containers of a Docker engine on this machine: the services of infra/compose. */
export class ComposeEngine implements Engine {
  readonly name = 'compose';

  async up(options: UpOptions, { progress, signal }: Watcher = {}): Promise<void> {
    requireRoot();
    requirePlain(options);
    await requireEngine();
    await withLabLock(place, async () => this.#claim(options));
    try {
      const lab = findLab(place)!;
      progress?.('building images and starting containers');
      await projectOf(lab.state).start(soundServices(lab), upDeadlineMs);
      signal?.throwIfAborted();
      await requirePage(lab);
      lab.state.phase = 'up';
      writeLabState(place, lab.state);
    } catch (error) {
      await this.down();
      if (signal?.aborted) throw new LabError('interrupted', 'interrupted; the lab is down again');
      throw error;
    }
  }

  #claim({ proxies, backends, site = 'demo' }: UpOptions): void {
    const known = readLabState(place);
    const isOurs = known?.engine === 'compose' && known.phase !== 'up' && !isAlive(known.startedBy);
    // What another engine left half-made is that one's to remove.
    if (!isOurs && hasRemains(place)) {
      throw new LabError('already-up', 'a lab is up already; take it down with: ./resplice down');
    }
    mkdirSync(place.runDirectory, { recursive: true });
    writeLabState(place, {
      version: 1,
      phase: 'starting',
      engine: 'compose',
      startedBy: { pid: process.pid, startTime: processEntry(process.pid)!.startTime },
      startedAt: Date.now(),
      ...{ proxies, backends, site },
      backendCommand: null,
      processes: {},
      faults: [],
    });
  }

  async down(): Promise<boolean> {
    return withLabLock(place, async () => {
      const state = readLabState(place);
      if (state) await projectOf(state).down();
      rmSync(place.runDirectory, { recursive: true, force: true });
      return state !== undefined;
    });
  }

  commandIn(component: string, what: readonly string[]): readonly [string, ...string[]] {
    const host = requireHost(requireLab(place), component);
    const terminal = process.stdin.isTTY ? ['--tty'] : [];
    return ['docker', 'exec', '--interactive', ...terminal, containerOf(host.name), ...what];
  }

  crash(target: string): Promise<FaultReport> {
    return this.#break('crash', target, (project, found) => project.kill(mortalIn(found)));
  }

  freeze(target: string): Promise<FaultReport> {
    return this.#break('freeze', target, (project, found) => project.pause(servicesIn(found)));
  }

  cut(target: string): Promise<FaultReport> {
    return this.#break('cut', target, (project, _, lab) =>
      project.disconnect(requireComponent(lab, 'cut', target)),
    );
  }

  #break(
    kind: 'crash' | 'freeze' | 'cut',
    target: string,
    work: (project: Project, found: Target, lab: Lab) => Promise<unknown>,
  ): Promise<FaultReport> {
    return withLabLock(place, async () => {
      const lab = requireLab(place);
      await work(projectOf(lab.state), requireTarget(lab, target), lab);
      const at = Date.now();
      const known = lab.state.faults.some(fault => fault.kind === kind && fault.target === target);
      if (!known) lab.state.faults.push({ kind, target, at } satisfies Fault);
      writeLabState(place, lab.state);
      return { kind, target, at };
    });
  }

  async restart(target: string, watcher: Watcher = {}): Promise<FaultReport> {
    const { at } = await this.crash(target);
    const { healthyAt } = await this.heal(target, watcher);
    return { kind: 'restart', target, at, healthyAt: healthyAt! };
  }

  async heal(target?: string, _: Watcher = {}): Promise<FaultReport> {
    return withLabLock(place, async () => {
      const lab = requireLab(place);
      const project = projectOf(lab.state);
      const found = target === undefined ? undefined : requireTarget(lab, target);
      const undone = lab.state.faults.filter(fault => target === undefined || isWithin(fault, target));
      const hosts = found ? [found.host] : lab.topology.hosts;
      await project.unpause(found ? servicesIn(found) : hosts.flatMap(servicesOf));
      for (const fault of undone.filter(({ kind }) => kind === 'cut'))
        await project.connect(requireHost(lab, fault.target));
      lab.state.faults = lab.state.faults.filter(fault => !undone.includes(fault));
      writeLabState(place, lab.state);
      const at = Date.now();
      const sound = [...new Set([...soundServices(lab), ...(found ? servicesIn(found) : [])])];
      await project.untilRecovered(sound, healDeadlineMs);
      await project.start(sound, healDeadlineMs);
      return { kind: 'heal', target: target ?? null, at, healthyAt: Date.now() };
    });
  }

  freezeAt(): Promise<FaultReport> {
    return Promise.reject(unable('stop processes at points'));
  }

  isolate(): Promise<FaultReport> {
    return Promise.reject(unable('isolate two components from each other'));
  }

  drain(): Promise<DrainReport> {
    return Promise.reject(unable('drain'));
  }

  reload(): Promise<ReloadReport> {
    return Promise.reject(unable('follow a resplice.yaml'));
  }

  database(): DatabaseAddress {
    throw unable('show its database to this machine: docker exec -i resplice-smtp-1-1 adds accounts');
  }

  /** The SMTP server's container knows the database. */
  async addDemoAccounts(): Promise<string> {
    const program = ['node', '/resplice/infra/compose/src/main.ts', 'demo-accounts'];
    const { stdout } = await command('docker', ['exec', containerOf('smtp-1'), ...program]);
    return `accounts ${stdout.trim()}`;
  }

  logs(): readonly LogFile[] {
    throw new LabError('usage', 'containers keep their own logs: docker compose logs');
  }

  deployment(): Deployed {
    const { topology } = requireLab(place);
    const backends = hostsOf(topology, 'backend').map(({ name }) => name);
    return { arm: topology.arm, backends, siteFile: null };
  }

  async trace(client: string): Promise<{ trace?: Trace; why: string }> {
    const lab = requireLab(place);
    const seen = await projectOf(lab.state).inspect(hostsOf(lab.topology, 'logger').map(({ name }) => name));
    return traceIn(lab, client, logger => {
      const container = seen.get(logger);
      if (!container?.State.Running) throw new LabError('unhealthy', `${logger} does not run`);
      return fileIn(container, adminSocket);
    });
  }

  async status(): Promise<LabStatus | 'starting' | undefined> {
    const lab = findLab(place);
    if (!lab) return undefined;
    if (lab.state.phase === 'starting') return isAlive(lab.state.startedBy) ? 'starting' : undefined;
    const inspections = await inspectHosts(projectOf(lab.state), lab.topology.hosts);
    return statusFrom(lab, inspections, containerOf);
  }

  async webmailStatus(): Promise<WebmailStatus | null> {
    const { state, topology } = requireLab(place);
    if (!hostNamed(topology, 'auxlogger-1')) return null;
    const inspections = await inspectHosts(projectOf(state), hostsOf(topology, 'auxlogger'));
    const auxiliaries = inspections.map(({ host, processes }) => ({
      component: host.name,
      services: processes.flatMap(each => each.status?.services ?? []),
    }));
    const kits = await Promise.all(hostsOf(topology, 'backend').map(kitOf));
    return { kits: kits.filter(each => each !== undefined), auxiliaries };
  }

  isThere(): boolean {
    return findLab(place) !== undefined;
  }
}
