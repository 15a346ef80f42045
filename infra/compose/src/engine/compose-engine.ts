import { mkdirSync, rmSync } from 'node:fs';
import {
  type Access,
  command,
  type DatabaseAddress,
  type Deployment as Deployed,
  type DrainReport,
  type Engine,
  type FaultReport,
  LabError,
  type LabStatus,
  type LogSource,
  labPlace,
  type MailAccounts,
  type ReloadReport,
  requireRoot,
  type SiteFile,
  type Trace,
  type UpOptions,
  type Watcher,
  type WebmailStatus,
} from '@resplice/engines';
import {
  adoptSite,
  findLab,
  hasRemains,
  isAlive,
  type Lab,
  noteDrain,
  notUp,
  processEntry,
  readLabState,
  requireComponent,
  requireHost,
  requireLab,
  requireTarget,
  statusFrom,
  traceIn,
  untilEmpty,
  withLabLock,
  writeLabState,
} from '@resplice/engines/lab';
import { hostNamed, hostsOf, lan } from '@resplice/topology';
import { adminSocket } from '../paths.ts';
import { crash, cut, freeze, freezeAt, heal, isolate, soundServices } from './faults.ts';
import { followSettings, settingsOf } from './following.ts';
import { fileIn, inspectHosts } from './inspection.ts';
import { kitOf } from './kits.ts';
import { accountsOf } from './mail-accounts.ts';
import { namespaceOf } from './ports.ts';
import { containerOf, logCommand, type Project, requireEngine, serviceOf, servicesOf } from './project.ts';
import { isSoundFor, projectOf, scale } from './scaling.ts';

const upDeadlineMs = 60_000;
const place = labPlace;

function unable(what: string): LabError {
  return new LabError('usage', `the compose engine does not ${what}; the netns one does: leave --engine out`);
}

/** What a file names, containers do not see. */
function requireVisible({ rules }: SiteFile): void {
  const asking = rules.listeners.find(({ auth }) => auth !== undefined);
  if (asking) throw unable(`ask for passwords, as the listener "${asking.name}" does`);
}

