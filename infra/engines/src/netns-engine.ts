import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { buildTopology, hostsOf, mailDatabase } from '@resplice/topology';
import { mountBpf, removePins } from './bpf-filesystem.ts';
import { asCapability, requireClsact, requireDatabase, requireMachine } from './capabilities.ts';
import type {
  Access,
  DatabaseAddress,
  Deployment,
  DrainReport,
  Engine,
  FaultReport,
  LogFile,
  ReloadReport,
  UpOptions,
  Watcher,
} from './engine.ts';
import { LabError, notUp } from './errors.ts';
import { crash, cut, freeze, freezeAt, isolate, revive, startMissing } from './faults.ts';
import { adoptSite } from './followed-site.ts';
import { configureFabric, connectHost, fabric } from './host-network.ts';
import {
  findLab,
  type Lab,
  requireComponent,
  requireHost,
  requireLab,
  requireTarget,
  type Target,
} from './lab.ts';
import { withLabLock } from './lab-lock.ts';
import {
  drainedOf,
  type LabState,
  readLabState,
  type SiteFile,
  topologyOf,
  writeLabState,
} from './lab-state.ts';
import type { LabStatus } from './lab-status.ts';
import { type LaunchContext, writeConfig } from './launch.ts';
import { addNamespaces } from './namespaces.ts';
import { dataDirectoryOf, labPlace, netnsOf, netnsPathOf, type Place, processFilesOf } from './place.ts';
import { isAlive, processEntry } from './process-table.ts';
import { ownPrograms, type Programs } from './programs.ts';
import { hasRemains, sweep } from './sweep.ts';
import type { Trace } from './trace.ts';
import type { WebmailStatus } from './webmail-status.ts';

export interface NetnsEngineOptions {
  readonly place?: Place;
  readonly programs?: Programs;
}

const upDeadlineMs = 60_000;
const healDeadlineMs = 30_000;
const reloadDeadlineMs = 10_000;

function wholeLab({ topology }: Lab): Target[] {
  return topology.hosts.map(host => ({ host, process: undefined }));
}

/** Is it this very process that is bringing the lab up? */
function isOurs(state: LabState | undefined): boolean {
  return state?.startedBy.pid === process.pid && isAlive(state.startedBy);
}

function takenDown(): LabError {
  return new LabError('interrupted', 'the lab was taken down while it came up');
}

/** The lab in Linux network namespaces on this machine: a namespace a host, a bridge a network, veth pairs between. */
export class NetnsEngine implements Engine {
  readonly name = 'netns';
  readonly #place: Place;
  readonly #programs: Programs;

  constructor({ place = labPlace, programs = ownPrograms }: NetnsEngineOptions = {}) {
    this.#place = place;
    this.#programs = programs;
  }

