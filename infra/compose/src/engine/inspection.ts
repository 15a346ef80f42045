// What runs of a deployment, and what its daemons say.

import {
  askDaemon,
  type HostInspection,
  isStopped,
  livingProcesses,
  type ProcessEntry,
  type ProcessInspection,
} from '@resplice/engines/lab';
import type { Host, HostProcess } from '@resplice/topology';
import { adminSocket } from '../paths.ts';
import { type Project, type SeenContainer, serviceOf, servicesOf } from './project.ts';

/** A file in a container, as its machine finds it while the container runs. */
export function fileIn({ State }: SeenContainer, path: string): string {
  return `/proc/${State.Pid}/root${path}`;
}

/** What a container's first process has started and a signal has stopped. */
export function stoppedIn({ State }: SeenContainer): ProcessEntry[] {
  return livingProcesses().filter(entry => entry.parent === State.Pid && isStopped(entry));
}

function reasonOf({ State }: SeenContainer): string | undefined {
  const health = State.Health?.Status;
  return health === undefined || health === 'healthy' ? undefined : `not healthy: ${health}`;
}

function inspectProcess(process: HostProcess, seen: SeenContainer | undefined): Promise<ProcessInspection> {
  if (!seen?.State.Running) {
    const none = { process, pid: undefined, gone: true, reason: 'not running', status: undefined };
    return Promise.resolve(none);
  }
  const pid = seen.State.Pid;
  if (seen.State.Paused || stoppedIn(seen).length > 0)
    return Promise.resolve({ process, pid, gone: false, reason: 'stopped', status: undefined });
  if (process.kind === 'daemon') return askDaemon(process, pid, fileIn(seen, adminSocket));
  return Promise.resolve({ process, pid, gone: false, reason: reasonOf(seen), status: undefined });
}

export async function inspectHosts(project: Project, hosts: readonly Host[]): Promise<HostInspection[]> {
  const seen = await project.inspect(hosts.flatMap(servicesOf));
  return Promise.all(
    hosts.map(async host => ({
      host,
      processes: await Promise.all(
        host.processes.map(process => inspectProcess(process, seen.get(serviceOf(host, process.name)))),
      ),
    })),
  );
}
