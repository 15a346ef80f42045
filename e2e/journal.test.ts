/**
 * Updates whose application keeps a journal (P9.2, P11, P12), and their back end fails: the client gets the bytes of one run on the
 * connection that it has, and the effect happens once, whatever the moment (docs/FAULTS.md).
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NetnsEngine } from '@resplice/engines';
import type { Client, ClientConnection } from './fixtures/client.ts';
import { assertDuring } from './fixtures/drill.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import {
  askLogger,
  assertOneRun,
  connectionsShown,
  counted,
  effectsOf,
  orderPath as pathOf,
  shown,
  stepsOf,
} from './fixtures/orders.ts';
import { backendOf, served } from './fixtures/served.ts';
import { waitFor } from './fixtures/wait.ts';

const FAULTS = ['crash', 'cut', 'freeze'] as const;
const BACKENDS = 3;
const WAIT_MS = 3000;
const BYTES = 4_000_000;
const PACE = 2e6;
const UPLOAD_BYTES = 10_000_000;
const UPLOAD_PACE = 10e6;

const SITE = `
listeners:
  - name: web
    port: 80
    routes:
      - { match: { methods: [POST] }, pool: web, journal: response }
      - { pool: web, match: {} }
pools: { web: { backends: all } }
`;

const directory = mkdtempSync(join(tmpdir(), 'resplice-journal-'));
const app = fileURLToPath(new URL('fixtures/journal-app.ts', import.meta.url));
const engine = new NetnsEngine();
let lab: Lab;
let client: Client;
before(async () => {
  const backendCommand = `exec ${process.execPath} ${app} ${directory} ${BACKENDS}`;
  lab = await Lab.up({ rules: SITE, backends: BACKENDS, backendCommand });
  client = await lab.client();
});
after(async () => {
  await lab?.down();
  rmSync(directory, { recursive: true });
});
const theLab = (): Lab => lab;

const effects = (token: string): string[] => effectsOf(directory, token);

function logged(what: string): string[] {
  const lines = readFileSync(join(directory, 'log'), 'utf8').trim().split('\n');
  return lines.filter(line => line.startsWith(`${what} `)).map(line => line.split(' ')[1]!);
}

const orderPath = (token: string, more: Readonly<Record<string, number>> = {}): string =>
  pathOf('/order', token, more);

interface Moment {
  readonly name: string;
  /** Of the response. */
  readonly bytes: number;
  readonly query: Readonly<Record<string, number>>;
  readonly upload?: number;
  readonly bytesPerSecond?: number;
  reached(
    transfer: ReturnType<ClientConnection['request']>,
    connection: ClientConnection,
    token: string,
  ): Promise<unknown>;
  /** Whether the first back end has stored its response by then. */
  readonly isStored: boolean;
}

const MOMENTS: readonly Moment[] = [
  {
    ...{ name: 'in the middle of an upload', bytes: 1000, query: {}, isStored: false },
    ...{ upload: UPLOAD_BYTES, bytesPerSecond: UPLOAD_PACE },
    reached: transfer => transfer.sent(UPLOAD_BYTES / 4),
  },
  {
    ...{ name: 'before the effect', bytes: 1000, query: { before: WAIT_MS }, isStored: false },
    reached: (_, connection) =>
      waitFor('the request to wait', 5000, async () =>
        (await shown(connection.local))?.transaction?.endsWith('waiting'),
      ),
  },
  {
    ...{
      name: 'after the effect, before the journal',
      bytes: 1000,
      query: { after: WAIT_MS },
      isStored: false,
    },
    reached: (_transfer, _connection, token) => waitFor('the effect', 5000, () => effects(token).length > 0),
  },
  {
    ...{
      name: 'at the first bytes of the response',
      bytes: BYTES,
      query: {},
      isStored: true,
      bytesPerSecond: PACE,
    },
    reached: transfer => transfer.received(1),
  },
  {
    ...{
      name: 'in the middle of the response',
      bytes: BYTES,
      query: {},
      isStored: true,
      bytesPerSecond: PACE,
    },
    reached: transfer => transfer.received(BYTES / 4),
  },
];

for (const fault of FAULTS) {
  for (const { name, bytes, query, upload, bytesPerSecond, reached, isStored } of MOMENTS) {
    labTest(`${fault} of the back end ${name}: one run's bytes, the effect once`, theLab, async t => {
      const { connection, backend } = await served(lab);
      const token = `${fault} ${name}`;
      const transfer = connection.request({
        ...{ method: 'POST', path: orderPath(token, { bytes, ...query }) },
        ...(upload === undefined ? {} : { upload: { bytes: upload } }),
        ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      });
      await reached(transfer, connection, token);
      const { at } = await engine[fault](backend);
      const exchange = await transfer.done;
      assertDuring({ at }, exchange);
      assertOneRun(exchange, bytes);
      assert.equal(exchange.headers['x-ran-at'] === backend, isStored, 'whose response it is');
      assert.equal(effects(token).length, 1);
      t.diagnostic(`stalled for ${exchange.longestStallMs.toFixed(0)} ms`);
      assert.notEqual(await backendOf(connection), backend);
      const [transaction] = effects(token);
      assert.ok(
        (await stepsOf(connection.local)).some(step =>
          step.startsWith(`transaction ${transaction}: backend-`),
        ),
        'the dialogue is traced',
      );
      await connection.close();
      await lab.heal();
      // What a frozen one goes on with changes nothing.
      assert.equal(effects(token).length, 1);
    });
  }
}

