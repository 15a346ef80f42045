/**
 * Two back ends that do not agree about a response, and the first of them falls silent in its middle, or crashes while nobody reads: the
 * client gets all of one response, or a reset, and never a byte of the second one. At every byte: apps/logger/test/regenerated.test.ts.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NetnsEngine } from '@resplice/engines';
import type { Client, ClientConnection } from './fixtures/client.ts';
import { output } from './fixtures/command.ts';
import type { ExchangeError } from './fixtures/exchange.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

const HEAD_BYTES = 'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 100000\r\n\r\n'.length;
const BODY_BYTES = 100_000;
const LOGGER = '/run/resplice/logger-1/logger.sock';
const server = fileURLToPath(new URL('fixtures/unlike-server.ts', import.meta.url));

let lab: Lab;
let client: Client;
before(async () => {
  lab = await Lab.up({ backendCommand: `exec ${process.execPath} ${server}` });
  client = await lab.client();
});
after(() => lab?.down());

/** A connection that has backend-1. */
async function atFirst(): Promise<ClientConnection> {
  return waitFor('a connection to backend-1', 20_000, async () => {
    const connection = await client.connect({ ...lab.site, bufferBytes: 8192 });
    const { text } = await connection.request({ path: '/whoami' }).done;
    if (text === '{"backend":"backend-1"}') return connection;
    await connection.close();
    return undefined;
  });
}

async function asked(path: string): Promise<string> {
  return output(['curl', '-sS', '--unix-socket', LOGGER, `http://admin${path}`]);
}

async function differing(): Promise<number> {
  const found = /events_total\{[^}]*"differs"[^}]*\} (\d+)/.exec(await asked('/metrics'));
  return Number(found?.[1]);
}

for (const [how, stop, paused] of [
  ['longer', HEAD_BYTES, false],
  ['shorter', 40_000, false],
  ['status', 40_000, true],
  ['other', 40_000, false],
  ['version', HEAD_BYTES + 80_000, false],
  ['garbage', HEAD_BYTES, false],
] as const) {
  labTest(
    `${how}, after ${stop} bytes${paused ? ', nothing of which is read' : ''}: reset, nothing of the second response`,
    () => lab,
    async () => {
      const connection = await atFirst();
      const before = await differing();
      const transfer = connection.request({ path: `/unlike/${how}?stop=${stop}`, patternFrom: 0 });
      // A broken exchange is looked at below.
      const failed = transfer.done.then(
        () => assert.fail('it was answered'),
        (error: ExchangeError) => error.failure,
      );
      // A reader that has paused is nobody's fault, so nobody would be suspected.
      if (paused) {
        await connection.pause();
        await waitFor('the response to begin', 5000, async () =>
          (await asked('/status')).includes(' GET response'),
        );
        await new NetnsEngine().crash('backend-1');
      }
      await waitFor('the verdict', 20_000, async () => (await differing()) === before + 1);
      if (paused) await connection.resume();
      const { kind, received } = await failed;
      assert.equal(kind, 'reset');
      assert.ok(received <= stop - HEAD_BYTES, `${received} bytes came, the first back end sent ${stop}`);
      assert.match(
        await asked(`/trace?client=${connection.local}`),
        /reset: backend-2 gave another response at byte \d+/,
      );
    },
  );
}

for (const stop of [HEAD_BYTES, HEAD_BYTES + 80_000]) {
  labTest(
    `the same, after ${stop} bytes: transparent`,
    () => lab,
    async () => {
      const connection = await atFirst();
      const transfer = connection.request({ path: `/unlike/same?stop=${stop}`, patternFrom: 0 });
      const { received, firstDifference } = await transfer.done;
      assert.deepEqual([received, firstDifference], [BODY_BYTES, -1]);
      assert.match(await asked(`/trace?client=${connection.local}`), /backend-1 is silent for too long/);
      await connection.close();
    },
  );
}
