import type { Arm, ClientLink, SteeringMode } from '@resplice/topology';
import type { BackendCommand, SiteFile } from './lab-state.ts';
import type { LabStatus } from './lab-status.ts';
import type { Trace } from './trace.ts';
import type { WebmailStatus } from './webmail-status.ts';

export interface UpOptions {
  readonly proxies: number;
  readonly backends: number;
  /** `hash` if absent. */
  readonly steering?: SteeringMode;
  /** `resplice` if absent. */
  readonly arm?: Arm;
  /** Whether back ends are given what the kit needs; true if absent. */
  readonly kit?: boolean;
  /** The client's; `lan` if absent. */
  readonly link?: ClientLink;
  /** Null: a site of ours. */
  readonly backendCommand: BackendCommand | null;
  /** What back ends serve without a command: the webmail, with what it needs behind it, or the demo site; `demo` if absent. */
  readonly site?: 'webmail' | 'demo';
  /** Listeners, pools and limits; one listener and a pool of all back ends if absent. */
  readonly siteFile?: SiteFile | undefined;
}

/** How a caller follows a long operation, and stops it. */
export interface Watcher {
  readonly signal?: AbortSignal;
  /** One line for people. */
  readonly progress?: (line: string) => void;
}

export interface FaultReport {
  readonly kind: 'crash' | 'cut' | 'freeze' | 'isolate' | 'restart' | 'heal';
  /** Null: the whole lab was healed. */
  readonly target: string | null;
  /** Of `isolate`: the other one. */
  readonly from?: string;
  /** Of `freeze`: the point at which the target will stop itself; `at` is when that was settled. */
  readonly point?: string;
  /** Epoch milliseconds when the fault had taken effect; of a restart its crash, of a heal the last thing undone. */
  readonly at: number;
  /** Epoch milliseconds when everything was found healthy again, of a restart or heal. */
  readonly healthyAt?: number;
}

export interface DrainReport {
  readonly kind: 'drain';
  readonly target: string;
  /** Epoch milliseconds when everybody knew. */
  readonly at: number;
  /** Epoch milliseconds when nothing was left; null: the time was over before. */
  readonly emptyAt: number | null;
  /** Connections that are left. */
  readonly connections: number;
  /** Of these, what cannot be moved and is waited for until it ends. */
  readonly unprotected: number;
}

export interface Deployment {
  readonly arm: Arm;
  readonly backends: readonly string[];
  /** The `resplice.yaml` that it follows; null: none. */
  readonly siteFile: string | null;
}

export interface ReloadReport {
  readonly file: string;
  /** Epoch milliseconds when every running daemon followed it. */
  readonly at: number;
  /** Daemons that do not run now and follow it from their next start on: `proxy-2/proxy`. */
  readonly later: readonly string[];
  /** What takes effect at the next `up` only, a sentence each. */
  readonly notes: readonly string[];
}

/** How programs on this machine reach the webmail's database: `pg` takes it. Root alone gets in. */
export interface DatabaseAddress {
  /** Directory of its Unix socket. */
  readonly host: string;
  readonly user: string;
  readonly database: string;
}

export interface LogFile {
  readonly component: string;
  readonly process: string;
  readonly path: string;
}

/** A log that somebody else keeps. */
export interface LogCommand extends Omit<LogFile, 'path'> {
  /** The command line that shows it, and goes on with what is written. */
  readonly command: (follow: boolean) => readonly [string, ...string[]];
}

export type LogSource = LogFile | LogCommand;

/** How programs on this machine get at a component. */
export interface Access {
  /** Path of its network namespace. */
  readonly namespace: string;
  /** Of its daemons that run, by process. */
  readonly adminSockets: Readonly<Record<string, string>>;
  /** What the lab has started there, and has not seen end. */
  readonly pids: readonly number[];
}

/** The webmail's, where they are not reached by {@link Engine.database}. */
export interface MailAccounts {
  /** @returns how they are told to people */
  addDemo(): Promise<string>;
  /** @throws LabError usage when there is such an account already */
  add(account: { readonly address: string; readonly name: string; readonly password: string }): Promise<void>;
}

