/** Proxies that come back: connections move to them again, and the next fault finds them there. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import type { ClientConnection } from './fixtures/client.ts';
import { breakServingProxy } from './fixtures/drill.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

const PACE = 40e6;
const BUFFER = 131_072;

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

function passes(connection: ClientConnection, proxy: string): Promise<unknown> {
  return waitFor(`${connection.local} to pass ${proxy}`, 5000, async () => {
    return (await lab.connection(connection.local)).proxy === proxy;
  });
}

/** Bytes that a proxy has received from the middle network: what back ends answer, and a few probes. */
async function fromTheMiddle(proxy: string): Promise<number> {
  const { stdout } = await lab.exec(proxy, ['ip', '-json', '-statistics', 'link', 'show', 'dev', 'middle0']);
  return JSON.parse(stdout)[0].stats64.rx.bytes;
}

labTest('both directions of a connection pass the proxy that status names', theLab, async () => {
  const client = await lab.client();
  const connection = await client.connect({ ...lab.site, bufferBytes: BUFFER });
  const transfer = connection.request({ path: '/bytes/100000000', patternFrom: 0, bytesPerSecond: PACE });
  await transfer.received(1_000_000);
  const { proxy } = await lab.connection(connection.local);
  const other = proxy === 'proxy-1' ? 'proxy-2' : 'proxy-1';
  const before = [await fromTheMiddle(proxy), await fromTheMiddle(other)] as const;
  const seen = transfer.progress.received;
  await transfer.done;
  const own = (await fromTheMiddle(proxy)) - before[0];
  const others = (await fromTheMiddle(other)) - before[1];
  assert.ok(seen < 60_000_000, 'inconclusive: the download was nearly over');
  assert.ok(own > 40_000_000, `only ${own} bytes came by way of ${proxy}`);
  assert.ok(others < 1_000_000, `${others} bytes came by way of ${other}`);
  await connection.close();
});

for (const fault of ['crash', 'cut', 'freeze'] as const) {
  labTest(
    `a download moves away at the ${fault} of its proxy, and back when that is healed`,
    theLab,
    async t => {
      const bytes = 400_000_000;
      const client = await lab.client();
      const connection = await client.connect({ ...lab.site, bufferBytes: BUFFER });
      const transfer = connection.request({ path: `/bytes/${bytes}`, patternFrom: 0, bytesPerSecond: PACE });
      await transfer.received(10_000_000);
      const { proxy } = await breakServingProxy(lab, fault, connection);
      await passes(connection, proxy === 'proxy-1' ? 'proxy-2' : 'proxy-1');
      await lab.heal();
      await passes(connection, proxy);
      const { received } = transfer.progress;
      assert.ok(received < bytes, 'inconclusive: the download was over before its proxy was back');
      const exchange = await transfer.done;
      assert.deepEqual([exchange.received, exchange.firstDifference], [bytes, -1]);
      t.diagnostic(`back after ${received} bytes; longest stall ${exchange.longestStallMs.toFixed(0)} ms`);
      await connection.close();
    },
  );
}

labTest('one connection outlives four faults, one after the other', theLab, async t => {
  const bytes = 2 ** 30;
  const client = await lab.client();
  const connection = await client.connect({ ...lab.site, bufferBytes: BUFFER });
  // Half the pace: four faults and four recoveries of a busy machine must fit into one download.
  const request = { path: `/bytes/${bytes}`, patternFrom: 0, bytesPerSecond: PACE / 2, deadlineMs: 150_000 };
  const transfer = connection.request(request);
  await transfer.received(5_000_000);
  for (const fault of ['crash', 'cut', 'crash', 'cut'] as const) {
    const { proxy } = await breakServingProxy(lab, fault, connection);
    await passes(connection, proxy === 'proxy-1' ? 'proxy-2' : 'proxy-1');
    await lab.heal();
  }
  const { received } = transfer.progress;
  assert.ok(received < bytes, 'inconclusive: the download was over before the last fault');
  const exchange = await transfer.done;
  assert.deepEqual([exchange.received, exchange.firstDifference], [bytes, -1]);
  t.diagnostic(
    `the last fault was over at ${received} bytes; longest stall ${exchange.longestStallMs.toFixed(0)} ms`,
  );
  const again = await connection.request({ path: '/whoami' }).done;
  assert.equal(JSON.parse(again.text!).client.port, Number(connection.local.split(':')[1]));
  await connection.close();
});
