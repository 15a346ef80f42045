/** What the tier says about itself is true, and in time; and a scraper can read it. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import type { LabStatus } from '@resplice/engines';
import { get } from './fixtures/admin.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { parseMetrics } from './fixtures/prometheus.ts';
import { waitFor } from './fixtures/wait.ts';

/** `status` is true to the second. */
const TRUE_MS = 1000;

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

/** ms from now until a look at the status began that showed it. */
async function untilShown(what: string, shows: (status: LabStatus) => boolean): Promise<number> {
  const started = performance.now();
  let looked = 0;
  await waitFor(what, 10_000, async () => {
    looked = performance.now();
    return shows(await lab.status());
  });
  return looked - started;
}

const lists = (status: LabStatus, local: string): boolean =>
  status.connections.some(({ client }) => client === local);

labTest(
  'a connection is listed within a second of its opening, and gone within one of its end',
  theLab,
  async t => {
    const client = await lab.client();
    for (const end of ['by the client', 'by the server'] as const) {
      const connection = await client.connect(lab.site);
      const headers = end === 'by the server' ? { Connection: 'close' } : {};
      // Of a connection that the server ends, only the end can be seen.
      const exchange = connection.request({ path: '/slow?ms=3000', headers });
      const appeared = await untilShown('the connection to appear', status =>
        lists(status, connection.local),
      );
      await exchange.done;
      await connection.close();
      const vanished = await untilShown(
        'the connection to vanish',
        status => !lists(status, connection.local),
      );
      t.diagnostic(
        `ended ${end}: listed after ${appeared.toFixed(0)} ms, gone after ${vanished.toFixed(0)} ms`,
      );
      assert.ok(appeared <= TRUE_MS && vanished <= TRUE_MS);
    }
  },
);

for (const [component, process] of [
  ['lb-1', 'lb'],
  ['proxy-1', 'proxy'],
  ['logger-1', 'logger'],
  ['backend-1', 'agent'],
] as const) {
  labTest(`${component}/${process} is shown as gone within a second of its death`, theLab, async t => {
    const { processes } = await lab.component(component);
    globalThis.process.kill(processes[process]!, 'SIGKILL');
    const shown = await untilShown(`${component}/${process} to be shown as gone`, status => {
      const found = status.components.find(({ name }) => name === component)!;
      return found.processes[process] === undefined && found.state !== 'up';
    });
    t.diagnostic(`shown after ${shown.toFixed(0)} ms`);
    assert.ok(shown <= TRUE_MS);
    await lab.fault('restart', `${component}/${process}`);
  });
}

labTest('every daemon speaks what Prometheus reads', theLab, async t => {
  await (await lab.client()).fetch(lab.site, { path: '/whoami' });
  let daemons = 0;
  for (const { name, processes } of (await lab.status()).components) {
    for (const process of Object.keys(processes)) {
      if (process === 'demo') continue;
      const { status, contentType, body } = await get(name, process, '/metrics');
      assert.equal(status, 200);
      assert.match(contentType, /^text\/plain; version=0\.0\.4(;|$)/);
      const samples = parseMetrics(body);
      const own = samples.filter(sample => sample.name.startsWith('resplice_'));
      assert.ok(own.length > 10, `${name}/${process} tells ${own.length} things`);
      assert.ok(
        own.some(
          sample =>
            sample.name.endsWith('_packets_total') && sample.labels.exit !== undefined && sample.value > 0,
        ),
        `${name}/${process} counts packets`,
      );
      daemons++;
    }
  }
  t.diagnostic(`${daemons} daemons`);
  assert.equal(daemons, 6);
});