/** Network namespaces of this machine, or containers of an engine that runs on it. */
export type EngineName = 'netns' | 'compose';

/**
 * A way to build the lab on a machine. Nothing stays resident: every call finds the lab as it is.
 * Targets are `COMPONENT` or `COMPONENT/PROCESS`. All calls but `up` and `down` throw a LabError `not-up` when there
 * is no lab, and one of `usage` when they are asked for something that does not exist.
 */
export interface Engine {
  readonly name: EngineName;
  /**
   * Builds the lab and returns once it is healthy; otherwise takes it down again and throws:
   * LabError already-up, capability, unhealthy (after 60 s, or at once when a daemon has died), interrupted.
   */
  up(options: UpOptions, watcher?: Watcher): Promise<void>;
  /** Leaves nothing behind, whatever it finds. @returns false when there was nothing */
  down(): Promise<boolean>;
  /** The command line that runs `command` in the component's place. */
  commandIn(component: string, command: readonly string[]): readonly [string, ...string[]];
  crash(target: string): Promise<FaultReport>;
  cut(target: string): Promise<FaultReport>;
  /** SIGSTOP; the kernel goes on. @throws LabError usage when nothing runs that could be stopped */
  freeze(target: string): Promise<FaultReport>;
  /**
   * Has a proxy stop itself (SIGSTOP) when its next set-up reaches that point, or the webmail when its next letter does; returns
   * at once.
   * @throws LabError usage unless it is a proxy or a back end of the webmail's, and a point of its own
   */
  freezeAt(target: string, point: string): Promise<FaultReport>;
  /** The two components hear each other no more. @throws LabError usage unless they share a network */
  isolate(target: string, from: string): Promise<FaultReport>;
  /** Returns when healthy. @throws LabError unhealthy after 30 s */
  restart(target: string, watcher?: Watcher): Promise<FaultReport>;
  /** Undoes every fault of the target, or of all; returns when healthy. @throws LabError unhealthy after 30 s */
  heal(target?: string, watcher?: Watcher): Promise<FaultReport>;
  /**
   * Has a back end's connections move to others, each when nothing is under way, or a proxy's packets take other proxies; returns when
   * nothing is left, or the time is over. It stays out until it is healed.
   * @throws LabError usage unless it is a proxy or back end, and not the last one that is sound; interrupted
   */
  drain(target: string, deadlineMs: number, watcher?: Watcher): Promise<DrainReport>;
  deployment(): Deployment;
  /**
   * Has all daemons follow another site without a restart; connections stay where they are.
   * @throws LabError unhealthy when a daemon refuses, or has not done it after 10 s
   */
  reload(siteFile: SiteFile, watcher?: Watcher): Promise<ReloadReport>;
  /**
   * What happened to a client's connection: `address:port`, or an address for its newest one. Without one, `why` says so.
   * @throws LabError usage when that is no address, or there is no logger; unhealthy when the logger does not answer
   */
  trace(client: string): Promise<{ trace?: Trace; why: string }>;
  /** Undefined when no lab is up, `starting` while one is on its way. */
  status(): Promise<LabStatus | 'starting' | undefined>;
  /** @throws LabError usage when the lab does not serve the webmail */
  database(): DatabaseAddress;
  /** Where {@link database} cannot be. @throws LabError usage when the lab does not serve the webmail */
  accounts?(): MailAccounts;
  /** What is kept for the webmail's back ends; null: nobody serves it here, or without a kit. Asking takes a process for each. */
  webmailStatus(): Promise<WebmailStatus | null>;
  /** Is there a lab, be it on its way? Cheap. */
  isThere(): boolean;
  /** The logs of a target, or of all; a file need not exist yet. */
  logs(target?: string): readonly LogSource[];
  /** @throws LabError unhealthy when it is not there */
  access(component: string): Promise<Access>;
}
