/** Clients that never come to the end of a later head, on connections that were served before (ARCHITECTURE §2.5). */
import assert from 'node:assert/strict';
import { quantile } from '@resplice/figures';
import {
  ADA,
  authorized,
  counted,
  guardedLab,
  PLAIN,
  rules,
  STAFF,
  served,
  whoami,
} from './fixtures/guarded-lab.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { labTest } from './fixtures/lab.ts';
import { sendSlowHeads } from './fixtures/slow-heads.ts';

const LIMIT_MS = 2000;
const CONNECTIONS = 300;
/** What others may notice: the attacker's own program takes its part of the same processors. */
const NOTICED_MS = 250;
const BYTES = 10_000_000;
/** Longer than a head may take. */
const PACE = BYTES / 5;

const { lab, client, connect } = guardedLab(rules(undefined, undefined, 'limits: { headTimeout: 2s }'));

for (const [kind, port, fields] of [
  ['uniform', PLAIN, []],
  ['guarded', STAFF, [authorized]],
] as const) {
  labTest(
    `${CONNECTIONS} connections of a ${kind} listener, one byte of a later head now and then: 408, and others do not notice`,
    lab,
    async t => {
      const before = await counted('heads_timed_out');
      const [idle, busy, down, up] = await Promise.all([0, 1, 2, 3].map(() => connect(port)));
      for (const each of [idle!, busy!]) assert.match(String(await served(each, ADA)), /^backend-/);
      const slow = sendSlowHeads(`/run/netns/${lab().clientNamespace}`, {
        ...{ host: lab().vip.address, port, connections: CONNECTIONS, first: whoami(...fields) },
        ...{ everyMs: 500, forMs: 4 * LIMIT_MS },
      });
      assert.equal(await slow.opened, CONNECTIONS);
      const download = down!.request({
        ...{ path: `/bytes/${BYTES}`, headers: ADA, patternFrom: 0, bytesPerSecond: PACE },
      });
      const upload = up!.request({
        ...{ method: 'POST', path: '/upload', headers: ADA, bytesPerSecond: PACE },
        upload: { bytes: BYTES },
      });
      let isOver = false;
      const over = slow.over.finally(() => {
        isOver = true;
      });
      const tookMs: number[] = [];
      while (!isOver) {
        const started = performance.now();
        assert.match(String(await served(busy!, ADA)), /^backend-/);
        tookMs.push(performance.now() - started);
      }
      assert.deepEqual(await over, { answered: { 408: CONNECTIONS }, ended: 0 });
      assert.equal(await counted('heads_timed_out'), before + CONNECTIONS);
      const [got, sent] = await Promise.all([download.done, upload.done]);
      assert.deepEqual([got.sha256, got.firstDifference], [patternHash(BYTES), -1]);
      assert.deepEqual(JSON.parse(sent.text!), { bytes: BYTES, sha256: patternHash(BYTES) });
      const p99 = quantile(tookMs, 0.99);
      const stalls = [got, sent].map(({ longestStallMs }) => longestStallMs);
      t.diagnostic(
        `${tookMs.length} requests beside them, p50 ${quantile(tookMs, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms; longest stalls ${stalls.map(Math.round)} ms`,
      );
      assert.ok(p99 <= NOTICED_MS, `p99 ${p99} ms`);
      assert.ok(Math.max(...stalls) <= NOTICED_MS, `stalled for ${stalls} ms`);
      assert.match(String(await served(idle!, ADA)), /^backend-/, 'one that was idle all the time lives');
      for (const each of [idle, busy, down, up]) await each!.close();
    },
    120_000,
  );
}

labTest('a later head that takes almost as long as it may is served', lab, async t => {
  for (const port of [PLAIN, STAFF]) {
    const connection = await client().connect({ host: lab().vip.address, port });
    assert.match(String(await served(connection, ADA)), /^backend-/);
    const { status, startedAt, endedAt, local } = await connection.request({
      ...{ path: '/whoami', headers: { ...ADA, X: 'x'.repeat(100) } },
      headPieces: { bytes: 20, pauseMs: 100 },
    }).done;
    assert.deepEqual([status, local], [200, connection.local]);
    t.diagnostic(`${(endedAt - startedAt).toFixed(0)} ms of ${LIMIT_MS}`);
    await connection.close();
  }
});
