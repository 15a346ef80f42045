/** Crowds and floods: others do not notice. Figures are of a machine that carries the whole lab, clients included, on two cores. */
import assert from 'node:assert/strict';
import { after, before, type TestContext } from 'node:test';
import { type Connection, NetnsEngine } from '@resplice/engines';
import { quantile } from '@resplice/figures';
import type { Client } from './fixtures/client.ts';
import { flood } from './fixtures/flood.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { inWords, requestFor } from './fixtures/probing.ts';
import { sendSlowHeads } from './fixtures/slow-heads.ts';
import { downloadThrough, RECOVERY_MS } from './fixtures/thousand.ts';

/**
 * Honest requests may take so many times as long during an attack as before, and this much more, in ms: the attacker's own
 * program, and the answers to it, take their part of the same two cores.
 */
const SLOWER = 5;
const GRACE_MS = 20;

/**
 * After a proxy's death, of the slowest. These readers pause for a second each time, and a few window updates are lost in the gap: a
 * server asks again in ever longer steps (FAULTS.md, "about as long again").
 */
const PAUSED_MS = 5000;

let lab: Lab;
let client: Client;
before(async () => {
  lab = await Lab.up();
  client = await lab.client();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

async function thousandDownloads(
  t: TestContext,
  isStruck: (connection: Connection) => boolean,
  strike: () => Promise<{ at: number }>,
  mostMs = RECOVERY_MS,
): Promise<void> {
  const { struck, stallsMs } = await downloadThrough(lab, isStruck, strike);
  const [p50, p99, most] = [0.5, 0.99, 1].map(share => quantile(stallsMs, share).toFixed(0));
  t.diagnostic(`${struck} were struck; stall p50 ${p50}, p99 ${p99}, max ${most} ms`);
  assert.ok(quantile(stallsMs, 0.99) <= RECOVERY_MS, `one in a hundred stalled for ${p99} ms and more`);
  assert.ok(quantile(stallsMs, 1) <= mostMs, `the slowest stalled for ${most} ms`);
}

labTest('crash of a proxy under 1,000 downloads: every one of them is right', theLab, t =>
  thousandDownloads(
    t,
    ({ proxy }) => proxy === 'proxy-1',
    () => new NetnsEngine().crash('proxy-1'),
    PAUSED_MS,
  ),
);

for (const fault of ['crash', 'cut', 'freeze'] as const) {
  labTest(`${fault} of a back end under 1,000 downloads: every one of them is right`, theLab, t =>
    thousandDownloads(
      t,
      ({ backend }) => backend === 'backend-1',
      () => new NetnsEngine()[fault]('backend-1'),
    ),
  );
}

/** Honest requests before, and as long as the attack goes on. */
async function beside<T>(t: TestContext, attack: () => Promise<T>): Promise<T> {
  const calm = await requestFor(client, lab.site, 3000);
  const attacked: number[] = [];
  let over = false;
  const attacking = attack().finally(() => {
    over = true;
  });
  while (!over) attacked.push(...(await requestFor(client, lab.site, 200)));
  const result = await attacking;
  const ratio = (share: number): string => (quantile(attacked, share) / quantile(calm, share)).toFixed(2);
  t.diagnostic(`honest requests: ${inWords(calm)} before, ${inWords(attacked)} during`);
  t.diagnostic(`times as long: median ${ratio(0.5)}, p99 ${ratio(0.99)}`);
  assert.ok(attacked.length > 100, `inconclusive: only ${attacked.length} requests during the attack`);
  for (const share of [0.5, 0.99]) {
    const bar = SLOWER * quantile(calm, share) + GRACE_MS;
    assert.ok(quantile(attacked, share) <= bar, `quantile ${share}: over ${bar.toFixed(0)} ms`);
  }
  return result;
}

labTest('2,000 heads that do not come to an end: others do not notice', theLab, async t => {
  const slow = sendSlowHeads(`/run/netns/${lab.clientNamespace}`, {
    ...lab.site,
    connections: 2000,
    everyMs: 5000,
    forMs: 15_000,
  });
  assert.equal(await slow.opened, 2000);
  const { answered, ended } = await beside(t, () => slow.over);
  t.diagnostic(`answered ${JSON.stringify(answered)}, ended otherwise: ${ended}`);
  assert.equal(ended, 0, 'none is dropped without a word');
  const statuses = Object.keys(answered).filter(status => status !== '408' && status !== '503');
  assert.deepEqual(statuses, [], 'a head that does not come to an end gets no other answer');
});

labTest('200,000 SYNs from forged sources: others do not notice', theLab, async t => {
  const count = 200_000;
  const before = await answered();
  const { sent, ms } = await beside(t, () =>
    flood(`/run/netns/${lab.clientNamespace}`, {
      kind: 'syns',
      count,
      perSecond: 20_000,
      first: '10.61.0.3',
      sources: 200,
      to: lab.site,
      seed: 3,
    }),
  );
  assert.equal(sent, count);
  const taken = (await answered()) - before;
  t.diagnostic(`${((sent / ms) * 1000).toFixed(0)} SYNs a second; ${taken} answered`);
  assert.ok(taken >= count * 0.9, `inconclusive: only ${taken} SYNs reached the proxies`);
});

async function answered(): Promise<number> {
  const { components } = await lab.status();
  return components.reduce((sum, { metrics }) => sum + (metrics['packets_total.front_syn_answered'] ?? 0), 0);
}
