/** Every daemon is replaced by another version of itself, one after the other, while connections are in use (ARCHITECTURE §7). */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { NetnsEngine } from '@resplice/engines';
import type { ClientConnection } from './fixtures/client.ts';
import type { Exchange, RequestOptions } from './fixtures/exchange.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { buildNextVersion, type NextVersion } from './fixtures/next-version.ts';
import { postThrough } from './fixtures/post-crowd.ts';
import { replaceDaemon } from './fixtures/replacement.ts';
import { grown, lossesIn, type TcpCounters, tcpCounters } from './fixtures/tcp-counters.ts';

const BYTES = 30_000_000;
const PACE = 25e6;
/** A lost packet costs 200 ms at least; starting processes on the same two cores cost some tens. */
const STALL_MS = 150;
/** In the order of a packet's way. */
const DAEMONS = [
  'lb-1/lb',
  'proxy-1/proxy',
  'proxy-2/proxy',
  'logger-1/logger',
  'backend-1/agent',
  'backend-2/agent',
];

let lab: Lab;
let next: NextVersion;
before(async () => {
  next = buildNextVersion();
  lab = await Lab.up();
});
after(async () => {
  await lab?.down();
  next?.remove();
});
const theLab = (): Lab => lab;

const nextVersion = (): NetnsEngine => new NetnsEngine({ programs: app => next.main(app) });
const thisVersion = (): NetnsEngine => new NetnsEngine();

const HOSTS = ['client-1', 'backend-1', 'backend-2'];
const factsOf = (growth: readonly TcpCounters[]): string =>
  HOSTS.map((host, i) => `${host}: ${lossesIn(growth[i]!).text}`).join('; ');
const counters = () => Promise.all(HOSTS.map(host => tcpCounters(`resplice-${host}`)));

/** Requests on one connection, one after the other, until the work is done and one more has been answered. */
async function requestsDuring(
  connection: ClientConnection,
  request: RequestOptions,
  check: (exchange: Exchange) => void,
  work: Promise<unknown>,
): Promise<Exchange[]> {
  const exchanges: Exchange[] = [];
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  work.then(done, done);
  for (let last = false; !last; ) {
    last = isDone;
    const exchange = await connection.request(request).done;
    check(exchange);
    exchanges.push(exchange);
  }
  return exchanges;
}

labTest('all daemons are replaced under downloads and uploads: no packet is lost', theLab, async t => {
  const client = await lab.client();
  const [down, up, idle] = await Promise.all([0, 1, 2].map(() => client.connect(lab.site)));
  const first = await idle!.request({ path: '/whoami' }).done;
  const before = await counters();
  const replacing = (async () => {
    for (const target of DAEMONS) {
      await replaceDaemon(lab, target, nextVersion());
    }
  })();
  const [downloads, uploads] = await Promise.all([
    requestsDuring(
      down!,
      { path: `/bytes/${BYTES}`, patternFrom: 0, bytesPerSecond: PACE },
      ({ sha256, firstDifference }) => assert.deepEqual([sha256, firstDifference], [patternHash(BYTES), -1]),
      replacing,
    ),
    requestsDuring(
      up!,
      { method: 'POST', path: '/upload', upload: { bytes: BYTES }, bytesPerSecond: PACE },
      ({ text }) => assert.deepEqual(JSON.parse(text!), { bytes: BYTES, sha256: patternHash(BYTES) }),
      replacing,
    ),
  ]);
  await replacing;
  assert.equal((await idle!.request({ path: '/whoami' }).done).text, first.text, 'the idle connection lives');
  const growth = (await counters()).map((each, i) => grown(before[i]!, each));
  const stallMs = Math.max(...[...downloads, ...uploads].map(({ longestStallMs }) => longestStallMs));
  const facts = factsOf(growth);
  t.diagnostic(
    `${downloads.length} downloads, ${uploads.length} uploads, longest stall ${stallMs.toFixed(0)} ms; ${facts}`,
  );
  assert.ok(
    growth.every(each => lossesIn(each).timeouts === 0),
    facts,
  );
  assert.ok(stallMs <= STALL_MS, `stalled for ${stallMs} ms`);
  await Promise.all([down, up, idle].map(each => each!.close()));
});

labTest(
  'all daemons are replaced in a storm of requests: each POST is answered and runs once',
  theLab,
  async t => {
    const before = await counters();
    const { posts, slowestMs } = await postThrough(
      lab,
      async () => {
        let at = 0;
        for (const target of DAEMONS) {
          await replaceDaemon(lab, target, thisVersion());
          at ||= Date.now();
        }
        return at;
      },
      `upgrade-storm-${process.pid}`,
    );
    const growth = (await counters()).map((each, i) => grown(before[i]!, each));
    t.diagnostic(
      `${posts} connections, the slowest answer took ${slowestMs.toFixed(0)} ms; ${factsOf(growth)}`,
    );
    assert.ok(slowestMs <= 1000, `the slowest answer took ${slowestMs} ms`);
  },
);
