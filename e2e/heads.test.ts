/**
 * Request heads that do not come at once: clients that wait for an acknowledgement of one piece before they send the next, with
 * whatever happens to the proxy that has acknowledged it.
 */
import assert from 'node:assert/strict';
import type { ComponentStatus } from '@resplice/engines';
import { median } from '@resplice/figures';
import { breakProxy } from './fixtures/drill.ts';
import type { Exchange, RequestOptions } from './fixtures/exchange.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { forEachSteering, labTest } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

/** FAULTS.md: added stall allowed on a LAN when the serving proxy dies, as a median. */
const STALL_MS = 300;
const REPEAT = Number(process.env.REPEAT ?? 2);
/** A head that takes six seconds. */
const SLOW = { bytes: 8, pauseMs: 50 };
const SLOW_FIELD = 'a'.repeat(800);
/** An answer of a proxy's own is kept for 10 s; a head that changed hands on a machine that stood still, for the 30 s of its time-out. */
const GIVEN_BACK_MS = 60_000;

/** How often it has happened, on all components but one. */
function counted(components: readonly ComponentStatus[], event: string, except?: string): number {
  const others = components.filter(({ name }) => name !== except);
  return others.reduce((sum, { metrics }) => sum + (metrics[`events_total.${event}`] ?? 0), 0);
}