function requirePlain({ arm, kit, link, steering, backendCommand, siteFile }: UpOptions): void {
  if (arm && arm !== 'resplice') throw unable(`know --arm ${arm}`);
  if (kit === false) throw unable('leave the kit out');
  if (link && link.name !== lan.name) throw unable('emulate links');
  if (steering && steering !== 'hash') throw unable(`steer by ${steering}`);
  if (backendCommand) throw unable('run a command of yours');
  if (siteFile) requireVisible(siteFile);
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

/** Whether it differs in its numbers only. @throws LabError usage when something was done to it */
function canBecome(lab: Lab, options: UpOptions): boolean {
  const { state } = lab;
  const { proxies, backends, site = 'demo', siteFile } = options;
  const isBegun = state.scaling !== undefined;
  const differs = isBegun || state.proxies !== proxies || state.backends !== backends;
  const isAlike = state.engine === 'compose' && state.phase === 'up' && state.site === site && !siteFile;
  if (!isAlike || !differs) return false;
  if (isSoundFor(lab, options)) return true;
  throw new LabError('usage', `${state.faults[0]!.target}: under a fault; first: ./resplice fault heal`);
}

/** Before anybody reads it. */
async function settleFirst(lab: Lab): Promise<void> {
  const project = projectOf(lab.state);
  await project.build();
  await project.settle(settingsOf(lab));
}

/** The lab as containers of a Docker engine on this machine: the services of infra/compose. */
export class ComposeEngine implements Engine {
  readonly name = 'compose';

  /** One of containers that is up already becomes one of other numbers. */
  async up(options: UpOptions, watcher: Watcher = {}): Promise<void> {
    const { progress, signal } = watcher;
    requireRoot();
    requirePlain(options);
    await requireEngine();
    const running = findLab(place);
    if (running && canBecome(running, options)) {
      progress?.(`making it one of ${options.proxies} proxies and ${options.backends} back ends`);
      const { proxies, backends } = options;
      return scale(running, { proxies, backends }, watcher);
    }
    await withLabLock(place, async () => this.#claim(options));
    try {
      const lab = findLab(place)!;
      progress?.('building images and starting containers');
      if (lab.state.siteFile) await settleFirst(lab);
      await projectOf(lab.state).start(soundServices(lab), upDeadlineMs, { build: true });
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

  #claim({ proxies, backends, site = 'demo', siteFile }: UpOptions): void {
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
      siteFile,
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

  async crash(target: string): Promise<FaultReport> {
    const at = await this.#change((lab, project) => crash(lab, project, requireTarget(lab, target)));
    return { kind: 'crash', target, at };
  }

  async freeze(target: string): Promise<FaultReport> {
    const at = await this.#change((lab, project) => freeze(lab, project, requireTarget(lab, target)));
    return { kind: 'freeze', target, at };
  }

  async cut(target: string): Promise<FaultReport> {
    const at = await this.#change((lab, project) => cut(lab, project, requireComponent(lab, 'cut', target)));
    return { kind: 'cut', target, at };
  }

  async freezeAt(target: string, point: string): Promise<FaultReport> {
    const at = await this.#change((lab, project) =>
      freezeAt(lab, project, requireTarget(lab, target), point),
    );
    return { kind: 'freeze', target, at, point };
  }

  async isolate(target: string, from: string): Promise<FaultReport> {
    const at = await this.#change((lab, project) => {
      const [one, other] = [target, from].map(each => requireComponent(lab, 'isolate', each));
      return isolate(lab, project, one!, other!);
    });
    return { kind: 'isolate', target, at, from };
  }

  async restart(target: string): Promise<FaultReport> {
    const at = await this.#change(async (lab, project) => {
      const found = requireTarget(lab, target);
      const drained = lab.state.faults.find(({ kind }) => kind === 'drain');
      // Its container would not count as healthy, and healing it would give it connections again.
      if (drained)
        throw new LabError(
          'usage',
          `${drained.target}: drained; first: ./resplice fault heal ${drained.target}`,
        );
      const crashedAt = await crash(lab, project, found);
      await heal(lab, project, { target, found });
      return crashedAt;
    });
    return { kind: 'restart', target, at, healthyAt: Date.now() };
  }

  async heal(target?: string): Promise<FaultReport> {
    const at = await this.#change((lab, project) => {
      const found = target === undefined ? undefined : requireTarget(lab, target);
      return heal(lab, project, { target, found });
    });
    return { kind: 'heal', target: target ?? null, at, healthyAt: Date.now() };
  }

  async drain(target: string, deadlineMs: number, watcher: Watcher = {}): Promise<DrainReport> {
    await this.#change(async (lab, project) => {
      noteDrain(lab, target);
      await followSettings(requireLab(place), project, watcher);
    });
    const look = (lab: Lab) => inspectHosts(projectOf(lab.state), lab.topology.hosts);
    return untilEmpty(place, target, deadlineMs, watcher, look);
  }

  async reload(siteFile: SiteFile, watcher: Watcher = {}): Promise<ReloadReport> {
    requireVisible(siteFile);
    return this.#change(async (lab, project) => {
      const notes = adoptSite(lab, siteFile);
      writeLabState(place, lab.state);
      const later = await followSettings(requireLab(place), project, watcher);
      return { file: siteFile.file, at: Date.now(), later, notes };
    });
  }

  #change<T>(work: (lab: Lab, project: Project) => Promise<T>): Promise<T> {
    return withLabLock(place, async () => {
      const lab = requireLab(place);
      return work(lab, projectOf(lab.state));
    });
  }

  database(): DatabaseAddress {
    throw unable('show its database to this machine');
  }

  accounts(): MailAccounts {
    return accountsOf(requireLab(place));
  }

  logs(target?: string): readonly LogSource[] {
    const lab = findLab(place);
    if (!lab) throw notUp();
    const targets = target
      ? [requireTarget(lab, target)]
      : lab.topology.hosts.map(host => ({ host, process: undefined }));
    return targets.flatMap(({ host, process }) =>
      (process ? [process] : host.processes).map(({ name }) => ({
        component: host.name,
        process: name,
        command: logCommand(serviceOf(host, name)),
      })),
    );
  }

  async access(component: string): Promise<Access> {
    const lab = requireLab(place);
    const host = requireHost(lab, component);
    const seen = await projectOf(lab.state).inspect(servicesOf(host));
    const owner = seen.get(host.name);
    if (!owner?.State.Running) throw new LabError('unhealthy', `${component} does not run`);
    const daemons = host.processes.filter(({ kind }) => kind === 'daemon');
    return {
      namespace: namespaceOf(owner),
      adminSockets: Object.fromEntries(
        daemons.flatMap(({ name }) => {
          const container = seen.get(serviceOf(host, name));
          return container?.State.Running ? [[name, fileIn(container, adminSocket)]] : [];
        }),
      ),
      pids: host.processes.flatMap(({ name }) => seen.get(serviceOf(host, name))?.State.Pid || []),
    };
  }

  deployment(): Deployed {
    const { topology, state } = requireLab(place);
    const backends = hostsOf(topology, 'backend').map(({ name }) => name);
    return { arm: topology.arm, backends, siteFile: state.siteFile?.file ?? null };
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
