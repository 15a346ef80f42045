/**
 * The serving proxy crashes, is cut off, freezes or starts again, at every moment of a connection's life: the client must see the
 * same bytes on the same socket, each POST must run exactly once, and the median added stall must stay below the bar.
 *
 * `REPEAT=n` runs each cell n times (default 1; the bar then allows for a single run's bad luck).
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { median } from '@resplice/figures';
import type { Client, ClientConnection } from './fixtures/client.ts';
import {
  assertDuring,
  assertMoved,
  breakServingProxy,
  type Injected,
  type ProxyFault,
} from './fixtures/drill.ts';
import type { Exchange } from './fixtures/exchange.ts';
import { type Row, table } from './fixtures/figures.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { firstMoments, HEAD_BY_NAGLE, type Moment, moments } from './fixtures/moments.ts';

const REPEAT = Number(process.env.REPEAT ?? 1);
/** FAULTS.md: added stall allowed on a LAN when the serving proxy dies, as a median. A single run may meet a doubled time-out. */
const BAR_MS = REPEAT >= 5 ? 300 : 600;
/** Small enough that the kernel's buffers hide only a few milliseconds of a stall. */
const BUFFER = 131_072;
const FAULTS = ['crash', 'cut', 'freeze', 'restart'] as const;

let lab: Lab;
let client: Client;
before(async () => {
  lab = await Lab.up();
  client = await lab.client();
});
const rows: Row[] = [];
after(async () => {
  if (rows.length > 0) process.stderr.write(`\n${table('added stall', rows)}\n\n`);
  await lab?.down();
});

type Strike = (connection: ClientConnection) => Promise<void>;

/** One connection that has served a request before and serves another after: the same socket throughout. */
async function onOneConnection(moment: Moment, strike: Strike, run: string): Promise<Run> {
  const connection = await client.connect({ ...lab.site, bufferBytes: BUFFER });
  const first = await connection.request({ path: '/whoami' }).done;
  const exchange = await moment(connection, () => strike(connection), run, lab);
  const last = await connection.request({ path: '/whoami' }).done;
  assert.equal(exchange.status, 200);
  assert.equal(last.text, first.text, 'the same back end sees the same connection before and after');
  assert.equal(exchange.local, connection.local);
  return { exchange, connection };
}

/** A connection on which nothing has been sent yet. */
async function onNewConnection(moment: Moment, strike: Strike, run: string, nagle = false): Promise<Run> {
  const connection = await client.connect({ ...lab.site, bufferBytes: BUFFER, nagle });
  const exchange = await moment(connection, () => strike(connection), run, lab);
  assert.equal(exchange.status, 200);
  const last = await connection.request({ path: '/whoami' }).done;
  const { port } = JSON.parse(last.text!).client;
  assert.equal(connection.local, `${exchange.local.split(':')[0]}:${port}`, 'one socket throughout');
  return { exchange, connection };
}

interface Run {
  readonly exchange: Exchange;
  readonly connection: ClientConnection;
}

const cells = [
  ...Object.entries(firstMoments).map(([name, moment]) => ({ name, moment, on: onNewConnection })),
  ...Object.entries(moments).map(([name, moment]) => ({ name, moment, on: onOneConnection })),
];
type Cell = (typeof cells)[number];

const baselines = new Map<string, number>();

async function baseline({ name, moment, on }: Cell): Promise<number> {
  const known = baselines.get(name);
  if (known !== undefined) return known;
  const stalls: number[] = [];
  for (let run = 0; run < Math.min(REPEAT, 3); run++) {
    const token = `${name}-baseline-${process.pid}-${run}`;
    const { exchange, connection } = await on(moment, async () => {}, token, name === HEAD_BY_NAGLE);
    stalls.push(exchange.longestStallMs);
    await connection.close();
  }
  baselines.set(name, median(stalls));
  return median(stalls);
}

/** Moments in which nothing is under way when the fault strikes. */
const AT_REST = ['handshake', 'idle, then GET', 'idle, then POST'];

async function oneRun({ name, moment, on }: Cell, fault: ProxyFault, run: number): Promise<Exchange> {
  let injected: Injected | undefined;
  const strike: Strike = async connection => {
    injected = await breakServingProxy(lab, fault, connection);
  };
  const token = `${name}-${fault}-${process.pid}-${run}`;
  const { exchange, connection } = await on(moment, strike, token, name === HEAD_BY_NAGLE);
  assert.ok(injected, 'inconclusive: no fault was made');
  if (!AT_REST.includes(name)) assertDuring(injected, exchange);
  await assertMoved(lab, injected, connection);
  await connection.close();
  return exchange;
}

for (const fault of FAULTS) {
  for (const cell of cells) {
    const title = `${fault} of the serving proxy, ${cell.name}`;
    labTest(
      title,
      () => lab,
      async t => {
        const added: number[] = [];
        const row = { cell: title, values: added, verdict: 'fail' };
        rows.push(row);
        const normal = await baseline(cell);
        for (let run = 0; run < REPEAT; run++) {
          const exchange = await oneRun(cell, fault, run);
          added.push(Math.max(0, exchange.longestStallMs - normal));
          await lab.heal();
        }
        t.diagnostic(
          `added stalls (ms): ${added.map(Math.round).join(', ')}; without a fault ${normal.toFixed(1)}`,
        );
        assert.ok(median(added) <= BAR_MS, `median added stall ${median(added)} ms is above ${BAR_MS} ms`);
        row.verdict = 'pass';
      },
      60_000 + REPEAT * 45_000,
    );
  }

  labTest(
    `${fault} of the serving proxy in a download at full speed`,
    () => lab,
    async t => {
      const bytes = 2 ** 30;
      const connection = await client.connect(lab.site);
      await connection.request({ path: '/whoami' }).done;
      const { proxy } = await lab.connection(connection.local);
      const { proxy: pid = 0 } = (await lab.component(proxy)).processes;
      const transfer = connection.request({ path: `/bytes/${bytes}`, patternFrom: 0 });
      // No look-up in between: at this speed the transfer would be over.
      await transfer.received(bytes / 50);
      const { at } = await lab.fault(fault, proxy);
      const exchange = await transfer.done;
      assert.deepEqual([exchange.received, exchange.firstDifference], [bytes, -1]);
      assertDuring({ at }, exchange);
      await assertMoved(lab, { fault, proxy, pid }, connection);
      t.diagnostic(`stall ${exchange.longestStallMs.toFixed(0)} ms`);
      await connection.close();
    },
  );
}
