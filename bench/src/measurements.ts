import type { Lab } from './field.ts';
import { withProcessorTime } from './processor-time.ts';
import { FLOWS, SMALL_BYTES } from './site.ts';
import { median, quantile } from './statistics.ts';
import { parseWrk } from './wrk.ts';

export interface Conditions {
  /** How long a measurement by time takes. */
  readonly seconds: number;
  /** Bytes of a bulk download. */
  readonly bulkBytes: number;
  /** CPU seconds a second that the machine works without load. */
  readonly idleRate: number;
}

/** Quantities of one measurement, in the units that `quantities` names. */
export type Values = Readonly<Record<string, number>>;

export interface Measurement {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** What it yields: name, unit, and whether more is better. */
  readonly quantities: readonly {
    readonly name: string;
    readonly unit: string;
    readonly better: 'more' | 'less';
  }[];
  measure(lab: Lab, conditions: Conditions): Promise<Values>;
}

/** Clients at once where requests or connections are counted. */
const CONNECTIONS = 32;
/** Requests a second at which latency is taken: far below what any arm can do. */
const MODERATE_RATE = 250;

async function wrk(lab: Lab, { seconds, idleRate }: Conditions, ...more: string[]): Promise<Values> {
  const run = () =>
    lab.inClient('wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, ...more, `${lab.url}/small`);
  const { result, cpuSeconds } = await withProcessorTime(idleRate, run);
  const { requests, requestsPerSecond, errors } = parseWrk(result);
  if (requests === 0) throw new Error(`wrk got no response:\n${result}`);
  return { rate: requestsPerSecond, cpu: (cpuSeconds / requests) * 1e6, errors: errors / requests };
}

/** @throws Error unless as many bytes as expected have come */
export function parseTransfers(output: string, bytes: number): number {
  const transfers = output
    .trim()
    .split('\n')
    .map(line => line.split(' ').map(Number));
  const received = transfers.reduce((sum, [size = 0]) => sum + size, 0);
  if (received !== bytes) throw new Error(`${received} bytes have come, not ${bytes}:\n${output}`);
  // All begin at once, so the slowest took as long as all.
  return Math.max(...transfers.map(([, seconds = Number.NaN]) => seconds));
}

async function download(lab: Lab, { bulkBytes, idleRate }: Conditions, flows: number): Promise<Values> {
  const urls = flows === 1 ? [`${lab.url}/bulk`] : [`${lab.url}/part?[1-${flows}]`];
  const run = () =>
    lab.inClient(
      'curl',
      ...['-sS', '-o', '/dev/null', '-w', '%{size_download} %{time_total}\\n'],
      ...(flows > 1 ? ['--parallel', '--parallel-immediate', '--parallel-max', String(flows)] : []),
      ...urls,
    );
  const { result, cpuSeconds } = await withProcessorTime(idleRate, run);
  const gigabytes = bulkBytes / 1e9;
  return { rate: gigabytes / parseTransfers(result, bulkBytes), cpu: cpuSeconds / gigabytes };
}

/** @returns microseconds, one for each request but the first, which opened the connection */
export function parseLatencies(output: string): number[] {
  const times = output
    .trim()
    .split('\n')
    .map(line => Number(line) * 1e6);
  if (times.length < 2 || times.some(Number.isNaN))
    throw new Error(`curl's times cannot be read:\n${output}`);
  return times.slice(1);
}

async function latency(lab: Lab, { seconds }: Conditions): Promise<Values> {
  const count = Math.max(2, seconds * MODERATE_RATE);
  const output = await lab.inClient(
    'curl',
    ...['-sS', '-o', '/dev/null', '-w', '%{time_total}\\n', '--rate', `${MODERATE_RATE}/s`],
    `${lab.url}/small?[1-${count}]`,
  );
  const times = parseLatencies(output);
  return { p50: median(times), p99: quantile(times, 0.99) };
}

export const measurements: readonly Measurement[] = [
  {
    name: 'requests',
    title: `${SMALL_BYTES} bytes, ${CONNECTIONS} kept-alive connections`,
    quantities: [
      { name: 'rate', unit: 'requests/s', better: 'more' },
      { name: 'cpu', unit: 'µs of CPU per request', better: 'less' },
    ],
    measure: wrk,
  },
  {
    name: 'connections',
    title: `${SMALL_BYTES} bytes, a new connection each, ${CONNECTIONS} at once`,
    quantities: [
      { name: 'rate', unit: 'connections/s', better: 'more' },
      { name: 'cpu', unit: 'µs of CPU per connection', better: 'less' },
    ],
    measure: (lab, conditions) => wrk(lab, conditions, '-H', 'Connection: close'),
  },
  {
    name: 'bulk',
    title: 'bulk download, one flow',
    quantities: [
      { name: 'rate', unit: 'GB/s', better: 'more' },
      { name: 'cpu', unit: 's of CPU per GB', better: 'less' },
    ],
    measure: (lab, conditions) => download(lab, conditions, 1),
  },
  {
    name: 'bulk16',
    title: `bulk download, ${FLOWS} flows`,
    quantities: [
      { name: 'rate', unit: 'GB/s', better: 'more' },
      { name: 'cpu', unit: 's of CPU per GB', better: 'less' },
    ],
    measure: (lab, conditions) => download(lab, conditions, FLOWS),
  },
  {
    name: 'latency',
    title: `${MODERATE_RATE} requests/s on one connection`,
    quantities: [
      { name: 'p50', unit: 'µs', better: 'less' },
      { name: 'p99', unit: 'µs', better: 'less' },
    ],
    measure: latency,
  },
];
