/**
 * Two back ends that do not agree about a response, and the first of them falls silent in its middle, or crashes while nobody reads: the
 * client gets all of one response, or a reset, and never a byte of the second one. At every byte: apps/logger/test/regenerated.test.ts.
 * What their site masks may differ: the client keeps what it has.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NetnsEngine } from '@resplice/engines';
import type { Client, ClientConnection, Transfer } from './fixtures/client.ts';
import type { ExchangeError } from './fixtures/exchange.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { eventsOf, isAt, traceOf } from './fixtures/logger.ts';
import { trackOf } from './fixtures/tracks.ts';
import { waitFor } from './fixtures/wait.ts';

const HEAD_BYTES = 'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 100000\r\n\r\n'.length;
const BODY_BYTES = 100_000;
const server = fileURLToPath(new URL('fixtures/unlike-server.ts', import.meta.url));

const SITE = `
listeners:
  - name: web
    port: 80
    routes:
      - { match: { pathPrefix: /masked }, mask: [ETag, Server, Set-Cookie], timeouts: patient, pool: web }
      - { match: { pathPrefix: /unlike }, timeouts: hasty, pool: web }
      - { pool: web }
pools: { web: { backends: all } }
timeoutClasses:
  hasty:
    first: { floor: 2s, start: 2s }
    rest: { floor: 2s, start: 2s }
  patient: # what is to tell there is a death, not silence
    first: { floor: 30s, start: 30s }
    rest: { floor: 30s, start: 30s }
`;

let lab: Lab;
let client: Client;
before(async () => {
  lab = await Lab.up({ backendCommand: `exec ${process.execPath} ${server}`, rules: SITE });
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

async function differing(): Promise<number> {
  return (await eventsOf('differs')).differs!;
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
        await isAt('response', connection);
        await new NetnsEngine().crash('backend-1');
      }
      await waitFor('the verdict', 20_000, async () => (await differing()) === before + 1);
      if (paused) await connection.resume();
      const { kind, received } = await failed;
      assert.equal(kind, 'reset');
      assert.ok(received <= stop - HEAD_BYTES, `${received} bytes came, the first back end sent ${stop}`);
      assert.match(await traceOf(connection), /reset: backend-2 gave another response at byte \d+/);
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
      assert.match(await traceOf(connection), /backend-1 is silent for too long/);
      await connection.close();
    },
  );
}

/** Makes a request of which the first back end sends so many bytes, and resolves when the client has acknowledged all of these. */
async function halfAnswered(connection: ClientConnection, how: string, stop: number): Promise<Transfer> {
  const before = trackOf(connection.local, lab.vip).serverNext;
  const transfer = connection.request({ path: `/masked/${how}?stop=${stop}`, patternFrom: 0 });
  await waitFor('what the first back end sends', 10_000, () => {
    const { serverNext, clientAck } = trackOf(connection.local, lab.vip);
    return clientAck === serverNext && (serverNext - before) >>> 0 === stop;
  });
  return transfer;
}

/** Bytes of the first server's head, where clocks, versions, tags and cookies are its own. */
const MASKED_HEAD_BYTES = 227;

for (const stop of [120, MASKED_HEAD_BYTES + 30_000, MASKED_HEAD_BYTES + 80_000]) {
  labTest(
    `two servers that differ in what is masked, and the first one dies after some ${stop} bytes: transparent`,
    () => lab,
    async () => {
      const connection = await atFirst();
      const transfer = await halfAnswered(connection, 'same', stop);
      await new NetnsEngine().crash('backend-1');
      // The first server had sent no more, so the rest is the second one's.
      const { received, firstDifference, headers } = await transfer.done;
      assert.deepEqual([received, firstDifference], [BODY_BYTES, -1]);
      if (stop > MASKED_HEAD_BYTES)
        assert.deepEqual(
          [headers.date?.slice(-6), headers.server, headers.etag, headers['set-cookie']],
          ['01 GMT', 'httpd/1.22.1', '"1"', 'node=1; Path=/'],
          'a client keeps the head that it has',
        );
      assert.match(await traceOf(connection), /backend-2.*passed.*moved/s);
      await connection.close();
    },
  );
}

for (const how of ['modified', 'type', 'lengthened', 'field', 'content']) {
  labTest(
    `two servers that differ in more than what is masked (${how}), and the first one dies: reset, nothing of the second response`,
    () => lab,
    async () => {
      const connection = await atFirst();
      const before = await differing();
      const stop = MASKED_HEAD_BYTES + 40_000;
      const transfer = await halfAnswered(connection, how, stop);
      const failed = transfer.done.then(
        () => assert.fail('it was answered'),
        (error: ExchangeError) => error.failure,
      );
      await new NetnsEngine().crash('backend-1');
      const { kind, received } = await failed;
      assert.equal(kind, 'reset');
      assert.ok(received <= stop - MASKED_HEAD_BYTES, `${received} bytes came`);
      assert.equal(await differing(), before + 1);
    },
  );
}
