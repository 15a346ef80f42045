/**
 * A proxy stops in the middle of a set-up, at exactly the point where it matters: a back end has answered and nobody knows, or
 * everybody knows and no request byte has left. Its peer serves the client's retransmission; thawed, it must not serve it again.
 */
import assert from 'node:assert/strict';
import type { Exchange } from './fixtures/exchange.ts';
import { forEachSteering, labTest } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

const FROZEN = 'proxy-1';
/** The client's first retransmission, or its second (RFC 6298: 200 ms, doubled), and the peers' verdict. */
const ANSWER_MS = 2000;
/** With two or three proxies, every second or third connection meets the one that waits for it. */
const CONNECTIONS = 60;

forEachSteering(({ steering, lab }) => {
  const foundFenced = async (): Promise<number> =>
    (await lab().component(FROZEN)).metrics['events_total.found_fenced'] ?? 0;

  for (const point of ['before-publish', 'before-delivery']) {
    labTest(
      `a proxy freezes ${point}: the POST is answered by way of its peer, and runs once`,
      lab,
      async t => {
        const client = await lab().client();
        const fencedBefore = await foundFenced();
        await lab().freezeAt(FROZEN, point);
        let struck: { exchange: Exchange; token: string } | undefined;
        for (let i = 0; i < CONNECTIONS && !struck; i++) {
          const token = `${point}-${steering}-${process.pid}-${i}`;
          const connection = await client.connect(lab().site);
          const headers = { 'X-Request-Token': token };
          const request = { method: 'POST', path: '/count?ms=1', headers };
          const exchange = await connection.request(request).done;
          assert.equal(exchange.status, 200);
          if (await lab().isFrozen(FROZEN, 'proxy')) {
            assert.equal(await lab().executions(token), 1, 'served while its proxy is frozen');
            struck = { exchange, token };
            await lab().heal();
            await waitFor('it finds itself fenced', 5000, async () => (await foundFenced()) > fencedBefore);
            const { status } = await connection.request({ path: '/whoami' }).done;
            assert.equal(status, 200, 'the same connection goes on');
          }
          await connection.close();
        }
        assert.ok(struck, 'inconclusive: no set-up got to the point');
        const { exchange, token } = struck;
        assert.equal(await lab().executions(token), 1, 'and not once more after the thaw');
        t.diagnostic(`answered after ${exchange.longestStallMs.toFixed(0)} ms`);
        assert.ok(exchange.longestStallMs <= ANSWER_MS, `answered after ${exchange.longestStallMs} ms`);
      },
    );
  }
});
