import { requestClass } from '../src/detector/index.ts';
import { Script } from './transaction.ts';
import type { Workload } from './workloads.ts';

/** What was recorded of one transaction: a line of JSON. Other names are passed over. */
interface Line {
  method: string;
  /** With or without a query. */
  path: string;
  /** From the request's last byte to the response's first, ms. */
  firstMs: number;
  /** Silences within the response while the server was to speak, ms. */
  restMs: number[];
}

/** A trace that cannot be read. */
export class TraceError extends Error {
  constructor(name: string, line: number, what: string) {
    super(`${name}:${line}: ${what}`);
    this.name = 'TraceError';
  }
}

/**
 * Transactions as some server or proxy has logged them (docs/DETECTION.md has the format), in their order, again from the beginning
 * when they are over.
 *
 * @param name of the trace, for tables and errors
 * @throws {TraceError} a line that is no such object, or no line at all
 */
export function recorded(name: string, text: string): Workload & { transactions: number } {
  const lines = text
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, number }) => read(name, number, line))
    .filter(line => line !== undefined);
  if (lines.length === 0) throw new TraceError(name, 1, 'no transactions');
  return {
    name,
    transactions: lines.length,
    begin: () => number => {
      const { method, path, firstMs, restMs } = lines[number % lines.length]!;
      const kind = method === 'GET' || method === 'HEAD' ? 'read' : 'update';
      const script = new Script().request().first(firstMs);
      for (const ms of restMs) script.more(ms);
      return script.done(requestClass('', { kind, route: -1 }, path));
    },
  };
}

/** @returns undefined: nobody answered */
function read(name: string, number: number, line: string): Line | undefined {
  const wrong = (what: string) => new TraceError(name, number, what);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw wrong('not JSON');
  }
  if (typeof value !== 'object' || value === null) throw wrong('not an object');
  const fields = value as Record<string, unknown>;
  const { method, path, rest_ms: restMs = [] } = fields;
  if (typeof method !== 'string' || typeof path !== 'string')
    throw wrong('needs "method" and "path", strings');
  /** In ms, whichever of the two units it is given in. */
  const time = (field: string): number | undefined => {
    const [ms, s] = [fields[`${field}_ms`], fields[`${field}_s`]].map(last);
    const value = ms ?? (typeof s === 'number' ? s * 1000 : s);
    if (value === undefined) return undefined;
    if (!isTime(value)) throw wrong(`"${field}" is to be a number, 0 or more`);
    return value;
  };
  if ([fields.first_ms, fields.first_s].some(each => last(each) === NOBODY)) return undefined;
  const firstMs = time('first');
  if (firstMs === undefined) throw wrong('needs "first_ms" or "first_s"');
  if (!Array.isArray(restMs) || !restMs.every(isTime)) throw wrong('"rest_ms" is to be a list of numbers');
  const totalMs = time('total');
  if (totalMs === undefined || restMs.length > 0) return { method, path, firstMs, restMs };
  // All of it may have been one silence.
  return { method, path, firstMs, restMs: totalMs > firstMs ? [totalMs - firstMs] : [] };
}

/** What nginx writes when no server has answered. */
const NOBODY = '-';

/** Of what nginx writes when it has asked several servers, `0.101, 0.002`, the one that answered. */
function last(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const text = value.slice(value.lastIndexOf(',') + 1).trim();
  return text === '' || Number.isNaN(Number(text)) ? text : Number(text);
}

const isTime = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;
