/** Later heads that do not come to their end in time: 408 on the open connection, and nobody gets them (ARCHITECTURE §2.5). */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  type Answer,
  type Application,
  eachHead,
  ModelTier,
  type TierOptions,
} from './fixtures/model-tier.ts';

const LIMIT_MS = 80;
const page = (content: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
const [ONE, TWO] = [page('one'), page('two')];
const says = (text: string): Answer => ({ bytes: Buffer.from(text) });
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`;
const REFUSED =
  /^HTTP\/1\.1 408 Request Timeout\r\n.*\r\nConnection: close\r\n.*did not arrive in time\.\n$/s;

const PLAIN: TierOptions = {
  applications: [eachHead(() => says(ONE)), eachHead(() => says(TWO))],
  headTimeoutMs: LIMIT_MS,
};
const balance = 'least-connections' as const;
const GUARDED: TierOptions = {
  ...PLAIN,
  listener: {
    routes: [
      { match: { pathPrefix: '/b' }, pool: 'second' },
      { match: { pathPrefix: '/a' }, pool: 'first' },
    ],
  },
  pools: {
    first: { backends: ['backend-1'], balance },
    second: { backends: ['backend-2'], balance },
  },
};

const kinds = [
  ['uniform', PLAIN],
  ['guarded', GUARDED],
] as const;

async function withTier(options: TierOptions, body: (tier: ModelTier) => Promise<void>): Promise<void> {
  const tier = new ModelTier(options);
  try {
    await body(tier);
  } finally {
    tier.close();
  }
}

const reads = (tier: ModelTier, text: string) => tier.until(JSON.stringify(text), () => tier.read === text);

/** Until so much time has gone by. */
async function pass(tier: ModelTier, ms: number): Promise<void> {
  const started = performance.now();
  await tier.until('time to pass', () => performance.now() - started > ms);
}

for (const [kind, options] of kinds) {
  suite(`a listener that is ${kind}`, () => {
    test('a head that stays unfinished: 408, the end, and its rest runs nowhere', () =>
      withTier(options, async tier => {
        tier.send(get('/a'));
        await reads(tier, ONE);
        const started = performance.now();
        tier.send(get('/a/2').slice(0, -1));
        await tier.until('the end', () => tier.isEnded);
        const tookMs = performance.now() - started;
        assert.ok(tookMs >= LIMIT_MS, `after ${tookMs} ms`);
        assert.match(tier.read.slice(ONE.length), REFUSED);
        tier.send('\n');
        await pass(tier, 50);
        assert.ok(!tier.servers.some(({ received }) => received.includes(get('/a/2'))));
        assert.deepEqual([tier.tally.headsTimedOut, tier.tally.reset, tier.servers[1].sockets], [1, 0, 0]);
        assert.equal(tier.servers[0].isOpen, false, 'its back end was told');
      }));

    test('nothing of a head has come: the connection stays, and hears nothing', () =>
      withTier(options, async tier => {
        tier.send(get('/a'));
        await reads(tier, ONE);
        // Empty lines are none of a head's.
        tier.send('\r\n');
        await pass(tier, 3 * LIMIT_MS);
        assert.deepEqual([tier.read, tier.isEnded, tier.isReset], [ONE, false, false]);
        tier.send(get('/a'));
        await reads(tier, ONE + ONE);
        assert.equal(tier.tally.headsTimedOut, 0);
      }));

    test('each head has its own time', () =>
      withTier(options, async tier => {
        let expected = '';
        for (let i = 0; i < 4; i++) {
          tier.send(get('/a').slice(0, 9));
          await pass(tier, LIMIT_MS / 2);
          tier.send(get('/a').slice(9));
          expected += ONE;
          await reads(tier, expected);
        }
        assert.equal(tier.tally.headsTimedOut, 0);
      }));

    test('not while a response is due', async () => {
      let isReady = false;
      const all = eachHead(() => says(ONE));
      const late: Application = received => all(received).slice(0, isReady ? undefined : 1);
      await withTier({ ...options, applications: [late, late] }, async tier => {
        tier.send(get('/a'));
        await reads(tier, ONE);
        tier.send(get('/a') + get('/a').slice(0, 9));
        await pass(tier, 3 * LIMIT_MS);
        assert.deepEqual([tier.read, tier.isEnded], [ONE, false]);
        isReady = true;
        tier.send(get('/a').slice(9));
        await reads(tier, ONE + ONE + ONE);
        assert.equal(tier.tally.headsTimedOut, 0);
      });
    });

    test('its end comes at the last moment: served, or 408 and run nowhere', async t => {
      const outcomes = await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          let outcome = '';
          await withTier(options, async tier => {
            tier.send(get('/a'));
            await reads(tier, ONE);
            tier.send(get('/a/2').slice(0, -2));
            await pass(tier, LIMIT_MS - 10 + i / 2);
            tier.send('\r\n');
            await tier.until('an answer', () => tier.read.length > ONE.length);
            await tier.until('all of it', () => tier.read === ONE + ONE || tier.isEnded);
            const ran = tier.servers.some(({ received }) => received.includes(get('/a/2')));
            outcome = tier.read === ONE + ONE ? 'served' : 'refused';
            assert.equal(ran, outcome === 'served', tier.read);
            assert.equal(tier.tally.headsTimedOut, outcome === 'served' ? 0 : 1);
            if (outcome === 'refused') assert.match(tier.read.slice(ONE.length), REFUSED);
            else {
              tier.send(get('/a'));
              await reads(tier, ONE + ONE + ONE);
            }
          });
          return outcome;
        }),
      );
      const served = outcomes.filter(each => each === 'served').length;
      t.diagnostic(`${served} served, ${outcomes.length - served} refused`);
    });
  });
}

test('a connection that rests: its next head has its time as well', () =>
  withTier(GUARDED, async tier => {
    tier.send(get('/a'));
    await reads(tier, ONE);
    tier.kill(0);
    await tier.until('it to rest', () => tier.view?.state === 'resting');
    tier.send(get('/a').slice(0, 9));
    await tier.until('the end', () => tier.isEnded);
    assert.match(tier.read.slice(ONE.length), REFUSED);
    assert.equal(tier.servers[1].received, '');
  }));
