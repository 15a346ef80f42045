/**
 * What may not run twice, at a back end that fails: transparent while nobody can have run it, refused with 502 on the open connection
 * when somebody may have, reset only in the middle of its response; and what a site's tags change about that (docs/FAULTS.md).
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { NetnsEngine } from '@resplice/engines';
import type { Client } from './fixtures/client.ts';
import { assertDuring } from './fixtures/drill.ts';
import { ExchangeError } from './fixtures/exchange.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { isAt, isResting, shown } from './fixtures/logger.ts';
import { moments } from './fixtures/moments.ts';
import { backendOf, served } from './fixtures/served.ts';
import { waitFor } from './fixtures/wait.ts';

const FAULTS = ['crash', 'cut', 'freeze'] as const;
/** How long a request waits at its server, ms: longer than it takes to find the fault out on a busy machine. */
const WAIT_MS = 8000;
const NO_BACKEND_MS = 8000;
const UPLOAD_BYTES = 20_000_000;
const PACE = 10e6;

const SITE = `
listeners:
  - name: web
    port: 80
    routes:
      - { match: { header: { name: x-may-run-twice } }, tags: { kind: read }, pool: web }
      - { match: { header: { name: x-unlike-the-last } }, tags: { deterministic: false }, pool: web }
      - { pool: web }
pools: { web: { backends: all } }
recovery: { wait: ${NO_BACKEND_MS / 1000}s }
`;

let lab: Lab;
let client: Client;
before(async () => {
  lab = await Lab.up({ rules: SITE });
  client = await lab.client();
});
after(() => lab?.down());

const engine = new NetnsEngine();

/** Fails unless the exchange is cut by an RST. */
async function assertReset(done: Promise<unknown>): Promise<void> {
  await assert.rejects(
    done,
    (error: unknown) => error instanceof ExchangeError && error.failure.kind === 'reset',
  );
}

/** Once all is healed: how often it ran, over all back ends that have not forgotten. */
async function executions(token: string): Promise<number> {
  await lab.heal();
  return lab.executions(token);
}

for (const fault of FAULTS) {
  labTest(
    `${fault} of the back end while a POST waits: 502, at most one execution, and the connection goes on`,
    () => lab,
    async () => {
      const { connection, backend } = await served(lab);
      const token = `waiting-${fault}-${process.pid}`;
      const headers = { 'X-Request-Token': token };
      const transfer = connection.request({ method: 'POST', path: `/count?ms=${WAIT_MS}`, headers });
      await isAt('waiting', connection);
      // The answer may come while it is still being made sure that the fault has taken effect.
      const at = Date.now();
      await engine[fault](backend);
      const exchange = await transfer.done;
      assertDuring({ at }, exchange);
      assert.deepEqual([exchange.status, exchange.framing], [502, 'length']);
      assert.match(exchange.text!, /^502 Bad Gateway: .*it was not tried again\.\n$/);
      assert.notEqual(await backendOf(connection), backend);
      await connection.close();
      assert.ok((await executions(token)) <= 1, 'the POST was executed at most once');
    },
  );

  labTest(
    `${fault} of the back end of an idle connection: its next POST is executed once`,
    () => lab,
    async () => {
      const { connection, backend } = await served(lab);
      const token = `idle-${fault}-${process.pid}`;
      const exchange = await moments['idle, then POST']!(
        connection,
        async () => {
          await engine[fault](backend);
          // Until it is known, a request goes to the dead, and may have run for all that anybody can tell.
          await isResting(connection);
        },
        token,
        lab,
      );
      assert.equal(exchange.status, 200);
      await connection.close();
      assert.equal(await executions(token), 1, 'the POST was executed exactly once');
    },
  );

  labTest(
    `${fault} of the back end in the middle of an upload: it arrives and is executed once`,
    () => lab,
    async () => {
      const { connection, backend } = await served(lab);
      const token = `upload-${fault}-${process.pid}`;
      const transfer = connection.request({
        ...{ method: 'POST', path: '/count', headers: { 'X-Request-Token': token } },
        ...{ upload: { bytes: UPLOAD_BYTES }, bytesPerSecond: PACE },
      });
      await transfer.sent(UPLOAD_BYTES / 4);
      const { at } = await engine[fault](backend);
      const exchange = await transfer.done;
      assertDuring({ at }, exchange);
      assert.equal(exchange.status, 200);
      await connection.close();
      assert.equal(await executions(token), 1, 'the POST was executed exactly once');
    },
  );

  labTest(
    `${fault} of the back end in the middle of a POST's response: reset, at most one execution`,
    () => lab,
    async () => {
      const { connection, backend } = await served(lab);
      const token = `response-${fault}-${process.pid}`;
      const transfer = connection.request({
        ...{ method: 'POST', path: '/count?bytes=50000000', headers: { 'X-Request-Token': token } },
        ...{ bytesPerSecond: PACE },
      });
      await transfer.received(5_000_000);
      await engine[fault](backend);
      await assertReset(transfer.done);
      assert.ok((await executions(token)) <= 1, 'the POST was executed at most once');
    },
  );

  labTest(
    `${fault} of the back end while a POST waits that is tagged as a read: it runs again`,
    () => lab,
    async () => {
      const { connection, backend } = await served(lab);
      const token = `tagged-${fault}-${process.pid}`;
      const headers = { 'X-Request-Token': token, 'X-May-Run-Twice': 'yes' };
      const transfer = connection.request({ method: 'POST', path: '/count?ms=3000', headers });
      await isAt('waiting', connection);
      const { at } = await engine[fault](backend);
      const exchange = await transfer.done;
      assertDuring({ at }, exchange);
      assert.equal(exchange.status, 200);
      assert.ok([1, 2].includes(await lab.executions(token)));
      await connection.close();
    },
  );
}

