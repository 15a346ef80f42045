/**
 * The logger's daemon dies or stands still: its kernel half goes on, nobody notices, and the daemon that comes next protects the
 * connections that it finds (docs/FAULTS.md).
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { get } from './fixtures/admin.ts';
import type { ClientConnection } from './fixtures/client.ts';
import { assertDuring } from './fixtures/drill.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest, resplice } from './fixtures/lab.ts';
import { backendOf } from './fixtures/served.ts';
import { waitFor } from './fixtures/wait.ts';

const LOGGER = 'logger-1/logger';
const BYTES = 30_000_000;
const PACE = 10e6;

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());

async function connect(): Promise<ClientConnection> {
  return (await lab.client()).connect({ ...lab.site, bufferBytes: 131_072 });
}

/** @returns how often the logger's daemon has done that since it began */
async function counted(event: string): Promise<number> {
  const { body } = await get('logger-1', 'logger', '/metrics');
  const [, value] = new RegExp(`events_total\\{event="${event}"\\} (\\d+)`).exec(body) ?? [];
  assert.ok(value !== undefined, `the logger counts no ${event}`);
  return Number(value);
}

/** As the logger has it. */
async function stateOf(connection: ClientConnection): Promise<string> {
  return (await lab.connection(connection.local)).state;
}

for (const fault of ['restart', 'freeze'] as const) {
  labTest(
    `${fault} of the logger's daemon: transfers go on, and a back end's crash afterwards is not noticed`,
    () => lab,
    async t => {
      const [idle, down, up] = [await connect(), await connect(), await connect()];
      const before = await backendOf(idle);
      const download = down.request({ path: `/bytes/${BYTES}`, patternFrom: 0, bytesPerSecond: PACE });
      const upload = up.request({
        ...{ method: 'POST', path: '/upload', bytesPerSecond: PACE },
        upload: { bytes: BYTES },
      });
      await Promise.all([download.received(BYTES / 4), upload.sent(BYTES / 4)]);
      const { at } = await lab.fault(fault, LOGGER);
      const [received, sent] = await Promise.all([download.done, upload.done]);
      assertDuring({ at }, received);
      assertDuring({ at }, sent);
      assert.deepEqual([received.sha256, received.firstDifference], [patternHash(BYTES), -1]);
      assert.deepEqual(JSON.parse(sent.text!), { bytes: BYTES, sha256: patternHash(BYTES) });
      const stalls = [received, sent].map(each => Math.round(each.longestStallMs));
      t.diagnostic(`longest stalls: download ${stalls[0]} ms, upload ${stalls[1]} ms`);
      await lab.heal();
      await waitFor('the logger to answer', 10_000, () => counted('opened').then(() => true));
      if (fault === 'restart') {
        const [adopted, abandoned] = [await counted('adopted'), await counted('abandoned')];
        t.diagnostic(`${adopted} adopted, ${abandoned} not`);
        assert.ok(adopted >= 2, 'the idle one, and the download');
      }
      t.diagnostic(
        `idle ${await stateOf(idle)}, download ${await stateOf(down)}, upload ${await stateOf(up)}`,
      );
      const downs = await backendOf(down);
      await lab.fault('crash', before);
      assert.notEqual(await backendOf(idle), before, 'another back end, the same connection');
      if (downs === before) assert.notEqual(await backendOf(down), before);
      await Promise.all([idle.close(), down.close(), up.close()].map(each => each.catch(() => {})));
      await lab.heal();
    },
    180_000,
  );
}

labTest(
  "the logger's daemon starts anew while a request waits for a back end: it is answered, and its connection lives",
  () => lab,
  async t => {
    const [waiting, resting] = [await connect(), await connect()];
    await Promise.all([waiting, resting].map(backendOf));
    for (const backend of ['backend-1', 'backend-2']) await lab.fault('crash', backend);
    const request = waiting.request({ path: '/whoami' });
    await waitFor('the request to be held', 10_000, async () => (await stateOf(waiting)) === 'moving');
    await lab.fault('restart', LOGGER);
    const { status } = await request.done;
    assert.ok([200, 502, 503].includes(status), `status ${status}`);
    t.diagnostic(`answered with ${status}`);
    await lab.heal();
    await Promise.all([waiting, resting].map(backendOf));
    await Promise.all([waiting, resting].map(each => each.close()));
  },
  120_000,
);

labTest(
  'a connection that has just ended ends for the next daemon too, and a back end that had it can be emptied',
  () => lab,
  async () => {
    const over = await connect();
    const backend = await backendOf(over);
    await over.close();
    await lab.fault('restart', LOGGER);
    await waitFor('the logger to answer', 10_000, () => counted('opened').then(() => true));
    assert.equal(await counted('abandoned'), 0, 'nothing of it is left to protect');
    const { code, stdout } = await resplice(['drain', backend, '--deadline', '5']);
    assert.equal(code, 0, stdout);
    await waitFor('the connection to be forgotten', 15_000, async () => {
      const { connections } = await lab.status();
      return connections.every(({ client }) => client !== over.local);
    });
    await lab.heal();
  },
  60_000,
);

labTest(
  "the logger's daemon stays dead: downloads, uploads and new connections go on unprotected",
  () => lab,
  async () => {
    const idle = await connect();
    await backendOf(idle);
    await lab.fault('crash', LOGGER);
    // More than the ring holds, so that all of it passes only when the kernel half has lost its patience.
    const bytes = 200_000_000;
    const upload = await (await connect()).request({
      ...{ method: 'POST', path: '/upload' },
      upload: { bytes },
    }).done;
    assert.deepEqual(JSON.parse(upload.text!), { bytes, sha256: patternHash(bytes) });
    const download = await (await connect()).request({ path: `/bytes/${bytes}`, patternFrom: 0 }).done;
    assert.deepEqual([download.sha256, download.firstDifference], [patternHash(bytes), -1]);
    await backendOf(idle);
    await lab.heal();
    await waitFor('the logger to answer', 10_000, () => counted('opened').then(() => true));
    assert.equal(await stateOf(idle), 'unprotected');
    await backendOf(idle);
    const fresh = await connect();
    const before = await backendOf(fresh);
    await lab.fault('crash', before);
    assert.notEqual(await backendOf(fresh), before, 'new ones are protected again');
    await lab.heal();
  },
  180_000,
);