forEachSteering(({ lab }) => {
  /** One request on a connection of its own. */
  async function once(request: RequestOptions, nagle: boolean): Promise<Exchange> {
    const connection = await (await lab().client()).connect({ ...lab().site, nagle });
    const exchange = await connection.request(request).done;
    await connection.close();
    return exchange;
  }

  labTest('one byte at a time, each of which waits for the one before', lab, async t => {
    const delivered = async () => counted((await lab().status()).components, 'owed_delivered');
    const before = await delivered();
    for (const nagle of [true, false]) {
      const headPieces = { bytes: 1, pauseMs: 0 };
      const request = { path: '/bytes/100000', patternFrom: 0, headPieces };
      const { sha256, startedAt, endedAt } = await once(request, nagle);
      assert.equal(sha256, patternHash(100_000));
      t.diagnostic(`${nagle ? 'with' : 'without'} Nagle's algorithm: ${(endedAt - startedAt).toFixed(0)} ms`);
    }
    assert.ok((await delivered()) > before, 'inconclusive: nothing had to be acknowledged early');
  });

  labTest('POSTs whose heads come in pieces run once each, their bodies whole', lab, async () => {
    const tokens = Array.from({ length: 20 }, (_, i) => `pieces-${process.pid}-${i}`);
    await Promise.all(
      tokens.map(async (token, i) => {
        const headers = { 'X-Request-Token': token };
        const headPieces = { bytes: 1 + i * 3, pauseMs: i };
        const { status } = await once({ method: 'POST', path: '/count', headers, headPieces }, i % 2 === 0);
        assert.equal(status, 200);
      }),
    );
    const executed = (await lab().counts())
      .flatMap(each => each.tokens)
      .filter(each => tokens.includes(each));
    assert.deepEqual(executed.sort(), [...tokens].sort(), 'every POST ran, and once');
    const upload = { bytes: 300_000 };
    const headPieces = { bytes: 10, pauseMs: 1 };
    const { text } = await once({ method: 'POST', path: '/upload', upload, headPieces }, true);
    assert.deepEqual(JSON.parse(text!), { bytes: 300_000, sha256: patternHash(300_000) });
  });

  labTest('heads of up to 64 KiB, which no client sends unacknowledged', lab, async () => {
    for (const length of [14_000, 15_000, 30_000, 50_000, 65_000]) {
      const headers = { 'X-Long': 'a'.repeat(length) };
      const { sha256, status } = await once({ path: '/bytes/1000', patternFrom: 0, headers }, true);
      assert.deepEqual([status, sha256], [200, patternHash(1000)], `${length} bytes`);
    }
    const headers = { 'X-Long': 'a'.repeat(70_000) };
    const { status, headers: answered } = await once({ path: '/bytes/1000', headers }, true);
    assert.deepEqual([status, answered.connection], [431, 'close']);
  });

  labTest('100 heads in pieces at once', lab, async () => {
    const exchanges = await Promise.all(
      Array.from({ length: 100 }, (_, i) => {
        const headers = { 'X-Long': 'a'.repeat(i * 200) };
        const headPieces = { bytes: 20 + i * 10, pauseMs: 5 };
        return once({ path: '/bytes/20000', patternFrom: 0, headers, headPieces }, true);
      }),
    );
    for (const { sha256, status, text } of exchanges)
      assert.equal(sha256, patternHash(20_000), `${status} ${status === 200 ? '' : text}`);
    await waitFor('everything that was held to be given back', GIVEN_BACK_MS, async () => {
      const { components } = await lab().status();
      return components.every(({ metrics }) => !metrics.stored_bytes && !metrics.held_bytes);
    });
  });

  /** The proxy that collects the only head under way, and how many the others had inherited at that moment. */
  function collecting(): Promise<{ proxy: string; inherited: number }> {
    return waitFor('a proxy to collect the head', 5000, async () => {
      const { components } = await lab().status();
      const proxy = components.find(({ metrics }) => (metrics.setups ?? 0) > 0)?.name;
      return proxy === undefined
        ? undefined
        : { proxy, inherited: counted(components, 'heads_inherited', proxy) };
    });
  }

  /** One POST whose head comes slowly; `strike` is called when some of it has been acknowledged. */
  async function slowPost(token: string, strike: () => Promise<number>): Promise<number> {
    const connection = await (await lab().client()).connect({ ...lab().site, nagle: true });
    const headers = { 'X-Request-Token': token, 'X-Long': SLOW_FIELD };
    const transfer = connection.request({ method: 'POST', path: '/count', headers, headPieces: SLOW });
    await transfer.headSent(SLOW.bytes * 3);
    const at = await strike();
    const { status, local, startedAt, headSentAt, firstByteAt } = await transfer.done;
    assert.ok(startedAt < at && at < headSentAt, 'inconclusive: the fault was not within the head');
    assert.deepEqual([status, local], [200, connection.local]);
    assert.equal(await lab().executions(token), 1, 'the POST was executed exactly once');
    const next = await connection.request({ path: '/bytes/1000', patternFrom: 0 }).done;
    assert.equal(next.sha256, patternHash(1000));
    await connection.close();
    return firstByteAt - startedAt;
  }

  let normalMs: number | undefined;
  async function normal(): Promise<number> {
    normalMs ??= await slowPost(`normal-${process.pid}`, async () => Date.now());
    return normalMs;
  }

  for (const fault of ['crash', 'cut', 'freeze', 'restart'] as const) {
    labTest(`${fault} of the proxy that has acknowledged half of a head`, lab, async t => {
      const added: number[] = [];
      const without = await normal();
      for (let run = 0; run < REPEAT; run++) {
        let had: Awaited<ReturnType<typeof collecting>> | undefined;
        const took = await slowPost(`${fault}-${process.pid}-${run}`, async () => {
          had = await collecting();
          // At once: on a busy machine a proxy is suspected now and then, and its peer goes on with the head.
          return (await breakProxy(fault, had.proxy)).at;
        });
        const { proxy, inherited } = had!;
        // What began on the proxy that died was gone on with by another one.
        const later = counted((await lab().status()).components, 'heads_inherited', proxy);
        assert.ok(later > inherited, `inconclusive: no head of ${proxy} was inherited`);
        added.push(Math.max(0, took - without));
        await lab().heal();
      }
      t.diagnostic(`added ${added.map(Math.round).join(', ')} ms to ${Math.round(without)} ms`);
      assert.ok(median(added) <= STALL_MS, `median added stall ${median(added)} ms`);
    });
  }
});
