import { median, quantile } from '@resplice/figures';
import type { Lab } from './field.ts';
import { between } from './logger.ts';
import { withProcessorTime } from './processor-time.ts';
import { FLOWS, SMALL_BYTES } from './site.ts';
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

export interface Quantity {
  readonly name: string;
  readonly unit: string;
  /** Only Resplice has it: nothing to compare with. */
  readonly own?: true;
}

export interface Measurement {
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly quantities: readonly Quantity[];
  measure(lab: Lab, conditions: Conditions): Promise<Values>;
}

/** Clients at once where requests or connections are counted. */
const CONNECTIONS = 32;
/** Requests a second at which latency is taken: far below what any arm can do. */
const MODERATE_RATE = 250;

/** What the logger dropped, and what passed it without protection, where there is one. */
const loggerQuantities: readonly Quantity[] = [
  { name: 'drops', unit: 'packets the logger dropped', own: true },
  { name: 'unprotected', unit: 'packets and requests not logged', own: true },
];

/**
 * Does some work, and looks at what the logger did meanwhile, if the arm has one: CPU for a transaction in µs, and the counts of
 * `loggerQuantities`. Of the CPU time, that of its user space is JavaScript and all that Node.js does for it.
 */
async function withLogger<T>({ readLogger }: Lab, work: () => Promise<T>): Promise<[T, Values]> {
  const before = await readLogger?.();
  const result = await work();
  if (!readLogger || !before) return [result, {}];
  const { transactions, userSeconds, systemSeconds, ...counts } = between(before, await readLogger());
  const { drops, unprotected } = counts;
  const perTransaction = (seconds: number) => (seconds / transactions) * 1e6;
  return [
    result,
    {
      drops,
      unprotected,
      loggerUser: perTransaction(userSeconds),
      loggerSystem: perTransaction(systemSeconds),
    },
  ];
}

function only(values: Values, ...names: string[]): Values {
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.includes(name)));
}

async function wrk(lab: Lab, { seconds, idleRate }: Conditions, ...more: string[]): Promise<Values> {
  const run = () =>
    lab.inClient('wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, ...more, `${lab.url}/small`);
  const [{ result, cpuSeconds }, logger] = await withLogger(lab, () => withProcessorTime(idleRate, run));
  const { requests, requestsPerSecond, errors } = parseWrk(result);
  if (requests === 0) throw new Error(`wrk got no response:\n${result}`);
  return {
    rate: requestsPerSecond,
    cpu: (cpuSeconds / requests) * 1e6,
    errors: errors / requests,
    ...logger,
  };
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

/** @param argv of curl, which is to print bytes and seconds of each transfer */
async function transfer(
  lab: Lab,
  { idleRate }: Conditions,
  bytes: number,
  ...argv: string[]
): Promise<Values> {
  const run = () => lab.inClient('curl', '-sS', '--fail', '-o', '/dev/null', ...argv);
  const [{ result, cpuSeconds }, logger] = await withLogger(lab, () => withProcessorTime(idleRate, run));
  const gigabytes = bytes / 1e9;
  return {
    rate: gigabytes / parseTransfers(result, bytes),
    cpu: cpuSeconds / gigabytes,
    ...only(logger, ...loggerQuantities.map(({ name }) => name)),
  };
}

function download(lab: Lab, conditions: Conditions, flows: number): Promise<Values> {
  const print = ['-w', '%{size_download} %{time_total}\\n'];
  const parallel = ['--parallel', '--parallel-immediate', '--parallel-max', String(flows)];
  const what = flows === 1 ? [`${lab.url}/bulk`] : [...parallel, `${lab.url}/part?[1-${flows}]`];
  return transfer(lab, conditions, conditions.bulkBytes, ...print, ...what);
}

function upload(lab: Lab, conditions: Conditions): Promise<Values> {
  const print = ['-w', '%{size_upload} %{time_total}\\n'];
  // At once, without asking whether it may; in pieces as large as curl can.
  const send = ['-H', 'Expect:', '-T', lab.upload.file];
  return transfer(lab, conditions, lab.upload.bytes, ...print, ...send, `${lab.url}/uploads/one`);
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
      { name: 'rate', unit: 'requests/s' },
      { name: 'cpu', unit: 'µs of CPU per request' },
      { name: 'loggerUser', unit: 'µs of the logger’s user space per request', own: true },
      { name: 'loggerSystem', unit: 'µs of the logger’s system calls per request', own: true },
      ...loggerQuantities,
    ],
    measure: wrk,
  },
  {
    name: 'connections',
    title: `${SMALL_BYTES} bytes, a new connection each, ${CONNECTIONS} at once`,
    quantities: [
      { name: 'rate', unit: 'connections/s' },
      { name: 'cpu', unit: 'µs of CPU per connection' },
      { name: 'loggerUser', unit: 'µs of the logger’s user space per connection', own: true },
      { name: 'loggerSystem', unit: 'µs of the logger’s system calls per connection', own: true },
      ...loggerQuantities,
    ],
    measure: (lab, conditions) => wrk(lab, conditions, '-H', 'Connection: close'),
  },
  {
    name: 'bulk',
    title: 'bulk download, one flow',
    quantities: [
      { name: 'rate', unit: 'GB/s' },
      { name: 'cpu', unit: 's of CPU per GB' },
      ...loggerQuantities,
    ],
    measure: (lab, conditions) => download(lab, conditions, 1),
  },
  {
    name: 'bulk16',
    title: `bulk download, ${FLOWS} flows`,
    quantities: [
      { name: 'rate', unit: 'GB/s' },
      { name: 'cpu', unit: 's of CPU per GB' },
      ...loggerQuantities,
    ],
    measure: (lab, conditions) => download(lab, conditions, FLOWS),
  },
  {
    name: 'upload',
    title: 'upload, one flow',
    quantities: [
      { name: 'rate', unit: 'GB/s' },
      { name: 'cpu', unit: 's of CPU per GB' },
      ...loggerQuantities,
    ],
    measure: upload,
  },
  {
    name: 'latency',
    title: `${MODERATE_RATE} requests/s on one connection`,
    quantities: [
      { name: 'p50', unit: 'µs' },
      { name: 'p99', unit: 'µs' },
    ],
    measure: latency,
  },
];
