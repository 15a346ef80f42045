/** Proxies that stop in the middle of what they do, and go on later as if nothing had been (SIGSTOP, SIGCONT). */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { breakServingProxy } from './fixtures/drill.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { postThrough } from './fixtures/post-crowd.ts';

/** FAULTS.md: a frozen proxy has no effect on splices, since its kernel half goes on. */
const STALL_MS = 300;
/** A POST whose proxy froze waits for the client's retransmission, perhaps twice (RFC 6298: 200 ms, doubled, or 1 s for a SYN). */
const SLOWEST_MS = 3000;
const FREEZES = Number(process.env.FREEZES ?? 12);
/** As many as one test makes: it must come to an end before it is taken for one that hangs. */
const COURSE = 100;

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

labTest('a download does not notice that its proxy freezes and thaws', theLab, async t => {
  const client = await lab.client();
  const connection = await client.connect({ ...lab.site, bufferBytes: 131_072 });
  const bytes = 200_000_000;
  const transfer = connection.request({ path: `/bytes/${bytes}`, patternFrom: 0, bytesPerSecond: 40e6 });
  await transfer.received(bytes / 10);
  const { at } = await breakServingProxy(lab, 'freeze', connection);
  // While it is frozen, somebody new is served.
  const other = await client.fetch(lab.site, { path: '/bytes/1000', patternFrom: 0 });
  assert.equal(other.sha256, patternHash(1000));
  await lab.heal();
  const { firstDifference, sha256, endedAt, longestStallMs } = await transfer.done;
  assert.ok(endedAt > at + 500, 'inconclusive: over before the thaw');
  assert.deepEqual([firstDifference, sha256], [-1, patternHash(bytes)]);
  t.diagnostic(`longest stall ${longestStallMs.toFixed(0)} ms`);
  assert.ok(longestStallMs <= STALL_MS, `stalled for ${longestStallMs} ms`);
  await connection.close();
});

for (let begun = 0; begun < FREEZES; begun += COURSE) {
  const freezes = Math.min(COURSE, FREEZES - begun);
  labTest(
    `proxies freeze and thaw while connections are set up: each POST is answered and runs once (${begun + freezes} of ${FREEZES})`,
    theLab,
    async t => {
      const freezeAndThaw = async (): Promise<number> => {
        let first = 0;
        for (let i = 0; i < freezes; i++) {
          const { at } = await lab.fault('freeze', i % 2 === 0 ? 'proxy-1' : 'proxy-2');
          first ||= at;
          await lab.heal();
        }
        return first;
      };
      const { posts, slowestMs } = await postThrough(lab, freezeAndThaw, `freeze-${process.pid}-${begun}`);
      t.diagnostic(
        `${freezes} freezes, ${posts} connections, the slowest answer took ${slowestMs.toFixed(0)} ms`,
      );
      assert.ok(slowestMs <= SLOWEST_MS, `the slowest answer took ${slowestMs} ms`);
    },
    60_000 + freezes * 10_000,
  );
}
