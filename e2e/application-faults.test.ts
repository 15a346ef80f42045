/**
 * The application alone crashes or freezes; its agent and its kernel live. A crash is told by the kernel's FIN or RST. Of a freeze
 * nothing tells but that a request takes longer than such requests do (docs/DETECTION.md): the kernel acknowledges, the agent answers.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { NetnsEngine } from '@resplice/engines';
import { assertDuring } from './fixtures/drill.ts';
import { type Exchange, ExchangeError } from './fixtures/exchange.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { eventsOf, isAt, traceOf } from './fixtures/logger.ts';
import { type Moment, moments } from './fixtures/moments.ts';
import { backendOf, served } from './fixtures/served.ts';

const FAULTS = ['crash', 'freeze'] as const;
/** How long a request takes that is struck while it waits: less than any time-out below, so that nobody is suspected before. */
const WAIT_MS = 2000;
/** Time-outs of what nothing is known of: short, since each moment here is a first one of its class. */
const START_MS = 3000;
const PACE = 10e6;

const SITE = `
listeners:
  - name: web
    port: 80
    routes:
      - { match: { methods: [GET] }, tags: { deterministic: true }, pool: web }
      - { pool: web }
pools: { web: { backends: all } }
timeoutClasses:
  default:
    first: { floor: ${START_MS}ms, start: ${START_MS}ms }
    rest: { floor: ${START_MS}ms, start: ${START_MS}ms }
`;

const engine = new NetnsEngine();
let lab: Lab;
before(async () => {
  lab = await Lab.up({ rules: SITE });
});
after(() => lab?.down());
const theLab = (): Lab => lab;

/** What told that the application had failed: its kernel, or the time that passed; its agent, which lives, never. */
const TOLD_BY = { crash: 'failed_by_end', freeze: 'failed_by_timeout' } as const;

/** What counts how connections left a back end, before and after. */
async function told(by: () => Promise<void>): Promise<Record<string, number>> {
  const kinds = ['failed_by_end', 'failed_by_timeout', 'failed_by_liveness'];
  const before = await eventsOf(...kinds);
  await by();
  const now = await eventsOf(...kinds);
  return Object.fromEntries(kinds.map(kind => [kind, now[kind]! - before[kind]!]));
}

async function assertAgentLives(backend: string): Promise<void> {
  const { processes } = await lab.component(backend);
  assert.ok(processes.agent, `inconclusive: the agent of ${backend} does not run`);
}

const waiting: Moment = async (connection, strike) => {
  const transfer = connection.request({ path: `/slow?ms=${WAIT_MS}` });
  await isAt('waiting', connection);
  await strike();
  const exchange = await transfer.done;
  assert.deepEqual(JSON.parse(exchange.text!), { waitedMs: WAIT_MS });
  return exchange;
};

const reads: Readonly<Record<string, Moment>> = {
  waiting,
  'response, 100 MB with a length': moments['mid-download']!,
  'response, 100 MB chunked': moments['mid-download, chunked']!,
  'upload, 100 MB': moments['mid-upload']!,
  tail: moments.tail!,
  'idle, then GET': moments['idle, then GET']!,
};

/** Whether what is struck is at rest, or the response is the kernel's already: then it may be that nobody has to tell. */
const MAY_GO_UNNOTICED = ['idle, then GET', 'tail'];

for (const fault of FAULTS) {
  for (const [name, moment] of Object.entries(reads)) {
    labTest(
      `${fault} of the application alone, ${name}: another one's, on the same socket`,
      theLab,
      async t => {
        const { connection, backend } = await served(lab);
        let at = 0;
        let exchange: Exchange | undefined;
        const counts = await told(async () => {
          exchange = await moment(
            connection,
            async () => {
              at = (await engine[fault](`${backend}/demo`)).at;
            },
            `${name}-${fault}-${process.pid}`,
            lab,
          );
        });
        t.diagnostic(
          `longest stall ${exchange!.longestStallMs.toFixed(0)} ms; ${JSON.stringify(counts)}; ${await traceOf(connection)}`,
        );
        await assertAgentLives(backend);
        assert.equal(exchange!.status, 200);
        const isNoticed = !MAY_GO_UNNOTICED.includes(name);
        if (isNoticed) {
          assertDuring({ at }, exchange!);
          assert.ok(counts[TOLD_BY[fault]]! >= 1, JSON.stringify(counts));
        }
        assert.equal(counts.failed_by_liveness, 0, 'the agent lives, and says so');
        const last = await connection.request({ path: '/whoami' }).done;
        const { backend: other, client: seen } = JSON.parse(last.text!);
        assert.notEqual(other, backend);
        assert.equal(
          connection.local,
          `${exchange!.local.split(':')[0]}:${seen.port}`,
          'one socket throughout',
        );
        await connection.close();
      },
      120_000,
    );
  }

  labTest(
    `${fault} of the application alone while a POST waits: 502, at most one execution, and the connection goes on`,
    theLab,
    async () => {
      const { connection, backend } = await served(lab);
      const token = `waiting-${fault}-${process.pid}`;
      const headers = { 'X-Request-Token': token };
      const transfer = connection.request({ method: 'POST', path: `/count?ms=${WAIT_MS}`, headers });
      await isAt('waiting', connection);
      const at = Date.now();
      await engine[fault](`${backend}/demo`);
      const exchange = await transfer.done;
      assertDuring({ at }, exchange);
      assert.match(exchange.text!, /^502 Bad Gateway: .*it was not tried again\.\n$/);
      assert.equal(exchange.status, 502);
      await assertAgentLives(backend);
      assert.notEqual(await backendOf(connection), backend);
      await connection.close();
      await lab.heal();
      // A crash forgets what it had counted.
      const ran = await lab.executions(token);
      assert.ok(fault === 'crash' ? ran <= 1 : ran === 1, `it was executed ${ran} times`);
    },
  );

  labTest(
    `${fault} of the application alone in the middle of a POST's response: reset, at most one execution`,
    theLab,
    async t => {
      const { connection, backend } = await served(lab);
      const token = `response-${fault}-${process.pid}`;
      const transfer = connection.request({
        ...{ method: 'POST', path: '/count?bytes=50000000', headers: { 'X-Request-Token': token } },
        ...{ bytesPerSecond: PACE },
      });
      await transfer.received(5_000_000);
      await engine[fault](`${backend}/demo`);
      await assert.rejects(transfer.done, (error: unknown) => {
        assert.ok(error instanceof ExchangeError);
        t.diagnostic(error.message);
        return error.failure.kind === 'reset';
      });
      await assertAgentLives(backend);
      await lab.heal();
      assert.ok((await lab.executions(token)) <= 1, 'it was executed at most once');
    },
  );
}