  async up(options: UpOptions, watcher: Watcher = {}): Promise<void> {
    requireMachine();
    if (options.site === 'webmail' && !options.backendCommand) requireDatabase();
    buildTopology({ ...options, rules: options.siteFile?.rules });
    await withLabLock(this.#place, () => this.#claim(options, watcher));
    try {
      await withLabLock(this.#place, () => this.#build(watcher));
      await this.#becomeHealthy(watcher);
    } catch (error) {
      await this.#abandon();
      if (watcher.signal?.aborted) throw new LabError('interrupted', 'interrupted; the lab is down again');
      throw error instanceof LabError && error.code === 'not-up' ? takenDown() : error;
    }
  }

  /** Only what is our own: meanwhile somebody may have taken this lab down and another one up. */
  async #abandon(): Promise<void> {
    await withLabLock(this.#place, async () => {
      if (isOurs(readLabState(this.#place))) await sweep(this.#place);
    });
  }

  /** From here a crash leaves a lab file that says `starting`: the next `up` sweeps it away, as does `down`. */
  async #claim(options: UpOptions, { progress }: Watcher): Promise<void> {
    const {
      proxies,
      backends,
      steering = 'hash',
      arm = 'resplice',
      kit = true,
      link,
      backendCommand,
    } = options;
    const { site, siteFile } = options;
    const known = readLabState(this.#place);
    // Containers that were left half-made are another engine's to remove.
    if (known?.phase === 'up' || known?.engine === 'compose') {
      throw new LabError(
        'already-up',
        'a lab is up already, and there is one a machine; take it down with: ./resplice down',
      );
    }
    if (known && isAlive(known.startedBy)) {
      throw new LabError(
        'already-up',
        `a lab is being brought up already, by process ${known.startedBy.pid}`,
      );
    }
    if (hasRemains(this.#place)) {
      progress?.('sweeping up what an interrupted lab left');
      await sweep(this.#place);
    }
    mkdirSync(this.#place.runDirectory, { recursive: true });
    writeLabState(this.#place, {
      version: 1,
      phase: 'starting',
      startedBy: { pid: process.pid, startTime: processEntry(process.pid)!.startTime },
      startedAt: Date.now(),
      proxies,
      steering,
      arm,
      kit,
      ...(link ? { link: link.name } : {}),
      backends,
      backendCommand,
      ...(site ? { site } : {}),
      siteFile,
      processes: {},
      faults: [],
    });
  }

  async #build({ signal, progress }: Watcher): Promise<void> {
    const lab = findLab(this.#place);
    if (!lab || !isOurs(lab.state)) throw takenDown();
    const { hosts } = lab.topology;
    writeFileSync(this.#place.keyFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
    const started = Date.now();
    try {
      await this.#buildNetwork(lab, signal, progress);
    } catch (error) {
      throw asCapability(error);
    }
    progress?.(
      `network: ${hosts.length} hosts, ${lab.topology.links.length} links (${Date.now() - started} ms)`,
    );
    signal?.throwIfAborted();
    for (const host of hosts) await startMissing(lab, this.#context(lab), host);
    progress?.(`started ${hosts.flatMap(host => host.processes).length} processes`);
  }

  async #buildNetwork(
    { place, topology }: Lab,
    signal?: AbortSignal,
    progress?: Watcher['progress'],
  ): Promise<void> {
    const { hosts } = topology;
    await mountBpf(place);
    for (const host of hosts) removePins(place, host.name);
    await addNamespaces([fabric, ...hosts.map(host => host.name)].map(name => netnsOf(place, name)));
    const notes = await configureFabric(place, topology);
    await requireClsact(netnsOf(place, fabric));
    signal?.throwIfAborted();
    const hostNotes = await Promise.all(hosts.map(host => connectHost(place, topology, host)));
    for (const line of new Set([...notes, ...hostNotes.flat()])) progress?.(line);
  }

  async #becomeHealthy(watcher: Watcher): Promise<void> {
    await this.#waitUntilHealthy(upDeadlineMs, watcher);
    await withLabLock(this.#place, async () => {
      const state = readLabState(this.#place);
      if (!state || !isOurs(state)) throw takenDown();
      state.phase = 'up';
      writeLabState(this.#place, state);
    });
  }

  async down(): Promise<boolean> {
    this.#interruptStarter();
    return withLabLock(this.#place, async () => {
      const found = hasRemains(this.#place);
      await sweep(this.#place);
      return found;
    });
  }

  /** An `up` that is still under way would go on building into what we remove. */
  #interruptStarter(): void {
    const state = readLabState(this.#place);
    if (state?.phase !== 'starting' || state.startedBy.pid === process.pid || !isAlive(state.startedBy))
      return;
    process.kill(state.startedBy.pid, 'SIGTERM');
  }

  commandIn(component: string, command: readonly string[]): readonly [string, ...string[]] {
    const host = requireHost(requireLab(this.#place), component);
    return ['nsenter', `--net=${netnsPathOf(this.#place, host.name)}`, '--', ...command];
  }

  async crash(target: string): Promise<FaultReport> {
    return { kind: 'crash', target, at: await this.#change(lab => crash(lab, requireTarget(lab, target))) };
  }

  async cut(target: string): Promise<FaultReport> {
    const at = await this.#change(lab => cut(lab, requireComponent(lab, 'cut', target)));
    return { kind: 'cut', target, at };
  }

  async freeze(target: string): Promise<FaultReport> {
    const at = await this.#change(lab => freeze(lab, requireTarget(lab, target)));
    return { kind: 'freeze', target, at };
  }

  async freezeAt(target: string, point: string): Promise<FaultReport> {
    const at = await this.#change(async lab => freezeAt(lab, requireTarget(lab, target), point));
    return { kind: 'freeze', target, at, point };
  }

  async isolate(target: string, from: string): Promise<FaultReport> {
    const at = await this.#change(lab => {
      const [one, other] = [target, from].map(each => requireComponent(lab, 'isolate', each));
      return isolate(lab, one!, other!);
    });
    return { kind: 'isolate', target, at, from };
  }

  async restart(target: string, watcher: Watcher = {}): Promise<FaultReport> {
    const at = await this.#change(async lab => {
      const found = requireTarget(lab, target);
      const crashedAt = await crash(lab, found);
      const drains = lab.state.faults.filter(({ kind }) => kind === 'drain');
      await revive(lab, this.#context(lab), found);
      // What is to be empty stays so, also when it is restarted: that may be what it was drained for.
      const { state } = lab;
      state.faults = [...state.faults.filter(({ kind }) => kind !== 'drain'), ...drains];
      writeLabState(lab.place, state);
      return crashedAt;
    });
    await this.#waitUntilHealthy(healDeadlineMs, watcher);
    return { kind: 'restart', target, at, healthyAt: Date.now() };
  }

  async heal(target?: string, watcher: Watcher = {}): Promise<FaultReport> {
    const { at, isUndrained } = await this.#change(async lab => {
      const targets = target ? [requireTarget(lab, target)] : wholeLab(lab);
      const drained = drainedOf(lab.state.faults).length;
      for (const each of targets) await revive(lab, this.#context(lab), each);
      const isUndrained = drainedOf(lab.state.faults).length < drained;
      if (isUndrained) this.#writeConfigs(lab);
      return { at: Date.now(), isUndrained };
    });
    if (isUndrained) await this.#follow(watcher);
    await this.#waitUntilHealthy(healDeadlineMs, watcher);
    return { kind: 'heal', target: target ?? null, at, healthyAt: Date.now() };
  }

  deployment(): Deployment {
    const { topology, state } = requireLab(this.#place);
    const backends = hostsOf(topology, 'backend').map(({ name }) => name);
    return { arm: topology.arm, backends, siteFile: state.siteFile?.file ?? null };
  }

  async reload(siteFile: SiteFile, watcher: Watcher = {}): Promise<ReloadReport> {
    const notes = await this.#change(async lab => this.#write(lab, siteFile));
    const later = await this.#follow(watcher);
    return { file: siteFile.file, at: Date.now(), later, notes };
  }

  /** From here a daemon that is started follows the new file. @returns what takes effect at the next `up` only */
  #write(lab: Lab, siteFile: SiteFile): string[] {
    const notes = adoptSite(lab, siteFile);
    writeLabState(lab.place, lab.state);
    this.#writeConfigs(lab);
    return notes;
  }

  /** What the lab's state says now. */
  #writeConfigs({ place, state }: Lab): void {
    const topology = topologyOf(state);
    for (const host of topology.hosts)
      for (const each of host.processes) writeConfig({ place, topology }, host, each);
  }

  /** @returns the daemons that follow later */
  async #follow({ signal }: Watcher): Promise<string[]> {
    const { followConfigs } = await import('./reload.ts');
    return followConfigs(requireLab(this.#place), { deadlineMs: reloadDeadlineMs, signal });
  }

  async drain(target: string, deadlineMs: number, watcher: Watcher = {}): Promise<DrainReport> {
    const [{ noteDrain, untilEmpty }, { inspect }] = await Promise.all([
      import('./drain.ts'),
      import('./inspection.ts'),
    ]);
    await this.#change(async lab => {
      noteDrain(lab, target);
      this.#writeConfigs(lab);
    });
    await this.#follow(watcher);
    return untilEmpty(this.#place, target, deadlineMs, watcher, inspect);
  }

  async status(): Promise<LabStatus | 'starting' | undefined> {
    const lab = findLab(this.#place);
    if (!lab) return undefined;
    if (lab.state.phase === 'starting') return isAlive(lab.state.startedBy) ? 'starting' : undefined;
    const { statusOf } = await import('./lab-status.ts');
    return statusOf(lab);
  }

  async trace(client: string): Promise<{ trace?: Trace; why: string }> {
    const lab = requireLab(this.#place);
    const { traceIn } = await import('./trace.ts');
    return traceIn(lab, client);
  }

  database(): DatabaseAddress {
    const { place, topology } = requireLab(this.#place);
    const [host] = hostsOf(topology, 'db');
    if (!host) {
      throw new LabError(
        'usage',
        'the lab that is up serves no webmail, so there are no accounts; one that does: ./resplice up',
      );
    }
    return {
      host: dataDirectoryOf(place, host.name),
      user: mailDatabase.role,
      database: mailDatabase.name,
    };
  }

  async webmailStatus(): Promise<WebmailStatus | null> {
    const lab = requireLab(this.#place);
    const { webmailStatusOf } = await import('./webmail-status.ts');
    return webmailStatusOf(lab);
  }

  isThere(): boolean {
    return findLab(this.#place) !== undefined;
  }

  logs(target?: string): readonly LogFile[] {
    const lab = findLab(this.#place);
    if (!lab) throw notUp();
    const targets = target ? [requireTarget(lab, target)] : wholeLab(lab);
    return targets.flatMap(({ host, process }) =>
      (process ? [process] : host.processes).map(({ name }) => ({
        component: host.name,
        process: name,
        path: processFilesOf(this.#place, host.name, name).log,
      })),
    );
  }

  async access(component: string): Promise<Access> {
    const { place, topology, state } = requireLab(this.#place);
    const host = requireHost({ place, topology, state }, component);
    const daemons = host.processes.filter(({ kind }) => kind === 'daemon');
    return {
      namespace: netnsPathOf(place, component),
      adminSockets: Object.fromEntries(
        daemons.map(({ name }) => [name, processFilesOf(place, component, name).socket]),
      ),
      pids: Object.values(state.processes[component] ?? {}).map(({ pid }) => pid),
    };
  }

  #context({ place, topology, state }: Lab): LaunchContext {
    return { place, topology, programs: this.#programs, backendCommand: state.backendCommand };
  }

  #change<T>(work: (lab: Lab) => Promise<T>): Promise<T> {
    return withLabLock(this.#place, async () => work(requireLab(this.#place)));
  }

  async #waitUntilHealthy(deadlineMs: number, { signal, progress }: Watcher): Promise<void> {
    // Faults must take effect fast: what only waiting needs (an HTTP client) is loaded when there is time.
    const { waitUntilHealthy } = await import('./health.ts');
    await waitUntilHealthy(this.#place, {
      deadlineMs,
      signal,
      onWaiting: text => progress?.(`waiting: ${text}`),
    });
  }
}