labTest(
  'GET, POST, GET in one segment, and the first one waits when the back end crashes: only the POST is refused',
  () => lab,
  async () => {
    const token = `pipelined-${process.pid}`;
    const lines = (...all: string[]) => `${[...all, 'Host: shop'].join('\r\n')}\r\n\r\n`;
    const said = client.say(
      lab.site,
      Buffer.from(
        lines('GET /slow?ms=2500 HTTP/1.1') +
          lines('POST /count HTTP/1.1', `X-Request-Token: ${token}`, 'Content-Length: 0') +
          lines('GET /whoami HTTP/1.1', 'Connection: close'),
      ),
    );
    const { backend } = await waitFor('the first one to wait', 5000, async () =>
      (await shown()).find(({ transaction }) => transaction === '1 GET waiting'),
    );
    await engine.crash(backend!);
    const responses = (await said).split(/(?=HTTP\/1\.1 \d{3} )/);
    assert.deepEqual(
      responses.map(each => each.slice(9, 12)),
      ['200', '502', '200'],
    );
    assert.match(responses[0]!, /"waitedMs":2500/);
    assert.match(responses[2]!, /"backend":/);
    assert.equal(responses[2]!.includes(`"${backend}"`), false);
    assert.ok((await executions(token)) <= 1, 'the POST was executed at most once');
  },
);

labTest(
  'no back end is left: a request waits, gets 503, and the connection works when one is back',
  () => lab,
  async () => {
    const { connection } = await served(lab);
    await Promise.all(['backend-1', 'backend-2'].map(backend => engine.crash(backend)));
    for (const _ of [1, 2]) {
      const exchange = await connection.request({ path: '/whoami' }).done;
      assert.deepEqual([exchange.status, exchange.headers['retry-after']], [503, '5']);
      assert.ok(exchange.endedAt - exchange.startedAt >= NO_BACKEND_MS - 100, 'it waits for one to return');
    }
    await lab.heal();
    assert.match(await backendOf(connection), /^backend-/);
    await connection.close();
  },
);

labTest(
  'no back end is left, but one returns in time: transparent',
  () => lab,
  async () => {
    const { connection, backend } = await served(lab);
    const other = backend === 'backend-1' ? 'backend-2' : 'backend-1';
    await engine.crash(other);
    const transfer = connection.request({ path: '/slow?ms=1500' });
    await isAt('waiting', connection);
    const { at } = await engine.restart(backend);
    const exchange = await transfer.done;
    assertDuring({ at }, exchange);
    assert.deepEqual([exchange.status, exchange.text], [200, '{"waitedMs":1500}']);
    await connection.close();
  },
);

labTest(
  'a response that is tagged as not deterministic is not continued by another back end: reset',
  () => lab,
  async () => {
    const { connection, backend } = await served(lab);
    const headers = { 'X-Unlike-The-Last': 'yes' };
    const transfer = connection.request({ path: '/bytes/50000000', headers, bytesPerSecond: PACE });
    await transfer.received(5_000_000);
    await engine.crash(backend);
    await assertReset(transfer.done);
  },
);
