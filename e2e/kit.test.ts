/**
 * An application with the back-end kit, in the tier: an update's back end fails, and the client gets the bytes of one run on the connection
 * that it has, and the effect happens once (P8, P9, P11, P12). The tier's half by itself, at more moments: journal.test.ts.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NetnsEngine } from '@resplice/engines';
import type { Client, ClientConnection } from './fixtures/client.ts';
import { assertDuring } from './fixtures/drill.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { assertOneRun, effectsOf, orderPath, shown, stepsOf } from './fixtures/orders.ts';
import { backendOf } from './fixtures/served.ts';
import { waitFor } from './fixtures/wait.ts';

const FAULTS = ['crash', 'cut', 'freeze'] as const;
const WAIT_MS = 3000;
const BYTES = 4_000_000;
const PACE = 2e6;

const SITE = `
listeners:
  - name: web
    port: 80
    routes:
      - { match: { methods: [POST], pathPrefix: /order }, pool: web, journal: response }
      - { match: { methods: [POST], pathPrefix: /made }, pool: web, journal: state }
      - { match: {}, pool: web }
pools: { web: { backends: all } }
`;

const directory = mkdtempSync(join(tmpdir(), 'resplice-kit-'));
const app = fileURLToPath(new URL('fixtures/kit-app.ts', import.meta.url));
const engine = new NetnsEngine();
let lab: Lab;
let client: Client;
before(async () => {
  lab = await Lab.up({ rules: SITE, backendCommand: `exec ${process.execPath} ${app} ${directory}` });
  client = await lab.client();
});
after(async () => {
  await lab?.down();
  rmSync(directory, { recursive: true });
});

type Transfer = ReturnType<ClientConnection['request']>;

const MOMENTS: Readonly<
  Record<
    string,
    {
      query: Readonly<Record<string, number>>;
      reached(transfer: Transfer, local: string, token: string): Promise<unknown>;
      /** Whether what the first back end has answered is kept by then. */
      isKept: boolean;
    }
  >
> = {
  'before its effect': {
    query: { before: WAIT_MS },
    reached: (_, local) =>
      waitFor('the request to wait', 5000, async () =>
        (await shown(local))?.transaction?.endsWith('waiting'),
      ),
    isKept: false,
  },
  'after its effect': {
    query: { after: WAIT_MS },
    reached: (_transfer, _local, token) =>
      waitFor('the effect', 5000, () => effectsOf(directory, token).length > 0),
    isKept: false,
  },
  'in its response': { query: {}, reached: transfer => transfer.received(BYTES / 4), isKept: true },
};

for (const fault of FAULTS) {
  for (const path of ['/order', '/made']) {
    for (const [name, { query, reached, isKept }] of Object.entries(MOMENTS)) {
      labTest(
        `${fault} of the back end of POST ${path}, ${name}: one run's bytes, its effect once`,
        () => lab,
        async () => {
          const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
          // Healed, a kit looks for the others for half a second; until then its answers leave without a record.
          const backend = await waitFor('the back end to have an alternate', 10_000, async () => {
            const { backend: name, alternate } = JSON.parse(
              (await connection.request({ path: '/whoami' }).done).text!,
            );
            return alternate === null ? undefined : (name as string);
          });
          const token = `${fault} ${path} ${name}`;
          const transfer = connection.request({
            ...{ method: 'POST', path: orderPath(path, token, { bytes: BYTES, ...query }) },
            bytesPerSecond: PACE,
          });
          await reached(transfer, connection.local, token);
          const { at } = await engine[fault](backend);
          const exchange = await transfer.done;
          assertDuring({ at }, exchange);
          assertOneRun(exchange, BYTES);
          assert.equal(exchange.headers['x-ran-at'] === backend, isKept, 'whose answer it is');
          assert.notEqual(await backendOf(connection), backend);
          const [transaction] = effectsOf(directory, token);
          const steps = await stepsOf(connection.local);
          assert.ok(
            steps.some(step => step.startsWith(`transaction ${transaction}: backend-`)),
            `the logger knows it by that name: ${steps.join(', ')}`,
          );
          await connection.close();
          // What a frozen one goes on with changes nothing.
          await lab.heal();
          assert.equal(effectsOf(directory, token).length, 1);
        },
      );
    }
  }
}
