/** A connection is seen through its moves: in `status` while it lives, step by step by `./resplice trace`. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import type { Trace } from '@resplice/engines';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest, resplice } from './fixtures/lab.ts';

const BYTES = 20_000_000;
/** In this order, others between them. */
const STEPS = ['suspected', 'fenced', 'SYN to', 'connected', 'replayed', 'passed', 'moved'];

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

async function traceOf(client: string): Promise<Trace> {
  const { code, stdout, stderr } = await resplice(['trace', client, '--json']);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

for (const [fault, reason] of [
  ['crash', /^suspected: backend-\d (closed it|reset it|is silent)/],
  ['cut', /^suspected: backend-\d is silent/],
] as const) {
  labTest(`a download through the ${fault} of its back end is traced step by step`, theLab, async t => {
    const client = await lab.client();
    const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
    const transfer = connection.request({
      path: `/bytes/${BYTES}`,
      patternFrom: 0,
      bytesPerSecond: 10e6,
    });
    await transfer.received(BYTES / 10);
    const before = await lab.connection(connection.local);
    assert.match(before.transaction ?? '', /^1 GET response$/);
    assert.deepEqual([before.state, before.reason, before.failovers], ['passing', null, 0]);
    await lab.fault(fault, before.backend!);
    const exchange = await transfer.done;
    assert.deepEqual([exchange.received, exchange.sha256], [BYTES, patternHash(BYTES)]);
    const after = await lab.connection(connection.local);
    assert.deepEqual([after.state, after.failovers], ['passing', 1]);
    assert.notEqual(after.backend, before.backend);

    const trace = await traceOf(connection.local);
    const said = trace.steps.map(({ what }) => what);
    t.diagnostic(said.join('; '));
    assert.match(said[0]!, reason);
    const places = STEPS.map(step => said.findIndex(what => what.startsWith(step)));
    assert.deepEqual(
      places,
      [...places].sort((a, b) => a - b),
      'in their order',
    );
    assert.ok(!places.includes(-1), said.join('; '));
    assert.equal(said.filter(what => what === 'first byte').length, 1);
    const times = trace.steps.map(({ atMs }) => atMs);
    assert.ok(times[0]! > exchange.startedAt && times.at(-1)! < exchange.endedAt, 'while it was under way');
    assert.deepEqual([trace.connection?.state, trace.connection?.backend], ['passing', after.backend]);

    const byAddress = await resplice(['trace', connection.local.split(':')[0]!]);
    assert.match(byAddress.stdout, new RegExp(`^${connection.local} to .* passing, ${after.backend}\n`));
    assert.match(byAddress.stdout, /^ +0\.0 ms {2}suspected: /m);
    await connection.close();
  });
}

labTest('a connection that never moved, and one that nobody knows', theLab, async () => {
  const client = await lab.client();
  const connection = await client.connect(lab.site);
  await connection.request({ path: '/whoami' }).done;
  const { steps, connection: view } = await traceOf(connection.local);
  assert.deepEqual([steps, view?.failovers], [[], 0]);
  await connection.close();

  const unknown = await resplice(['trace', '10.61.0.99']);
  assert.deepEqual([unknown.code, unknown.stdout], [1, '']);
  assert.match(unknown.stderr, /no connection of 10\.61\.0\.99 is open/);
  assert.equal((await resplice(['trace', 'somebody'])).code, 64);
  assert.equal((await resplice(['trace'])).code, 64);
});
