/**
 * Back ends that are slow, and live: nobody gives them up. A wrong suspicion of a read is not seen by its client, so the logger's own
 * counters tell (docs/DETECTION.md).
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { NetnsEngine } from '@resplice/engines';
import type { Client, ClientConnection } from './fixtures/client.ts';
import type { Exchange, RequestOptions } from './fixtures/exchange.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { eventsOf, shown } from './fixtures/logger.ts';
import { waitFor } from './fixtures/wait.ts';

const SLOW_MS = 3000;
/** So many teach a class: `start` (10 s) gives way to what they took. */
const LESSONS = 40;
/** An application that gets a quarter of its processor: stops shorter than the shortest time-out (400 ms). */
const [STOPPED_MS, RUNNING_MS] = [150, 50];
const STOPS = 30;

const engine = new NetnsEngine();
let lab: Lab;
let client: Client;
before(async () => {
  lab = await Lab.up();
  client = await lab.client();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

const FAILURES = ['failed_by_end', 'failed_by_timeout', 'failed_by_liveness', 'refused', 'reset'];

/** What the logger has counted meanwhile. */
async function counted(what: () => Promise<void>): Promise<Record<string, number>> {
  const kinds = [...FAILURES, 'reprieved'];
  const before = await eventsOf(...kinds);
  await what();
  const now = await eventsOf(...kinds);
  return Object.fromEntries(kinds.map(kind => [kind, now[kind]! - before[kind]!]));
}

const failures = (counts: Record<string, number>) => FAILURES.filter(kind => counts[kind]! > 0);

async function connect(count: number): Promise<ClientConnection[]> {
  return Promise.all(Array.from({ length: count }, () => client.connect(lab.site)));
}

/** One after the other on each connection; all are answered with 200. */
async function ask(
  connections: readonly ClientConnection[],
  times: number,
  request: (run: string) => RequestOptions,
): Promise<Exchange[]> {
  const all = connections.map(async (connection, i) => {
    const exchanges: Exchange[] = [];
    for (let j = 0; j < times; j++)
      exchanges.push(await connection.request(request(`${i}-${j}-${process.pid}`)).done);
    return exchanges;
  });
  const exchanges = (await Promise.all(all)).flat();
  for (const { status } of exchanges) assert.equal(status, 200);
  return exchanges;
}

async function failoversOf(connections: readonly ClientConnection[]): Promise<number> {
  const locals = new Set(connections.map(({ local }) => local));
  const all = (await shown()).filter(each => locals.has(each.client));
  assert.equal(all.length, connections.length, 'inconclusive: not all connections are shown');
  return all.reduce((sum, { failovers }) => sum + failovers, 0);
}

const update =
  (ms: number, name: string) =>
  (run: string): RequestOptions => ({
    ...{ method: 'POST', path: `/count?ms=${ms}`, headers: { 'X-Request-Token': `${name}-${run}` } },
  });

async function assertOnce(name: string, times: number): Promise<void> {
  const tokens = (await lab.counts()).flatMap(each => each.tokens).filter(each => each.startsWith(name));
  assert.deepEqual([tokens.length, new Set(tokens).size], [times, times], 'each ran once');
}

labTest(
  'the first slow update of a class that was fast: more time, since others are answered',
  theLab,
  async t => {
    const connections = await connect(2);
    await ask(connections, LESSONS / 2, update(1, 'fast'));
    const counts = await counted(async () => {
      await ask(connections.slice(0, 1), 1, update(SLOW_MS, 'first'));
    });
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual(failures(counts), []);
    assert.ok(counts.reprieved! >= 1, 'inconclusive: it was not late');
    await assertOnce('first', 1);
    for (const each of connections) await each.close();
  },
);

labTest(
  'the first slow read of a class that was fast: tried once elsewhere, then it is known',
  theLab,
  async t => {
    const connections = await connect(2);
    await ask(connections, LESSONS / 2, () => ({ path: '/slow?ms=1' }));
    const slow = () => ask(connections.slice(0, 1), 1, () => ({ path: `/slow?ms=${SLOW_MS}` }));
    const first = await counted(async () => void (await slow()));
    const second = await counted(async () => void (await slow()));
    t.diagnostic(`${JSON.stringify(first)}, then ${JSON.stringify(second)}`);
    assert.deepEqual([first.failed_by_timeout, failures(first)], [1, ['failed_by_timeout']]);
    assert.deepEqual(failures(second), []);
    for (const each of connections) await each.close();
  },
);

labTest(
  'handlers of 3 s in classes that know of such: none is suspected, each update runs once',
  theLab,
  async t => {
    const connections = await connect(12);
    const counts = await counted(async () => {
      await Promise.all([
        ask(connections.slice(0, 6), 4, () => ({ path: `/slow?ms=${SLOW_MS}` })),
        ask(connections.slice(6), 4, update(SLOW_MS, 'slow')),
      ]);
    });
    t.diagnostic(JSON.stringify(counts));
    assert.deepEqual(failures(counts), []);
    assert.equal(counts.reprieved, 0, 'nobody is even asked');
    assert.equal(await failoversOf(connections), 0);
    await assertOnce('slow', 24);
    for (const each of connections) await each.close();
  },
);

labTest(
  'an application that gets a quarter of its processor: none is suspected, each update runs once',
  theLab,
  async t => {
    const connections = await connect(8);
    const { demo } = (await lab.component('backend-1')).processes;
    assert.ok(demo, 'inconclusive: no application');
    let isOver = false;
    let stops = 0;
    const load = (async () => {
      while (!isOver) {
        process.kill(demo, 'SIGSTOP');
        await delay(STOPPED_MS);
        process.kill(demo, 'SIGCONT');
        await delay(RUNNING_MS);
        stops++;
      }
    })();
    const exchanges: Exchange[] = [];
    let rounds = 0;
    const counts = await counted(async () => {
      try {
        while (stops < STOPS) {
          const name = `loaded-${rounds++}`;
          const all = await Promise.all([
            ask(connections.slice(0, 4), 5, () => ({ path: '/bytes/20000', patternFrom: 0 })),
            ask(connections.slice(4), 5, update(5, name)),
          ]);
          exchanges.push(...all.flat());
        }
      } finally {
        isOver = true;
        await load;
      }
    });
    const late = exchanges.filter(({ longestStallMs }) => longestStallMs > STOPPED_MS / 2).length;
    t.diagnostic(`${late} of ${exchanges.length} were late; ${JSON.stringify(counts)}`);
    assert.ok(late > STOPS / 2, 'inconclusive: hardly one was late');
    assert.deepEqual(failures(counts), []);
    assert.equal(await failoversOf(connections), 0);
    await assertOnce('loaded', rounds * 20);
    for (const each of connections) await each.close();
  },
);

labTest(
  'an agent that freezes alone: the application answers, so nobody leaves, until it freezes too',
  theLab,
  async t => {
    const [connection] = (await connect(1)) as [ClientConnection];
    const whoami = async () => JSON.parse((await connection.request({ path: '/whoami' }).done).text!).backend;
    const backend: string = await whoami();
    const alone = await counted(async () => {
      await engine.freeze(`${backend}/agent`);
      await waitFor(`${backend} to be known as silent`, 10_000, async () => {
        const { pools } = await lab.status();
        return pools.some(pool =>
          pool.backends.some(({ name, state }) => name === backend && state !== 'up'),
        );
      });
      for (let i = 0; i < 20; i++) assert.equal(await whoami(), backend);
    });
    assert.deepEqual([failures(alone), await failoversOf([connection])], [[], 0]);
    const transfer = connection.request({ path: `/slow?ms=${SLOW_MS}` });
    const both = await counted(async () => {
      await waitFor('the request to wait', 5000, async () =>
        (await shown()).some(
          ({ client: of, transaction }) => of === connection.local && transaction?.endsWith('waiting'),
        ),
      );
      await engine.freeze(`${backend}/demo`);
      assert.deepEqual(JSON.parse((await transfer.done).text!), { waitedMs: SLOW_MS });
    });
    t.diagnostic(`${JSON.stringify(alone)}, then ${JSON.stringify(both)}`);
    assert.deepEqual(failures(both), ['failed_by_liveness']);
    assert.notEqual(await whoami(), backend);
    await connection.close();
  },
);
