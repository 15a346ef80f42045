/** Back ends that are busy, that refuse, or that are silent: what a client waits until another one, or the same, has answered. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { NetnsEngine } from '@resplice/engines';
import { median } from '@resplice/figures';
import type { Exchange } from './fixtures/exchange.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { grown, tcpCounters } from './fixtures/tcp-counters.ts';
import { waitFor } from './fixtures/wait.ts';

/** POSTs at once on connections of their own; each is answered, and runs once. */
async function postAtOnce(lab: Lab, count: number, run: string): Promise<Exchange[]> {
  const client = await lab.client();
  const tokens = Array.from({ length: count }, (_, i) => `${run}-${process.pid}-${i}`);
  const exchanges = await Promise.all(
    tokens.map(token => {
      const headers = { 'X-Request-Token': token };
      return client.fetch({ ...lab.site, deadlineMs: 20_000 }, { method: 'POST', path: '/count', headers });
    }),
  );
  assert.ok(exchanges.every(({ status }) => status === 200));
  const executed = (await lab.counts()).flatMap(each => each.tokens).filter(each => each.startsWith(run));
  assert.deepEqual(executed.sort(), [...tokens].sort(), 'each POST ran once');
  return exchanges;
}

const took = (exchanges: readonly Exchange[]): number[] =>
  exchanges.map(({ startedAt, endedAt }) => endedAt - startedAt).sort((a, b) => a - b);
const told = (ms: readonly number[]): string =>
  `p50 ${median(ms).toFixed(0)}, max ${ms.at(-1)!.toFixed(0)} ms`;

void describe('servers with the shortest listen queue', () => {
  const CONNECTIONS = 200;
  const BACKENDS = ['resplice-backend-1', 'resplice-backend-2'];
  let lab: Lab;
  before(async () => {
    const server = fileURLToPath(new URL('./fixtures/short-queue.ts', import.meta.url));
    lab = await Lab.up({ backendCommand: `exec ${process.execPath} ${server}` });
  });
  after(() => lab?.down());

  labTest(
    '200 connections at once overflow it, and each POST is answered and runs once',
    () => lab,
    async t => {
      const before = await Promise.all(BACKENDS.map(tcpCounters));
      const ms = took(await postAtOnce(lab, CONNECTIONS, 'queue'));
      const growth = (await Promise.all(BACKENDS.map(tcpCounters))).map((each, i) => grown(before[i]!, each));
      const overflows = growth.reduce((sum, { ListenOverflows = 0 }) => sum + ListenOverflows, 0);
      // How long it takes is their kernels' doing: a handshake's last ACK that meets a full queue is dropped, and the request waits
      // for the client's own, doubled, time-outs.
      t.diagnostic(`${overflows} SYNs met a full queue; ${told(ms)}`);
      assert.ok(overflows > 0, 'inconclusive: no listen queue was ever full');
    },
  );
});

void describe('a back end that refuses, and one that is silent', () => {
  /** What silence that liveness knows of, and refusals, may add to the median. */
  const KNOWN_MS = 100;
  /** Until agents are found dead (150–200 ms) a SYN is repeated, and the last wait is 200 ms. */
  const UNKNOWN_MS = 500;
  const CONNECTIONS = 20;
  /** Proxies find a silent agent dead within 150–200 ms: the connections must be made before. */
  const ATTEMPTS = 5;
  // In this process: the command line takes longer to start than liveness to notice.
  const engine = new NetnsEngine();
  let lab: Lab;
  before(async () => {
    lab = await Lab.up();
  });
  after(() => lab?.down());
  const theLab = (): Lab => lab;

  async function refusals(): Promise<number> {
    const proxies = (await lab.status()).components.filter(({ role }) => role === 'proxy');
    return proxies.reduce((sum, { metrics }) => sum + (metrics['events_total.backend_refused'] ?? 0), 0);
  }

  /** Whom the two proxies take for up, both counted. */
  async function targetsUp(): Promise<number> {
    const proxies = (await lab.status()).components.filter(({ role }) => role === 'proxy');
    return proxies.reduce((sum, { metrics }) => sum + (metrics.liveness_targets_up ?? 0), 0);
  }

  /** Connections made right when the application of one back end has died, its agent too late to tell; and how many met that. */
  async function withoutListener(): Promise<{ ms: number[]; met: number }> {
    const client = await lab.client();
    const before = await refusals();
    await engine.freeze('backend-1/agent');
    await engine.crash('backend-1/demo');
    const exchanges = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => client.fetch(lab.site, { path: '/whoami' })),
    );
    assert.ok(exchanges.every(({ status, text }) => status === 200 && text!.includes('backend-2')));
    return { ms: took(exchanges), met: (await refusals()) - before };
  }

  labTest('nothing listens on one of two: the other takes its connections', theLab, async t => {
    const client = await lab.client();
    const whoami = (): Promise<Exchange> => client.fetch(lab.site, { path: '/whoami' });
    const normal = median(took(await Promise.all(Array.from({ length: CONNECTIONS }, whoami))));
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { ms, met } = await withoutListener();
      await lab.heal();
      if (met === 0) continue;
      t.diagnostic(`${met} of ${CONNECTIONS} were refused first; ${told(ms)}`);
      assert.ok(median(ms) <= normal + KNOWN_MS, `${told(ms)}, normally p50 ${normal.toFixed(0)}`);
      return;
    }
    assert.fail('inconclusive: no connection met the closed port');
  });

  labTest('one of two is silent: the other takes its connections', theLab, async t => {
    const client = await lab.client();
    const some = (): Promise<Exchange[]> =>
      Promise.all(Array.from({ length: CONNECTIONS }, () => client.fetch(lab.site, { path: '/whoami' })));
    const normal = median(took(await some()));
    const up = await targetsUp();
    await engine.cut('backend-1');
    const atOnce = took(await some());
    await waitFor('the proxies to know that it is silent', 5000, async () => {
      return (await targetsUp()) === up - 2;
    });
    const known = took(await some());
    const facts = `normally p50 ${normal.toFixed(0)}; before liveness knows ${told(atOnce)}; then ${told(known)}`;
    t.diagnostic(facts);
    assert.ok(median(atOnce) <= normal + UNKNOWN_MS, facts);
    assert.ok(median(known) <= normal + KNOWN_MS, facts);
  });
});
