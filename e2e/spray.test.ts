/** Every packet takes any of three proxies (P3.1): nothing may depend on a connection's packets meeting the same one. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { postThrough } from './fixtures/post-crowd.ts';

/** FAULTS.md: the stall that a dead proxy may add on a LAN. */
const STALL_MS = 300;
/** One connection in the middle of everything may lose a packet and its retransmission. */
const WORST_MS = 2000;

let lab: Lab;
before(async () => {
  lab = await Lab.up({ proxies: 3, steering: 'spray' });
});
after(() => lab?.down());
const theLab = (): Lab => lab;

async function splicedBy(proxy: string): Promise<number> {
  return (await lab.component(proxy)).metrics['packets_total.front_spliced'] ?? 0;
}

labTest('a download passes all proxies, and every byte is right', theLab, async () => {
  const client = await lab.client();
  const proxies = ['proxy-1', 'proxy-2', 'proxy-3'];
  const earlier = await Promise.all(proxies.map(splicedBy));
  const { firstDifference, sha256 } = await client.fetch(lab.site, {
    path: '/bytes/50000000',
    patternFrom: 0,
  });
  assert.deepEqual([firstDifference, sha256], [-1, patternHash(50_000_000)]);
  for (const [i, proxy] of proxies.entries()) {
    assert.ok((await splicedBy(proxy)) > earlier[i]! + 10, `${proxy} translated nothing`);
  }
});

labTest('uploads and heads of several segments arrive whole, whoever gets which part', theLab, async () => {
  const client = await lab.client();
  for (let round = 0; round < 20; round++) {
    const bytes = 20_000 + round;
    const headers = { 'X-Long': 'a'.repeat(200 * round) };
    const exchange = await client.fetch(lab.site, {
      method: 'POST',
      path: '/upload',
      upload: { bytes },
      headers,
    });
    assert.deepEqual(JSON.parse(exchange.text!), { bytes, sha256: patternHash(bytes) });
  }
});

labTest('200 connections at once, every hash right', theLab, async () => {
  const client = await lab.client();
  const bytes = 200_000;
  const exchanges = await Promise.all(
    Array.from({ length: 200 }, () => client.fetch(lab.site, { path: `/bytes/${bytes}`, patternFrom: 0 })),
  );
  for (const { sha256 } of exchanges) assert.equal(sha256, patternHash(bytes));
});

for (const fault of ['crash', 'cut'] as const) {
  labTest(`${fault} of any proxy in a download: no proxy's death is noticed`, theLab, async t => {
    const client = await lab.client();
    const stalls: number[] = [];
    for (const proxy of ['proxy-1', 'proxy-2', 'proxy-3']) {
      const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
      const bytes = 60_000_000;
      const transfer = connection.request({ path: `/bytes/${bytes}`, patternFrom: 0, bytesPerSecond: 30e6 });
      await transfer.received(bytes / 10);
      const { at } = await lab.fault(fault, proxy);
      const { firstDifference, sha256, endedAt, longestStallMs } = await transfer.done;
      assert.ok(endedAt > at, 'inconclusive: over before the fault');
      assert.deepEqual([firstDifference, sha256], [-1, patternHash(bytes)]);
      stalls.push(longestStallMs);
      await connection.close();
      await lab.heal();
    }
    t.diagnostic(`longest stalls (ms): ${stalls.map(stall => stall.toFixed(0)).join(', ')}`);
    stalls.sort((a, b) => a - b);
    assert.ok(stalls[1]! <= STALL_MS, `median stall ${stalls[1]} ms`);
    assert.ok(stalls[2]! <= WORST_MS, `worst stall ${stalls[2]} ms`);
  });

  labTest(
    `${fault} of a proxy while connections are set up through all: each POST is answered and runs once`,
    theLab,
    async t => {
      const { posts, slowestMs } = await postThrough(
        lab,
        async () => (await lab.fault(fault, 'proxy-2')).at,
        `spray-${fault}-${process.pid}`,
      );
      t.diagnostic(`${posts} connections, the slowest answer took ${slowestMs.toFixed(0)} ms`);
    },
    90_000,
  );
}
