/**
 * What the logger keeps has bounds: long requests go to disk, longer ones are not kept, and connections that are idle for longest make
 * room for new ones (apps/logger/README.md).
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { get } from './fixtures/admin.ts';
import type { ClientConnection } from './fixtures/client.ts';
import { ExchangeError } from './fixtures/exchange.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { backendOf } from './fixtures/served.ts';
import { waitFor } from './fixtures/wait.ts';

const SPILL_BYTES = 20_000_000;
const SLOTS = 1024;
const RULES = `
listeners: [{ name: web, port: 80, pool: web }]
pools: { web: { backends: all } }
limits: { connections: ${SLOTS} }
recovery: { requestBytes: 1048576, spillBytes: ${SPILL_BYTES} }
`;

let lab: Lab;
before(async () => {
  lab = await Lab.up({ rules: RULES });
});
after(() => lab?.down());

async function connect(): Promise<ClientConnection> {
  return (await lab.client()).connect({ ...lab.site, bufferBytes: 131_072 });
}

/** @param name as /metrics has it, behind the role */
async function metric(name: string): Promise<number> {
  const { body } = await get('logger-1', 'logger', '/metrics');
  const line = body.split('\n').find(each => each.startsWith(`resplice_front_${name} `));
  assert.ok(line, `the logger has no ${name}`);
  return Number(line.split(' ')[1]);
}

/** Uploads at a pace at which a fault meets it, and has the back end crash when so much is sent. */
async function uploadAcrossCrash(bytes: number, crashAt: number) {
  const connection = await connect();
  const backend = await backendOf(connection);
  const upload = connection.request({
    ...{ method: 'POST', path: '/upload', bytesPerSecond: 10e6 },
    upload: { bytes },
  });
  // Its rejection is looked at below.
  upload.done.catch(() => {});
  await upload.sent(crashAt);
  const spilled = await metric('spilled_bytes');
  await lab.fault('crash', backend);
  return { upload, spilled, connection, backend };
}

labTest(
  'a long upload goes to disk, and from there to another back end',
  () => lab,
  async t => {
    const bytes = SPILL_BYTES - 1_000_000;
    const { upload, spilled, connection, backend } = await uploadAcrossCrash(bytes, bytes / 2);
    t.diagnostic(`${spilled} bytes were on disk`);
    assert.ok(spilled > 0);
    const { text } = await upload.done;
    assert.deepEqual(JSON.parse(text!), { bytes, sha256: patternHash(bytes) });
    assert.notEqual(await backendOf(connection), backend);
    await waitFor('the file to be gone', 10_000, async () => (await metric('spilled_bytes')) === 0);
    await lab.heal();
  },
  120_000,
);

labTest(
  'one that is longer than what is kept passes, and is reset when its back end fails',
  () => lab,
  async () => {
    const bytes = 2 * SPILL_BYTES;
    const before = await metric('events_total{event="requests_too_long"}');
    const whole = await (await connect()).request({
      ...{ method: 'POST', path: '/upload' },
      upload: { bytes },
    }).done;
    assert.deepEqual(JSON.parse(whole.text!), { bytes, sha256: patternHash(bytes) });
    assert.equal(await metric('events_total{event="requests_too_long"}'), before + 1);
    const { upload } = await uploadAcrossCrash(bytes, SPILL_BYTES + 5_000_000);
    await assert.rejects(upload.done, ExchangeError);
    assert.equal(await metric('spilled_bytes'), 0);
    await lab.heal();
  },
  120_000,
);

labTest(
  'a full table: those idle for longest make room, and the newest connections are protected',
  () => lab,
  async t => {
    let newest: ClientConnection | undefined;
    for (let opened = 0; opened < SLOTS + 200; opened += 50) {
      await waitFor('room in the table', 20_000, async () => (await metric('connections')) < SLOTS - 50);
      const batch = await Promise.all(Array.from({ length: 50 }, () => connect()));
      await Promise.all(batch.map(backendOf));
      newest = batch.at(-1)!;
    }
    const evicted = await metric('events_total{event="evicted"}');
    t.diagnostic(`${evicted} made room`);
    assert.ok(evicted > 0);
    assert.equal(await metric('packets_total{exit="middle_no_room"}'), 0);
    const backend = await backendOf(newest!);
    await lab.fault('crash', backend);
    assert.notEqual(await backendOf(newest!), backend);
    await lab.heal();
  },
  180_000,
);
