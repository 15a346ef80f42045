import { readdirSync, readFileSync, readlinkSync, statfsSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A process for certain: pids are used again, a pid with its start time is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTime: number;
}

export interface ProcessEntry extends ProcessIdentity {
  readonly name: string;
  /** `Z` and `X` are the dead whose parent has not looked yet. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
}

/** @param file the `stat` of a process or of a thread */
function entryIn(file: string, pid: number): ProcessEntry | undefined {
  let stat: string;
  try {
    stat = readFileSync(file, 'latin1');
  } catch {
    return undefined;
  }
  // The name may hold spaces and parentheses: the fields start behind the last one.
  const end = stat.lastIndexOf(')');
  const fields = stat.slice(end + 2).split(' ');
  return {
    pid,
    name: stat.slice(stat.indexOf('(') + 1, end),
    state: fields[0]!,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTime: Number(fields[19]),
  };
}

export function processEntry(pid: number): ProcessEntry | undefined {
  return entryIn(`/proc/${pid}/stat`, pid);
}

/** Stopped by a signal. */
export function isStopped({ state }: ProcessEntry): boolean {
  return state === 'T';
}

function hasEnded({ state }: ProcessEntry): boolean {
  return state === 'Z' || state === 'X';
}

/** The threads of a process, as far as they can be looked at; none once it is reaped. */
function threadsOf(pid: number): ProcessEntry[] {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
  return threads
    .map(thread => entryIn(`/proc/${pid}/task/${thread}/stat`, Number(thread)))
    .filter(entry => entry !== undefined);
}

/** The first thread dies first as a rule, and until the last one is gone the sockets are open. */
export function isDead(entry: ProcessEntry): boolean {
  return hasEnded(entry) && threadsOf(entry.pid).every(hasEnded);
}

export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  const entry = processEntry(pid);
  return entry !== undefined && entry.startTime === startTime && !isDead(entry);
}

const signalDeadlineMs = 5000;

/**
 * Returns once a process is dead whose first thread has ended, at once if that has not. Between the two it counts as alive, but
 * nothing saves it.
 * @throws when threads of it live on for 5 s, which only those stuck in the kernel do
 */
export async function outlive(identity: ProcessIdentity): Promise<void> {
  const isDying = (): boolean => {
    const entry = processEntry(identity.pid);
    return entry !== undefined && hasEnded(entry) && isAlive(identity);
  };
  for (const deadline = Date.now() + signalDeadlineMs; isDying(); await delay(1)) {
    if (Date.now() > deadline) throw new Error(`process ${identity.pid} has been ending for 5 s`);
  }
}

function pids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

export function livingProcesses(): ProcessEntry[] {
  return pids()
    .map(processEntry)
    .filter(entry => entry !== undefined)
    .filter(entry => !isDead(entry));
}

const nsfsMagic = 0x6e_73_66_73;

/** The inode of a named network namespace; undefined for a half-made one, whose file nothing is mounted on. */
export function namespaceInode(path: string): number | undefined {
  try {
    return statfsSync(path).type === nsfsMagic ? statSync(path).ino : undefined;
  } catch {
    return undefined;
  }
}

/** @param process a pid, `self`, or a thread as `pid/task/thread` */
function networkOf(process: number | string): string | undefined {
  try {
    return readlinkSync(`/proc/${process}/ns/net`);
  } catch {
    // Dead, or not ours to look at.
    return undefined;
  }
}

/** Of a process whose first thread has ended the others tell, as long as one of them is left. */
function networksOf(pid: number): (string | undefined)[] {
  const own = networkOf(pid);
  return own === undefined ? threadsOf(pid).map(thread => networkOf(`${pid}/task/${thread.pid}`)) : [own];
}

