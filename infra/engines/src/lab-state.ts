import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Site } from '@resplice/site-config';
import {
  type Arm,
  buildTopology,
  lan,
  parseLink,
  type SteeringMode,
  type Topology,
} from '@resplice/topology';
import type { EngineName } from './engine.ts';
import type { Place } from './place.ts';
import type { ProcessIdentity } from './process-table.ts';

/** The user's own command, with all that it needs to be started again from another shell. */
export interface BackendCommand {
  readonly command: string;
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** What a lab follows: a checked `resplice.yaml`. */
export interface SiteFile {
  /** Absolute. */
  readonly file: string;
  readonly rules: Site;
}

export interface Fault {
  /** `drain` is none, but is done to a component and undone like one: it is to be empty. */
  readonly kind: 'crash' | 'cut' | 'freeze' | 'isolate' | 'drain';
  /** `proxy-1` or `proxy-1/proxy` */
  readonly target: string;
  /** Of `isolate`: the component that the target and it hear no more of each other. */
  readonly from?: string;
  /** Of `freeze`: the point of a set-up at which the process stops itself, when one gets there. */
  readonly point?: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** What `lab.json` remembers between two CLI calls; nothing of the lab stays resident. */
export interface LabState {
  readonly version: 1;
  /** `starting` until the lab was healthy for the first time. */
  phase: 'starting' | 'up';
  /** Who is bringing it up. */
  readonly startedBy: ProcessIdentity;
  readonly startedAt: number;
  proxies: number;
  backends: number;
  /** While it is made one of other numbers: the most of each of which something may be there. */
  scaling?: { readonly proxies: number; readonly backends: number } | undefined;
  /** `netns` if absent. */
  readonly engine?: EngineName;
  readonly steering?: SteeringMode;
  readonly arm?: Arm;
  /** True if absent. */
  readonly kit?: boolean;
  /** As `up --link` takes it; `lan` if absent. */
  readonly link?: string;
  readonly backendCommand: BackendCommand | null;
  /** What back ends serve without a command; `demo` if absent. */
  readonly site?: 'webmail' | 'demo';
  /** Absent: the plain site. */
  siteFile?: SiteFile | undefined;
  /** component → process → who was started last; it may be dead. */
  processes: Record<string, Record<string, ProcessIdentity>>;
  faults: Fault[];
}

export function topologyOf({
  proxies,
  backends,
  engine = 'netns',
  steering = 'hash',
  arm = 'resplice',
  kit = true,
  link = lan.name,
  backendCommand,
  site: own = 'demo',
  siteFile,
  faults,
}: LabState): Topology {
  const site = backendCommand ? 'command' : own;
  const rules = siteFile?.rules;
  const drained = drainedOf(faults);
  // Containers publish an address that one of them holds.
  const vip = engine === 'compose' ? 'balancer' : 'apart';
  return buildTopology({
    proxies,
    backends,
    steering,
    arm,
    kit,
    link: parseLink(link),
    site,
    rules,
    drained,
    vip,
  });
}

/** Names of the components that are to be empty. */
export function drainedOf(faults: readonly Fault[]): string[] {
  return faults.filter(({ kind }) => kind === 'drain').map(({ target }) => target);
}

/** Undefined when there is no lab, or none that this version can read. */
export function readLabState({ labFile }: Place): LabState | undefined {
  try {
    const state = JSON.parse(readFileSync(labFile, 'utf8')) as LabState;
    return state.version === 1 ? state : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Call it under the lab's lock. Readers need none: they see the old file or the new one, never a half. */
export function writeLabState({ labFile }: Place, state: LabState): void {
  const next = `${labFile}.next`;
  // The back-end command's environment may hold secrets.
  writeFileSync(next, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(next, labFile);
}

export function componentOf(target: string): string {
  return target.split('/', 1)[0]!;
}

/** Any fault on the component or on one of its processes. */
export function isFaulted({ faults }: LabState, component: string): boolean {
  return faults.some(fault => isWithin(fault, component));
}

/** Is it a fault of this target, or of a process of this component? */
export function isWithin(fault: Pick<Fault, 'target'>, target: string): boolean {
  return fault.target === target || fault.target.startsWith(`${target}/`);
}

export function hasFault({ faults }: LabState, kind: Fault['kind'], target: string): boolean {
  return faults.some(fault => fault.kind === kind && fault.target === target);
}
