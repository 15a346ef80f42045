/** Both proxies die, with all that they knew, and come back: the logger knows what passed it. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { NetnsEngine } from '@resplice/engines';
import { assertDuring } from './fixtures/drill.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';

const BYTES = 40_000_000;
const PACE = 8e6;
const PROXIES = ['proxy-1', 'proxy-2'];

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());

labTest(
  'both proxies crash and come back: download, upload, a waiting POST and an idle connection go on',
  () => lab,
  async t => {
    const engine = new NetnsEngine();
    const client = await lab.client();
    const [down, up, waiting, idle] = await Promise.all(
      [1, 2, 3, 4].map(() => client.connect({ ...lab.site, bufferBytes: 131_072 })),
    );
    const { text: home } = await idle!.request({ path: '/whoami' }).done;
    const download = down!.request({ path: `/bytes/${BYTES}`, patternFrom: 0, bytesPerSecond: PACE });
    const upload = up!.request({
      ...{ method: 'POST', path: '/upload', upload: { bytes: BYTES }, bytesPerSecond: PACE },
    });
    await Promise.all([download.received(BYTES / 20), upload.sent(BYTES / 20)]);
    const token = `tier-loss-${process.pid}`;
    const headers = { 'X-Request-Token': token };
    const post = waiting!.request({ method: 'POST', path: '/count?ms=1500', headers });
    // A proxy's crash takes its pinned maps with it, as a machine's would.
    const faults = [];
    for (const proxy of PROXIES) faults.push(await engine.crash(proxy));
    for (const proxy of PROXIES) await engine.heal(proxy);
    const [got, sent, posted] = await Promise.all([download.done, upload.done, post.done]);
    for (const { at } of faults) for (const each of [got, sent]) assertDuring({ at }, each);
    assert.deepEqual([got.received, got.firstDifference, got.sha256], [BYTES, -1, patternHash(BYTES)]);
    assert.deepEqual(JSON.parse(sent.text!), { bytes: BYTES, sha256: patternHash(BYTES) });
    assert.equal(posted.status, 200);
    assert.equal(await lab.executions(token), 1, 'the POST was executed exactly once');
    const last = await idle!.request({ path: '/whoami' }).done;
    assert.equal(last.text, home, 'the same back end sees the same connection before and after');
    t.diagnostic(
      `longest stall: ${got.longestStallMs.toFixed(0)} ms down, ${sent.longestStallMs.toFixed(0)} ms up`,
    );
    for (const each of [down!, up!, waiting!, idle!]) await each.close();
  },
);
