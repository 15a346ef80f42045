import type { Host, HostProcess } from '@resplice/topology';
import { adminGet } from './admin-client.ts';
import { type DaemonStatus, readDaemonStatus } from './daemon-status.ts';
import type { Lab } from './lab.ts';
import { listensBeside } from './listening.ts';
import { processFilesOf } from './place.ts';
import { isAlive, isStopped, livingProcesses, type ProcessEntry, processEntry } from './process-table.ts';

export interface ProcessInspection {
  readonly process: HostProcess;
  /** Undefined when it does not run now. */
  readonly pid: number | undefined;
  /** What we started is dead, and nobody but `heal` or `restart` will start it again. */
  readonly gone: boolean;
  /** Why it is not ready; undefined when it is. */
  readonly reason: string | undefined;
  readonly status: DaemonStatus | undefined;
}

export interface HostInspection {
  readonly host: Host;
  readonly processes: readonly ProcessInspection[];
}

async function inspectDaemon(lab: Lab, host: Host, process: HostProcess): Promise<ProcessInspection> {
  const identity = lab.state.processes[host.name]?.[process.name];
  if (!identity || !isAlive(identity)) {
    return { process, pid: undefined, gone: true, reason: 'not running', status: undefined };
  }
  const { socket } = processFilesOf(lab.place, host.name, process.name);
  const entry = processEntry(identity.pid);
  // Its kernel would take our question, and nobody would answer.
  if (entry && isStopped(entry))
    return { process, pid: identity.pid, gone: false, reason: 'stopped', status: undefined };
  return askDaemon(process, identity.pid, socket);
}

/** What a daemon that runs says of itself. @param socket its administrator's */
export async function askDaemon(
  process: HostProcess,
  pid: number,
  socket: string,
): Promise<ProcessInspection> {
  const found = { process, pid, gone: false };
  try {
    const status = readDaemonStatus((await adminGet(socket, '/status', 1000)).body);
    if (status.ready) return { ...found, reason: undefined, status };
    const { code, body } = await adminGet(socket, '/healthz', 1000);
    // It may have become ready between the two questions.
    if (code === 200) return { ...found, reason: undefined, status };
    const { reason } = body as { reason?: unknown };
    return { ...found, reason: `not ready: ${String(reason ?? 'no reason given')}`, status };
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'no admin socket yet' : `no answer (${code ?? name})`;
    return { ...found, reason: why, status: undefined };
  }
}

/** Whether it serves is for its responder to say, and for `GET /`. */
function inspectServer(lab: Lab, host: Host, process: HostProcess): ProcessInspection {
  const identity = lab.state.processes[host.name]?.[process.name];
  const entry = identity && isAlive(identity) ? processEntry(identity.pid) : undefined;
  const reason = entry ? (isStopped(entry) ? 'stopped' : undefined) : 'not running';
  return { process, pid: entry?.pid, gone: !entry, reason, status: undefined };
}

/** The application is the keeper's child; between two runs its place is held by `sleep`. */
function inspectSite(
  lab: Lab,
  host: Host,
  process: HostProcess,
  entries: readonly ProcessEntry[],
): ProcessInspection {
  const keeper = lab.state.processes[host.name]?.[process.name];
  const gone = !keeper || !isAlive(keeper);
  const child = gone
    ? undefined
    : entries.find(({ parent, name }) => parent === keeper.pid && name !== 'sleep');
  const missing = gone ? 'not running' : 'exited, to be started again';
  const reason = child ? (isStopped(child) ? 'stopped' : undefined) : missing;
  return { process, pid: child?.pid, gone, reason, status: undefined };
}

/** Ready when it listens: no agent is beside it that could tell. */
function inspectService(
  lab: Lab,
  host: Host,
  process: Extract<HostProcess, { kind: 'service' }>,
  entries: readonly ProcessEntry[],
): ProcessInspection {
  const found = inspectSite(lab, host, process, entries);
  if (found.reason !== undefined || found.pid === undefined) return found;
  return listensBeside(found.pid, process.port)
    ? found
    : { ...found, reason: `not listening on port ${process.port}` };
}

/** An agent knows whether the application behind it listens. */
function withAgentsWord(processes: readonly ProcessInspection[]): ProcessInspection[] {
  const silent = processes.some(({ status }) => status?.accepting === false);
  return processes.map(each =>
    silent && each.process.kind === 'site' && each.reason === undefined
      ? { ...each, reason: 'not accepting connections' }
      : each,
  );
}

/** Looks at every process of these hosts, at the same time. */
export async function inspect(
  lab: Lab,
  hosts: readonly Host[] = lab.topology.hosts,
): Promise<HostInspection[]> {
  const entries = livingProcesses();
  return Promise.all(
    hosts.map(async host => {
      const processes = await Promise.all(
        host.processes.map(process => {
          if (process.kind === 'daemon') return inspectDaemon(lab, host, process);
          if (process.kind === 'server') return inspectServer(lab, host, process);
          if (process.kind === 'service') return inspectService(lab, host, process, entries);
          return inspectSite(lab, host, process, entries);
        }),
      );
      return { host, processes: withAgentsWord(processes) };
    }),
  );
}
