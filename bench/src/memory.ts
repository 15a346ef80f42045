import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client, ClientConnection } from '@resplice/e2e/fixtures/client.ts';
import { Lab } from '@resplice/e2e/fixtures/lab.ts';
import { waitFor } from '@resplice/e2e/fixtures/wait.ts';
import { labPlace, processFilesOf, type Watcher } from '@resplice/engines';
import { readLogger } from './logger.ts';

/** What connections do while the logger's memory is looked at. */
export type Activity = 'idle' | 'waiting' | 'response';

export interface MemoryPoint {
  readonly activity: Activity;
  readonly connections: number;
  /** Of the logger's process, without what it shares with the kernel, bytes. */
  readonly bytes: number;
}

export interface MemoryFigures {
  /** The kernel's, for the logger's maps: all of it from the beginning, bytes. */
  readonly kernelBytes: number;
  /** How many connections these have room for. */
  readonly room: number;
  /** The first one is of no connections. */
  readonly points: readonly MemoryPoint[];
}

/** The client's and the sites' descriptors are limited to 20,000 each. */
const steps: readonly (readonly [Activity, number])[] = [
  ['idle', 0],
  ['idle', 5000],
  ['idle', 15_000],
  ['waiting', 5000],
  ['response', 5000],
];
/** So many at once are opened, or begin a request. */
const AT_ONCE = 250;
/** For garbage to be collected, and buffers to be given back, ms. */
const REST_MS = 3000;
/** Longer than all connections take to get there. */
const WAIT_MS = 60_000;
/** More of a response than is recorded; the rest waits for a client that does not read. */
const READ_BYTES = 100_000;
const RESPONSE_BYTES = 4_000_000;

/** Private memory of a process, bytes (proc(5), RssAnon). */
export function privateBytes(status: string): number {
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error('the status of a process has no RssAnon');
  return Number(kilobytes) * 1024;
}

/** What the kernel charges for the BPF maps among a process' descriptors, each once, bytes. @param infos of /proc/PID/fdinfo */
export function mapBytes(infos: readonly string[]): number {
  const byMap = new Map<string, number>();
  for (const info of infos) {
    const [id, locked] = [/^map_id:\s+(\d+)$/m.exec(info)?.[1], /^memlock:\s+(\d+)$/m.exec(info)?.[1]];
    if (id !== undefined && locked !== undefined) byMap.set(id, Number(locked));
  }
  return [...byMap.values()].reduce((sum, each) => sum + each, 0);
}

function infosOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fdinfo`).flatMap(fd => {
    try {
      return [readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')];
    } catch {
      // Closed since it was listed.
      return [];
    }
  });
}

async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < items.length; at += AT_ONCE) {
    await Promise.all(items.slice(at, at + AT_ONCE).map(work));
  }
}

async function open(client: Client, lab: Lab, count: number): Promise<ClientConnection[]> {
  const opened: ClientConnection[] = [];
  const options = { ...lab.site, bufferBytes: 8192 };
  await inTurns(Array.from({ length: count }), async () => {
    const connection = await client.connect(options);
    opened.push(connection);
    await connection.request({ path: '/whoami' }).done;
  });
  return opened;
}

/** Brings connections, each of which has been used before, to what they are to do. @returns what is under way */
async function begin(
  activity: Activity,
  connections: readonly ClientConnection[],
): Promise<Promise<unknown>[]> {
  const underWay: Promise<unknown>[] = [];
  await inTurns(activity === 'idle' ? [] : connections, async connection => {
    const path = activity === 'waiting' ? `/slow?ms=${WAIT_MS}` : `/bytes/${RESPONSE_BYTES}`;
    const transfer = connection.request({ path, deadlineMs: 2 * WAIT_MS });
    // It is broken off in the end.
    underWay.push(transfer.done.catch(() => {}));
    if (activity === 'waiting') return;
    await transfer.received(READ_BYTES);
    await connection.pause();
  });
  return underWay;
}

/**
 * Looks at the front-end logger's memory while it has so many connections, in a lab of its own for each step.
 *
 * @throws LabError when a lab does not come up
 */
export async function measureMemory(watcher: Watcher): Promise<MemoryFigures> {
  const points: MemoryPoint[] = [];
  let [kernelBytes, room] = [0, 0];
  for (const [activity, count] of steps) {
    watcher.signal?.throwIfAborted();
    watcher.progress?.(`memory of ${count} connections, ${activity}`);
    const lab = await Lab.up();
    try {
      const client = await lab.client();
      const connections = await open(client, lab, count);
      const underWay = await begin(activity, connections);
      await waitFor(`the logger to have ${count} connections`, 10_000, async () => {
        const { connections: has } = await readLogger(labPlace);
        return has >= count;
      });
      await delay(REST_MS);
      const pid = (await lab.component('logger-1')).processes.logger!;
      points.push({
        activity,
        connections: count,
        bytes: privateBytes(readFileSync(`/proc/${pid}/status`, 'utf8')),
      });
      kernelBytes = mapBytes(infosOf(pid));
      room = JSON.parse(
        readFileSync(processFilesOf(labPlace, 'logger-1', 'logger').config, 'utf8'),
      ).maxConnections;
      await client.stop();
      await Promise.race([Promise.all(underWay), delay(100)]);
    } finally {
      await lab.down();
    }
  }
  return { kernelBytes, room, points };
}
