/**
 * The back end that holds a connection crashes, is cut off, freezes or starts again, at every moment of a transaction that may be
 * run twice: the client must see the same bytes on the same socket (docs/FAULTS.md).
 *
 * `REPEAT=n` runs each cell n times (default 1; the bar then allows for a single run's bad luck).
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { NetnsEngine } from '@resplice/engines';
import { median } from '@resplice/figures';
import type { Client, ClientConnection } from './fixtures/client.ts';
import { assertDuring } from './fixtures/drill.ts';
import type { Exchange } from './fixtures/exchange.ts';
import { type Row, table } from './fixtures/figures.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { firstMoments, HEAD_BY_NAGLE, type Moment, moments } from './fixtures/moments.ts';

const REPEAT = Number(process.env.REPEAT ?? 1);
const BUFFER = 131_072;
const CLIENT = '10.61.0.2';
const FAULTS = ['crash', 'cut', 'freeze', 'restart'] as const;
type Fault = (typeof FAULTS)[number];
/** Added stall, as a median (FAULTS.md); a single run may meet a doubled time-out. */
const BARS: Record<Fault, number> = { crash: 50, cut: 250, freeze: 600, restart: 50 };
const slack = REPEAT >= 5 ? 0 : 300;
/** What had arrived of an upload must be delivered once more: 20 MB, at no less than this many bytes a second. */
const REPLAY_RATE = 20e6;
const replayMs = (name: string) => (name === 'mid-upload' ? (20e6 / REPLAY_RATE) * 1000 : 0);

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

/** What the logger did for the client's newest connection, since `at`. */
async function steps(at: number): Promise<string> {
  const { trace, why } = await new NetnsEngine().trace(CLIENT);
  if (!trace) return why;
  return trace.steps
    .filter(({ atMs }) => atMs > at - 100)
    .map(({ atMs, what }) => `${(atMs - at).toFixed(1)} ${trace.client} ${what}`)
    .join('\n');
}

type Strike = (backend: string) => Promise<void>;

async function run(
  moment: Moment,
  isFirst: boolean,
  strike: Strike,
  token: string,
  nagle: boolean,
): Promise<{ exchange: Exchange; connection: ClientConnection }> {
  const connection = await client.connect({ ...lab.site, bufferBytes: BUFFER, nagle });
  // Before its first byte a connection has no back end: half of those that are struck then would have been its own.
  const { backend } = isFirst
    ? { backend: 'backend-1' }
    : JSON.parse((await connection.request({ path: '/whoami' }).done).text!);
  const exchange = await moment(connection, () => strike(backend), token, lab);
  assert.equal(exchange.status, 200);
  const last = await connection.request({ path: '/whoami' }).done;
  const { port } = JSON.parse(last.text!).client;
  assert.equal(connection.local, `${exchange.local.split(':')[0]}:${port}`, 'one socket throughout');
  return { exchange, connection };
}

// What becomes of an update that a back end may have run is another test's (updates.test.ts).
const { 'POST after POST': _, 'waiting, POST': __, 'idle, then POST': ___, ...readable } = moments;
// Nor an update's that a back end is given before it is known to be frozen.
const handshake = readable['idle, then GET']!;
const cells = [
  ...Object.entries({ ...firstMoments, handshake }).map(([name, moment]) => ({
    name,
    moment,
    isFirst: true,
  })),
  ...Object.entries(readable).map(([name, moment]) => ({ name, moment, isFirst: false })),
];

const AT_REST = ['handshake', 'idle, then GET'];
const baselines = new Map<string, number>();

for (const fault of FAULTS) {
  for (const { name, moment, isFirst } of cells) {
    const title = `${fault} of the back end, ${name}`;
    labTest(
      title,
      () => lab,
      async t => {
        const added: number[] = [];
        const row = { cell: title, values: added, verdict: 'fail' };
        rows.push(row);
        const nagle = name === HEAD_BY_NAGLE;
        if (!baselines.has(name)) {
          const { exchange, connection } = await run(
            moment,
            isFirst,
            async () => {},
            `${name}-${process.pid}`,
            nagle,
          );
          baselines.set(name, exchange.longestStallMs);
          await connection.close();
        }
        const normal = baselines.get(name)!;
        for (let round = 0; round < REPEAT; round++) {
          let at = 0;
          const strike: Strike = async backend => {
            at = (await new NetnsEngine()[fault](backend)).at;
          };
          try {
            const { exchange, connection } = await run(
              moment,
              isFirst,
              strike,
              `${name}-${fault}-${process.pid}-${round}`,
              nagle,
            );
            assert.ok(at > 0, 'inconclusive: no fault was made');
            if (!AT_REST.includes(name)) assertDuring({ at }, exchange);
            await connection.close();
            // A request that runs again takes its own time again.
            const again = name === 'waiting, GET' ? Math.max(0, at - exchange.startedAt) : 0;
            added.push(Math.max(0, exchange.longestStallMs - normal - again));
          } finally {
            t.diagnostic(`steps:\n${await steps(at)}`);
          }
          await lab.heal();
        }
        t.diagnostic(
          `added stalls (ms): ${added.map(Math.round).join(', ')}; without a fault ${normal.toFixed(1)}`,
        );
        const bar = BARS[fault] + slack + replayMs(name);
        assert.ok(median(added) <= bar, `median added stall ${median(added)} ms is above ${bar} ms`);
        row.verdict = 'pass';
      },
      60_000 + REPEAT * 45_000,
    );
  }
}
