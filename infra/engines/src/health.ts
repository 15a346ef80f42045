import { setTimeout as delay } from 'node:timers/promises';
import { type ClientLink, carriersOf, type Role, urlOf } from '@resplice/topology';
import { command } from './command.ts';
import { LabError, notUp } from './errors.ts';
import { type HostInspection, inspect } from './inspection.ts';
import { findLab, type Lab } from './lab.ts';
import { isFaulted } from './lab-state.ts';
import { lastLines } from './log-tail.ts';
import { netnsPathOf, type Place, processFilesOf } from './place.ts';

export interface Problem {
  readonly component: string;
  readonly process: string | undefined;
  readonly reason: string;
  /** Waiting will not help. */
  readonly final: boolean;
}

/** One sentence; those with the same reason share it. */
export function textOf(problems: readonly Problem[]): string {
  const byReason = new Map<string, string[]>();
  for (const { component, process, reason } of problems) {
    const name = process ? `${component}/${process}` : component;
    byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  }
  return [...byReason].map(([reason, names]) => `${names.join(', ')}: ${reason}`).join('; ');
}

function sound(lab: Lab, role: Role): string[] {
  return carriersOf(lab.topology, role)
    .map(host => host.name)
    .filter(name => !isFaulted(lab.state, name));
}

/** Those that are sound but that this process does not yet (or no longer) count on. */
function unnoticed(lab: Lab, { host, processes }: HostInspection): Problem[] {
  // The proxies see the back ends through it.
  const wayBack = sound(lab, 'logger').length > 0;
  return processes.flatMap(({ process, status }) => {
    if (!status) return [];
    const missing = (role: Role, known: readonly string[], what: string): Problem[] =>
      sound(lab, role)
        .filter(name => name !== host.name && !known.includes(name))
        .map(name => ({
          component: host.name,
          process: process.name,
          reason: `does not yet ${what} ${name}`,
          final: false,
        }));
    const up = status.backends.filter(each => each.up).map(each => each.name);
    const live = status.peers.filter(each => each.live).map(each => each.name);
    return [
      ...(status.table ? missing('proxy', status.table.live, 'use') : []),
      ...(wayBack && status.backends.length > 0 ? missing('backend', up, 'see') : []),
      ...(status.peers.length > 0 ? missing('proxy', live, 'see') : []),
    ];
  });
}

/** What keeps the sound part of the lab from being healthy; components under a fault are not asked. */
export async function problemsOf(lab: Lab): Promise<Problem[]> {
  const hosts = lab.topology.hosts.filter(host => !isFaulted(lab.state, host.name));
  const problems = problemsAmong(lab, await inspect(lab, hosts));
  return problems.length > 0 ? problems : frontDoorProblem(lab);
}

/** What these say of themselves, or else of each other. @param inspections of components that are under no fault */
export function problemsAmong(lab: Lab, inspections: readonly HostInspection[]): Problem[] {
  const own = inspections.flatMap(({ host, processes }) =>
    processes
      .filter(each => each.reason !== undefined)
      .map(({ process, reason, gone }) => ({
        component: host.name,
        process: process.name,
        reason: reason!,
        final: gone,
      })),
  );
  return own.length > 0 ? own : inspections.flatMap(inspection => unnoticed(lab, inspection));
}

const patienceMs = 3000;
/** Room for a small page, its connection's set-up and what is lost of it. */
const pageBytes = 50_000;
const pageRoundTrips = 6;

/** How long a sound lab may take to serve a page over this link, s. */
function patience({ rttMs, rateMbit, lossPercent }: ClientLink): number {
  const transferMs = rateMbit === null ? 0 : (pageBytes * 8) / (rateMbit * 1000);
  const lossMs = lossPercent > 0 ? patienceMs : 0;
  return (patienceMs + lossMs + pageRoundTrips * rttMs + transferMs) / 1000;
}

/** Is `GET /` through each listener of the VIP answered in the client's place? Only asked when somebody could answer. */
async function frontDoorProblem(lab: Lab): Promise<Problem[]> {
  const needed = new Set(lab.topology.hosts.map(host => host.role));
  // A page that needs nobody's mailbox is served without these.
  for (const role of ['auxlogger', 'smtp', 'db'] as const) needed.delete(role);
  if ([...needed].some(role => sound(lab, role).length === 0)) return [];
  const found = await Promise.all(
    lab.topology.rules.listeners.map(({ port }) => listenerProblem(lab, urlOf(port))),
  );
  return found.flat();
}

async function listenerProblem(lab: Lab, url: string): Promise<Problem[]> {
  const seconds = patience(lab.topology.link).toFixed(1);
  const { code, stdout, stderr } = await command(
    'nsenter',
    [
      `--net=${netnsPathOf(lab.place, 'client-1')}`,
      '--',
      'curl',
      ...['-sS', '--noproxy', '*', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', seconds, url],
    ],
    { anyExit: true },
  );
  const status = Number(stdout);
  if (code === 0 && status >= 100 && status < 500) return [];
  const reason = code === 0 ? `answered ${status}` : `no answer, ${stderr.trim()}`;
  return [{ component: `GET ${url} from client-1`, process: undefined, reason, final: false }];
}

function logLines({ place }: Lab, { component, process }: Problem): string[] {
  if (!process) return [];
  return lastLines(processFilesOf(place, component, process).log, 10).map(
    line => `${component}/${process} | ${line}`,
  );
}

export interface HealthWait {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with what is still waited for, whenever that changes. */
  readonly onWaiting?: ((text: string) => void) | undefined;
}

const pollMs = 50;

/** @throws LabError unhealthy, with the reasons and the last log lines of what was not; not-up when the lab goes away */
export async function waitUntilHealthy(
  place: Place,
  { deadlineMs, signal, onWaiting }: HealthWait,
): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  let told = '';
  for (;;) {
    if (signal?.aborted)
      throw new LabError('interrupted', `interrupted while waiting: ${told || 'nothing seen yet'}`);
    const lab = findLab(place);
    if (!lab) throw notUp();
    const problems = await problemsOf(lab);
    if (problems.length === 0) return;
    const text = textOf(problems);
    const dead = problems.filter(each => each.final);
    if (dead.length > 0 || Date.now() > deadline) {
      // The others are unready for want of the dead: their words would only hide its last ones.
      const culprits = dead.length > 0 ? dead : problems;
      const when = dead.length > 0 ? '' : ` after ${deadlineMs / 1000} s`;
      throw new LabError('unhealthy', `not healthy${when}: ${textOf(culprits)}`, {
        details: culprits.flatMap(each => logLines(lab, each)),
      });
    }
    if (text !== told) onWaiting?.(text);
    told = text;
    await delay(pollMs);
  }
}
