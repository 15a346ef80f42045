import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '@resplice/topology';
import { adminGet } from './admin-client.ts';
import { type ConfigStatus, readDaemonStatus } from './daemon-status.ts';
import { LabError } from './errors.ts';
import type { Lab } from './lab.ts';
import { processFilesOf } from './place.ts';
import { isAlive, isStopped, type ProcessIdentity, processEntry } from './process-table.ts';

const pollMs = 20;

export interface FollowOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Has every running daemon take its written configuration over, and waits until they have.
 *
 * @returns those that do not run now, or are stopped: they take it over when they go on, `proxy-2/proxy`
 * @throws LabError unhealthy when one refuses or does not get done; interrupted
 */
export function followConfigs(lab: Lab, options: FollowOptions): Promise<string[]> {
  const deadline = Date.now() + options.deadlineMs;
  return inWaves(lab, host => followOn(lab, host, deadline, options.signal));
}

/** @param follow has a host's daemons do it; each names itself if it does so later only. @returns these */
export async function inWaves(
  { topology: { hosts } }: Lab,
  follow: (host: Host) => readonly Promise<string | undefined>[],
): Promise<string[]> {
  // Balancers last: whom they send to a new listener must find it on any proxy, and its rules at the logger.
  const balancers = hosts.filter(({ role }) => role === 'lb');
  const loggers = hosts.filter(({ role }) => role === 'logger');
  const others = hosts.filter(host => !balancers.includes(host) && !loggers.includes(host));
  const later: string[] = [];
  for (const wave of [others, loggers, balancers]) {
    const outcomes = await Promise.all(wave.flatMap(follow));
    later.push(...outcomes.filter(each => each !== undefined));
  }
  return later;
}

function followOn(
  lab: Lab,
  host: Host,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<string | undefined>[] {
  return host.processes
    .filter(({ kind }) => kind === 'daemon')
    .map(({ name }) => {
      const identity = lab.state.processes[host.name]?.[name];
      const { config, socket } = processFilesOf(lab.place, host.name, name);
      return follow({ name: `${host.name}/${name}`, identity, config, socket, deadline, signal });
    });
}

/** Whether the daemon follows the configuration of that hash. @throws LabError unhealthy when it refuses to */
export function hasTaken(name: string, status: ConfigStatus | undefined, wanted: string): boolean {
  if (status?.refused?.sha256 === wanted)
    throw new LabError('unhealthy', `${name} refuses its new configuration`, {
      details: status.refused.problems,
    });
  return status?.sha256 === wanted;
}

interface Follower {
  readonly name: string;
  readonly identity: ProcessIdentity | undefined;
  /** The file that it is to follow. */
  readonly config: string;
  readonly socket: string;
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** @returns its name if it takes the configuration over only later */
async function follow(follower: Follower): Promise<string | undefined> {
  const { name, identity, config, socket, deadline, signal } = follower;
  let told: string | undefined;
  while (Date.now() < deadline) {
    if (signal?.aborted) throw new LabError('interrupted', `interrupted while waiting for ${name}`);
    if (!identity || !isAlive(identity)) return name;
    const entry = processEntry(identity.pid);
    if (entry && isStopped(entry)) {
      // It gets the signal when it is thawed.
      process.kill(identity.pid, 'SIGHUP');
      return name;
    }
    // Each time anew: somebody else may have written a newer one meanwhile.
    const wanted = createHash('sha256').update(readFileSync(config)).digest('hex');
    const status = await adminGet(socket, '/status', 1000).then(
      ({ body }) => readDaemonStatus(body).config,
      // Starting: it has no signal handler yet, and reads the file in any case.
      () => undefined,
    );
    if (hasTaken(name, status, wanted)) return undefined;
    if (status && told !== wanted) {
      process.kill(identity.pid, 'SIGHUP');
      told = wanted;
    }
    await delay(pollMs);
  }
  throw new LabError('unhealthy', `${name} does not take its new configuration over`);
}
