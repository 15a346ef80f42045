/** Transfers while packets are lost both ways: the ends recover by selective acknowledgements, which the tier translates. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { loseBetweenClientAndTier } from './fixtures/loss.ts';
import { grown, type TcpCounters, tcpCounters } from './fixtures/tcp-counters.ts';

const BYTES = 50_000_000;
const SEGMENTS = BYTES / 1460;

let lab: Lab;
before(async () => {
  lab = await Lab.up({ backends: 1 });
});
after(() => lab?.down());
const theLab = (): Lab => lab;

const CLIENT = 'resplice-client-1';
const BACKEND = 'resplice-backend-1';
const both = (): Promise<[TcpCounters, TcpCounters]> =>
  Promise.all([tcpCounters(CLIENT), tcpCounters(BACKEND)]);

/** Whether a sender got its losses back by selective acknowledgements. */
function assertRecoveredBySack(sender: TcpCounters, percent: number): string {
  const {
    RetransSegs = 0,
    TCPSackRecovery = 0,
    TCPTimeouts = 0,
    TCPSACKDiscard = 0,
    TCPFastRetrans = 0,
  } = sender;
  const facts = `${RetransSegs} segments sent again, ${TCPSackRecovery} recoveries by SACK, ${TCPTimeouts} time-outs`;
  assert.ok(RetransSegs > (SEGMENTS * percent) / 100 / 3, `inconclusive: ${facts}`);
  assert.ok(TCPSackRecovery > 0, facts);
  assert.ok(TCPFastRetrans > RetransSegs / 2, `${TCPFastRetrans} of them by SACK: ${facts}`);
  assert.ok(TCPTimeouts < TCPSackRecovery / 4, facts);
  // Edges that were translated wrongly lie outside of what the sender has sent.
  assert.equal(TCPSACKDiscard, 0, 'no selective acknowledgement was nonsense');
  return facts;
}

for (const percent of [1, 3]) {
  labTest(
    `${percent} % of the packets are lost each way: 50 MB come down whole, by SACK`,
    theLab,
    async t => {
      const client = await lab.client();
      await loseBetweenClientAndTier(percent, [
        [CLIENT, 'wan0'],
        [BACKEND, 'back0'],
      ]);
      const [, before] = await both();
      const exchange = await client.fetch(lab.site, { path: `/bytes/${BYTES}`, patternFrom: 0 });
      const [, after] = await both();
      assert.deepEqual([exchange.received, exchange.firstDifference], [BYTES, -1]);
      assert.equal(exchange.sha256, patternHash(BYTES));
      t.diagnostic(
        `${(exchange.endedAt - exchange.startedAt).toFixed(0)} ms; the server: ${assertRecoveredBySack(grown(before, after), percent)}`,
      );
    },
  );

  labTest(`${percent} % of the packets are lost each way: 50 MB go up whole, by SACK`, theLab, async t => {
    const client = await lab.client();
    await loseBetweenClientAndTier(percent, [
      [CLIENT, 'wan0'],
      [BACKEND, 'back0'],
    ]);
    const [before] = await both();
    const request = { method: 'POST', path: '/upload', upload: { bytes: BYTES } };
    const exchange = await client.fetch(lab.site, request);
    const [after] = await both();
    assert.deepEqual(JSON.parse(exchange.text!), { bytes: BYTES, sha256: patternHash(BYTES) });
    t.diagnostic(
      `${(exchange.endedAt - exchange.startedAt).toFixed(0)} ms; the client: ${assertRecoveredBySack(grown(before, after), percent)}`,
    );
  });

  labTest(
    `${percent} % of the packets are lost each way: 50 connections, each POST once`,
    theLab,
    async t => {
      const client = await lab.client();
      await loseBetweenClientAndTier(percent, []);
      const tokens = Array.from({ length: 50 }, (_, i) => `loss-${percent}-${process.pid}-${i}`);
      const exchanges = await Promise.all(
        tokens.map(token => {
          const headers = { 'X-Request-Token': token };
          return client.fetch(
            { ...lab.site, deadlineMs: 20_000 },
            { method: 'POST', path: '/count', headers },
          );
        }),
      );
      assert.ok(exchanges.every(({ status }) => status === 200));
      const executed = (await lab.counts()).flatMap(each => each.tokens);
      for (const token of tokens) assert.equal(executed.filter(each => each === token).length, 1, token);
      t.diagnostic(`slowest ${Math.max(...exchanges.map(each => each.longestStallMs)).toFixed(0)} ms`);
    },
  );
}
