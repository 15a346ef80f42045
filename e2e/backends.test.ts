/** Servers that know nothing of the tier, unmodified, as back ends. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { HUNDRED_MB, HUNDRED_MB_SHA256, siteFiles } from '@resplice/demo';
import { NetnsEngine } from '@resplice/engines';
import { curlDownload } from './fixtures/curl.ts';
import { assertDuring, assertMoved, breakServingProxy } from './fixtures/drill.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { isAt, traceOf } from './fixtures/logger.ts';
import { type StaticSite, writeStaticSite } from './fixtures/static-site.ts';

/** Bytes a second: so slow that a busy machine can ask for the status before the end. */
const PACE = 25e6;

/** Each server gives its own name, in a header that does not matter. */
const RULES = `
listeners: [{ name: web, port: 80, pool: web, mask: [X-Backend] }]
pools: { web: { backends: all } }
`;

let site: StaticSite;
let config: string;
before(async () => {
  site = await writeStaticSite();
  config = join(site.directory, 'resplice.yaml');
  writeFileSync(config, RULES);
});
after(() => site?.remove());

for (const [name, command] of [
  ['nginx', () => site.nginx],
  ["Python's http.server", () => site.python],
] as const) {
  describe(name, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.up({ backendCommand: command(), config });
    });
    after(() => lab?.down());
    const theLab = (): Lab => lab;

    labTest(`${name} serves the page and its pictures`, theLab, async () => {
      for (const { path, content } of siteFiles()) {
        const url = `http://${lab.vip.address}:${lab.vip.port}${path}`;
        const { code, bytes, stderr } = await curlDownload(lab.clientNamespace, [url]);
        assert.deepEqual([code, bytes, stderr], [0, content().length, ''], path);
      }
    });

    labTest(`${name} serves 100 MB with the right hash`, theLab, async () => {
      const url = `http://${lab.vip.address}:${lab.vip.port}/100mb.bin`;
      const { code, bytes, sha256, stderr } = await curlDownload(lab.clientNamespace, [url]);
      assert.deepEqual([code, bytes, sha256, stderr], [0, HUNDRED_MB, HUNDRED_MB_SHA256, '']);
    });

    labTest(`${name}: a download outlives the crash of its proxy`, theLab, async t => {
      const client = await lab.client();
      const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
      const transfer = connection.request({ path: '/100mb.bin', patternFrom: 0, bytesPerSecond: PACE });
      await transfer.received(HUNDRED_MB / 5);
      const injected = await breakServingProxy(lab, 'crash', connection);
      // Before the end: a server that closes its connections takes the entry along.
      await transfer.received(0.5 * HUNDRED_MB);
      await assertMoved(lab, injected, connection);
      const exchange = await transfer.done;
      assert.deepEqual([exchange.received, exchange.firstDifference], [HUNDRED_MB, -1]);
      assert.equal(exchange.sha256, HUNDRED_MB_SHA256);
      assertDuring(injected, exchange);
      t.diagnostic(`stall ${exchange.longestStallMs.toFixed(0)} ms`);
      await connection.close();
    });

    labTest(`${name}: a download outlives the crash of its back end`, theLab, async t => {
      const client = await lab.client();
      const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
      const transfer = connection.request({ path: '/100mb.bin', patternFrom: 0, bytesPerSecond: PACE });
      await transfer.received(HUNDRED_MB / 5);
      const { backend } = await isAt('response', connection);
      const fault = await new NetnsEngine().crash(backend!);
      const exchange = await transfer.done;
      assert.deepEqual([exchange.received, exchange.firstDifference], [HUNDRED_MB, -1]);
      assertDuring(fault, exchange);
      assert.match(await traceOf(connection), /passed.*moved/s);
      t.diagnostic(`stall ${exchange.longestStallMs.toFixed(0)} ms`);
      await connection.close();
    });
  });
}