labTest(
  'two back ends fail, one after the other, in one response: the third one has it',
  theLab,
  async () => {
    const { connection, backend } = await served(lab);
    const token = 'double failure';
    const transfer = connection.request({
      ...{ method: 'POST', path: orderPath(token, { bytes: BYTES }), bytesPerSecond: PACE / 2 },
    });
    await transfer.received(BYTES / 4);
    await engine.crash(backend);
    const second = await waitFor('the second one', 5000, async () => {
      const found = await shown(connection.local);
      return found?.state === 'passing' && found.backend !== backend ? found.backend : undefined;
    });
    await transfer.received(BYTES / 2);
    await engine.crash(second);
    const exchange = await transfer.done;
    assertOneRun(exchange, BYTES);
    assert.equal(exchange.headers['x-ran-at'], backend);
    assert.equal(effects(token).length, 1);
    await connection.close();
  },
);

labTest(
  'a read and two updates in one segment, and the first one waits when the back end crashes: none is refused',
  theLab,
  async () => {
    const tokens = ['pipelined 1', 'pipelined 2'];
    const lines = (...all: string[]) => `${[...all, 'Host: shop'].join('\r\n')}\r\n\r\n`;
    const order = (token: string, more = {}) => `POST ${orderPath(token, { bytes: 100, ...more })} HTTP/1.1`;
    const said = client.say(
      lab.site,
      Buffer.from(
        lines('GET /slow?ms=2500 HTTP/1.1') +
          lines(order(tokens[0]!), 'Content-Length: 0') +
          lines(order(tokens[1]!), 'Content-Length: 0', 'Connection: close'),
      ),
    );
    // Node dispatches all of them at once.
    await waitFor('the effects', 5000, () => tokens.every(token => effects(token).length === 1));
    const waiting = (await connectionsShown()).find(({ transaction }) => transaction === '1 GET waiting');
    await engine.crash(waiting!.backend!);
    const responses = (await said).split(/(?=HTTP\/1\.1 \d{3} )/);
    assert.deepEqual(
      responses.map(each => each.slice(9, 12)),
      ['200', '200', '200'],
    );
    for (const token of tokens) assert.equal(effects(token).length, 1);
  },
);

labTest(
  "an idle connection's back end dies: its next updates have new numbers, and each happens once",
  theLab,
  async () => {
    const { connection, backend } = await served(lab);
    const post = (token: string) => connection.request({ method: 'POST', path: orderPath(token) }).done;
    await post('idle 1');
    await engine.crash(backend);
    for (const token of ['idle 2', 'idle 3']) assert.equal((await post(token)).status, 200);
    const names = [1, 2, 3].map(i => effects(`idle ${i}`));
    assert.deepEqual(
      names.map(each => each.length),
      [1, 1, 1],
    );
    assert.equal(new Set(names.flat()).size, 3);
    await connection.close();
  },
);

labTest(
  "the logger's daemon starts anew between two updates, and then the back end dies: each happens once",
  theLab,
  async () => {
    const { connection, backend } = await served(lab);
    const post = (token: string, more = {}) =>
      connection.request({ method: 'POST', path: orderPath(token, more) });
    await post('restart 1').done;
    await engine.restart('logger-1/logger');
    const transfer = post('restart 2', { before: WAIT_MS });
    await waitFor('the request to wait', 5000, async () =>
      (await shown(connection.local))?.transaction?.endsWith('waiting'),
    );
    await waitFor('its kits to be reached', 5000, async () =>
      Object.values(JSON.parse(await askLogger('/status')).kits).every(Boolean),
    );
    const { transactionId } = (await shown(connection.local))!;
    await engine.crash(backend);
    assert.equal((await transfer.done).status, 200);
    assert.deepEqual(effects('restart 2'), [transactionId], 'the logger and both back ends know one name');
    assert.notDeepEqual(effects('restart 1'), effects('restart 2'));
    await connection.close();
  },
);

labTest('what a client has acknowledged is forgotten everywhere', theLab, async () => {
  const { connection } = await served(lab);
  const before = await counted('committed');
  await connection.request({ method: 'POST', path: orderPath('forgotten', { bytes: 1000 }) }).done;
  const [transaction] = effects('forgotten');
  // Here and at the alternate.
  await waitFor(
    'both to forget',
    5000,
    () => logged('forgotten').filter(each => each === transaction).length === 2,
  );
  assert.equal(await counted('committed'), before + 1);
  await connection.close();
});
