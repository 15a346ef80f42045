/** A thread in somebody's network namespace, where the sequential client lives. */
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { enterNetworkNamespace } from '@resplice/e2e/fixtures/network-namespace.ts';
import { type Acted, act, type Part } from './act.ts';
import { exchange } from './exchange.ts';
import { PaperVisitor } from './paper-visitor.ts';
import type { Weight } from './reference.ts';
import type { Progress } from './visitor.ts';

export interface Tasks {
  act: {
    argument: Part & { readonly origin: string; readonly token: string; readonly weight: Weight };
    result: Acted;
  };
  /** Bare connection set-ups, one after the other. @returns ms of each */
  setUps: {
    argument: { readonly host: string; readonly port: number; readonly times: number };
    result: number[];
  };
  /** Small requests, all at once. @returns who served them */
  servers: { argument: { readonly origin: string; readonly times: number }; result: string[] };
}
export type TaskName = keyof Tasks;
export type Order = {
  [Name in TaskName]: {
    readonly id: number;
    readonly name: Name;
    readonly argument: Tasks[Name]['argument'];
  };
}[TaskName];
export type Told =
  | { readonly id: number; readonly progress: Progress }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

const { namespace } = workerData as { namespace?: string };
if (namespace !== undefined) enterNetworkNamespace(namespace);
const parent = parentPort!;

const PATIENCE_MS = 10_000;

function setUp(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const socket = connect({ host, port });
    socket.once('error', reject);
    socket.once('connect', () => {
      resolve(performance.now() - started);
      socket.destroy();
    });
  });
}

const tasks: {
  [Name in TaskName]: (order: Extract<Order, { name: Name }>) => Promise<Tasks[Name]['result']>;
} = {
  act: ({ id, argument }) => {
    const { origin, token, weight, ...part } = argument;
    const progress = (each: Progress): void => parent.postMessage({ id, progress: each } satisfies Told);
    const { patienceMs } = part.manners;
    return act(new PaperVisitor({ origin, token, weight, patienceMs, progress, action: part.action }), part);
  },
  setUps: async ({ argument: { host, port, times } }) => {
    const found: number[] = [];
    for (let number = 0; number < times; number++) found.push(await setUp(host, port));
    return found;
  },
  servers: ({ argument: { origin, times } }) =>
    Promise.all(
      Array.from({ length: times }, async () => {
        const url = new URL('/healthz', origin);
        const { status, body } = await exchange(url, { method: 'GET', headers: {}, patienceMs: PATIENCE_MS });
        if (status !== 200) throw new Error(`${url}: ${status}`);
        return (JSON.parse(body.toString()) as { backend: string }).backend;
      }),
    ),
};

parent.on('message', (order: Order) => {
  const { id } = order;
  (tasks[order.name] as (order: Order) => Promise<unknown>)(order).then(
    result => parent.postMessage({ id, result } satisfies Told),
    error => parent.postMessage({ id, error: String((error as Error).stack ?? error) } satisfies Told),
  );
});