/** The dead have no namespace any more, so they are never listed. Ourselves neither. */
export function pidsInNamespaces(inodes: ReadonlySet<number>): number[] {
  const links = new Set([...inodes].map(inode => `net:[${inode}]`));
  // Should such a name ever be bound to the machine's own network, everything would be "inside" it.
  for (const ours of ['self', 1] as const) links.delete(networkOf(ours) ?? '');
  if (links.size === 0) return [];
  return pids().filter(pid => pid !== process.pid && networksOf(pid).some(link => links.has(link ?? '')));
}

function send(signal: NodeJS.Signals, pid: number): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * SIGKILL to everything that `list` names, again until it names nothing (a process may fork while we look), and until all that was
 * killed is dead: one that is ending has left its namespaces a moment before.
 * @throws when something survives for 5 s, which only a process stuck in the kernel does
 */
export async function killUntilGone(list: () => readonly number[]): Promise<void> {
  const deadline = Date.now() + signalDeadlineMs;
  const killed = new Map<number, ProcessIdentity>();
  const living = () => [...killed.values()].filter(isAlive).map(({ pid }) => pid);
  for (let left = list(); left.length > 0; left = [...list(), ...living()]) {
    for (const pid of left) {
      const entry = processEntry(pid);
      if (entry) killed.set(pid, entry);
      send('SIGKILL', pid);
    }
    if (Date.now() > deadline) throw new Error(`processes survive SIGKILL: ${left.join(' ')}`);
    await delay(1);
  }
}

export function killNamespaces(inodes: ReadonlySet<number>): Promise<void> {
  return killUntilGone(() => pidsInNamespaces(inodes));
}

/** Everything that a process we started has made: its group, its session, and its descendants. */
function familyOf(leader: number, entries: readonly ProcessEntry[]): ProcessEntry[] {
  const family = new Set([leader]);
  for (let before = 0; before < family.size; ) {
    before = family.size;
    for (const { pid, parent, group, session } of entries) {
      if (family.has(parent) || family.has(group) || family.has(session)) family.add(pid);
    }
  }
  return entries.filter(entry => family.has(entry.pid));
}

/** Who lives of the families of these session leaders. */
export function livingFamilies(leaders: readonly ProcessIdentity[]): ProcessEntry[] {
  const entries = livingProcesses();
  return leaders.filter(isAlive).flatMap(({ pid }) => familyOf(pid, entries));
}

/** A process stops when each of its threads has: the first one may rest while another still answers. */
function isStill(pid: number): boolean {
  return threadsOf(pid).every(entry => hasEnded(entry) || isStopped(entry) || entry.state === 't');
}

/**
 * SIGSTOP to everything that `list` names, until all of it stands still.
 * Parents first: one that waits for its child's exec (vfork) would wait for ever if the child were stopped before it.
 * @throws when something moves for 5 s, which only a process stuck in the kernel does
 */
export async function stopUntilStill(list: () => readonly ProcessEntry[]): Promise<void> {
  const deadline = Date.now() + signalDeadlineMs;
  for (;;) {
    const moving = list().filter(({ pid }) => !isStill(pid));
    if (moving.length === 0) return;
    const pids = new Set(moving.map(each => each.pid));
    for (const { pid, parent } of moving) if (!pids.has(parent)) send('SIGSTOP', pid);
    if (Date.now() > deadline) throw new Error(`processes do not stop: ${[...pids].join(' ')}`);
    await delay(1);
  }
}

/** SIGCONT; who was not stopped does not notice. */
export function thaw(entries: readonly ProcessEntry[]): void {
  for (const { pid } of entries) send('SIGCONT', pid);
}

/** SIGKILL to a process that leads a session of its own, and to its family. */
export async function killFamily(leader: ProcessIdentity): Promise<void> {
  if (!isAlive(leader)) return;
  // Who fled into another session is known by its parent alone, so look before the parent dies.
  const seen = familyOf(leader.pid, livingProcesses());
  // At once and together: a keeper must not see its child die and start another.
  send('SIGKILL', -leader.pid);
  await killUntilGone(() =>
    [...seen.filter(isAlive), ...familyOf(leader.pid, livingProcesses())].map(entry => entry.pid),
  );
}
