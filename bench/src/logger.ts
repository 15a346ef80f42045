import { get } from '@resplice/e2e/fixtures/admin.ts';
import { parseMetrics } from '@resplice/e2e/fixtures/prometheus.ts';
import type { Place } from '@resplice/engines';

/** What the front-end logger has counted since it was started, and what it has taken for that. */
export interface LoggerReading {
  readonly transactions: number;
  /** That are open. */
  readonly connections: number;
  /** Packets that were dropped because the ring was full, of both directions. */
  readonly drops: number;
  /** Packets and connections that passed without being logged, and requests that were too long to be kept. */
  readonly unprotected: number;
  /** CPU time of its process, all threads, in user space and in the kernel on its behalf, seconds. */
  readonly userSeconds: number;
  readonly systemSeconds: number;
  /** Resident memory of its process, bytes. */
  readonly residentBytes: number;
}

const PREFIX = 'resplice_front_';
const drops = ['middle_ring_full', 'back_ring_full'];
const unlogged = ['middle_no_room', 'middle_unattended', 'back_unattended'];
const unkept = ['unprotected', 'requests_too_long', 'evicted'];

/** @param text a logger's /metrics @throws Error when something that is looked for is not there */
export function readingIn(text: string): LoggerReading {
  const samples = parseMetrics(text);
  const value = (name: string, label?: readonly [string, string]): number => {
    const found = samples.find(each => each.name === name && (!label || each.labels[label[0]] === label[1]));
    if (!found) throw new Error(`the logger's metrics have no ${name}${label ? ` of ${label[1]}` : ''}`);
    return found.value;
  };
  const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0);
  const packets = (exits: readonly string[]) =>
    sum(exits.map(exit => value(`${PREFIX}packets_total`, ['exit', exit])));
  const events = (names: readonly string[]) =>
    sum(names.map(event => value(`${PREFIX}events_total`, ['event', event])));
  return {
    transactions: events(['transactions']),
    connections: value(`${PREFIX}connections`),
    drops: packets(drops),
    unprotected: packets(unlogged) + events(unkept),
    userSeconds: value('process_cpu_user_seconds_total'),
    systemSeconds: value('process_cpu_system_seconds_total'),
    residentBytes: value('process_resident_memory_bytes'),
  };
}

/** Asks a lab's front-end logger. @throws Error when it does not answer */
export async function readLogger(place: Place): Promise<LoggerReading> {
  const { status, body } = await get('logger-1', 'logger', '/metrics', place);
  if (status !== 200) throw new Error(`the logger's metrics: ${status}\n${body}`);
  return readingIn(body);
}

/** What lies between two readings; of memory and connections the later one. */
export function between(before: LoggerReading, after: LoggerReading): LoggerReading {
  return {
    transactions: after.transactions - before.transactions,
    connections: after.connections,
    drops: after.drops - before.drops,
    unprotected: after.unprotected - before.unprotected,
    userSeconds: after.userSeconds - before.userSeconds,
    systemSeconds: after.systemSeconds - before.systemSeconds,
    residentBytes: after.residentBytes,
  };
}
