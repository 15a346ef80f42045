/**
 * Listeners with rules for each request (ARCHITECTURE §2.5): what is not allowed reaches no back end, whatever comes before it, with it,
 * or twice; what is allowed is served by its own pool, on the same connection.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import type { Listener } from '@resplice/site-config';
import {
  type Answer,
  type Application,
  eachHead,
  ModelTier,
  type TierOptions,
} from './fixtures/model-tier.ts';

const directory = mkdtempSync(join(tmpdir(), 'resplice-enforcement-'));
after(() => rmSync(directory, { recursive: true }));
const htpasswd = join(directory, 'staff.htpasswd');
// Of nobody's: the model takes any password of a user that is there.
writeFileSync(htpasswd, `ada:$2y$08$${'a'.repeat(53)}\n`);

const page = (content: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
const says = (text: string, more: Partial<Answer> = {}): Answer => ({ bytes: Buffer.from(text), ...more });
const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: shop\r\n${more}\r\n`;
const credentials = (user: string) =>
  `Authorization: Basic ${Buffer.from(`${user}:secret`).toString('base64')}\r\n`;
const count = (text: string, part: string) => text.split(part).length - 1;
const pagesOf = (name: string): Application => eachHead(() => says(page(name)));
const [ONE, TWO] = [page('one'), page('two')];

const listener: Partial<Listener> = {
  routes: [
    { match: { pathPrefix: '/b' }, pool: 'second' },
    { match: { pathPrefix: '/any' }, pool: 'all' },
    { match: { pathPrefix: '/a' }, pool: 'first' },
  ],
};
const balance = 'least-connections' as const;
const pools: TierOptions['pools'] = {
  first: { backends: ['backend-1'], balance },
  second: { backends: ['backend-2'], balance },
  all: { backends: 'all', balance },
};
const TWO_POOLS: TierOptions = { applications: [pagesOf('one'), pagesOf('two')], listener, pools };
const STAFF: TierOptions = {
  applications: [pagesOf('one'), pagesOf('two')],
  listener: { auth: { basic: { realm: 'Staff', htpasswd } } },
};

function tierTest(name: string, options: TierOptions, body: (tier: ModelTier) => Promise<void>): void {
  void test(name, { timeout: 30_000 }, async () => {
    const tier = new ModelTier(options);
    try {
      await body(tier);
    } finally {
      tier.close();
    }
  });
}

const reads = (tier: ModelTier, text: string) => tier.until(JSON.stringify(text), () => tier.read === text);

suite('routes to several pools', () => {
  tierTest('each request gets to its own, one after the other', TWO_POOLS, async tier => {
    let expected = '';
    for (const [path, answer] of [
      ['/a', ONE],
      ['/b', TWO],
      ['/b/2', TWO],
      ['/a/2', ONE],
      ['/any', ONE],
    ] as const) {
      tier.send(get(path));
      expected += answer;
      await reads(tier, expected);
    }
    assert.deepEqual(
      tier.servers.map(each => each.received),
      [get('/a') + get('/a/2') + get('/any'), get('/b') + get('/b/2')],
    );
    const { reset, refused, forbidden, poolsChanged } = tier.tally;
    assert.deepEqual([reset, refused, forbidden, poolsChanged], [0, 0, 0, 2]);
    assert.deepEqual([tier.view?.failovers, tier.steps], [0, []], 'nothing has failed');
  });

  tierTest('pipelined in one segment: all are answered in order', TWO_POOLS, async tier => {
    tier.send(get('/a') + get('/b') + get('/b/2') + get('/a/2'));
    await reads(tier, ONE + TWO + TWO + ONE);
    assert.deepEqual(
      tier.servers.map(each => each.received),
      [get('/a') + get('/a/2'), get('/b') + get('/b/2')],
    );
  });

  test('cut anywhere: the same', { timeout: 60_000 }, async () => {
    const all = get('/a') + get('/b') + get('/a/2');
    for (let cut = 1; cut < all.length; cut++) {
      const tier = new ModelTier(TWO_POOLS);
      try {
        tier.send(all.slice(0, cut));
        tier.send(all.slice(cut));
        await reads(tier, ONE + TWO + ONE);
        assert.deepEqual(
          tier.servers.map(each => each.received),
          [get('/a') + get('/a/2'), get('/b')],
          `cut at ${cut}`,
        );
      } finally {
        tier.close();
      }
    }
  });

  tierTest('what no route takes is 404 on the open connection', TWO_POOLS, async tier => {
    tier.send(get('/a') + get('/c') + get('/b'));
    await tier.until('the last answer', () => tier.read.endsWith(TWO));
    assert.match(tier.read, /^HTTP\/1\.1 200 OK.*one(HTTP\/1\.1 404 Not Found)\r\n/s);
    assert.doesNotMatch(tier.read, /Connection: close/);
    assert.deepEqual(
      tier.servers.map(each => each.received),
      [get('/a'), get('/b')],
    );
    assert.equal(tier.tally.forbidden, 1);
  });

  tierTest('content that looks like a request is content', TWO_POOLS, async tier => {
    const body = get('/b');
    const post = `POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    tier.send(post);
    await tier.until('the request', () => tier.servers[0].received === post);
    assert.equal(tier.servers[1].received, '');
  });
});

suite('HTTP Basic', () => {
  tierTest('401 with its challenge, and again with credentials, on one connection', STAFF, async tier => {
    tier.send(get('/x', credentials('ada')));
    await reads(tier, ONE);
    tier.send(get('/y'));
    await tier.until('401', () => tier.read.includes('401 Unauthorized') && tier.read.endsWith('\n'));
    assert.match(tier.read, /\r\nWWW-Authenticate: Basic realm="Staff", charset="UTF-8"\r\n/);
    const before = tier.read.length;
    tier.send(get('/y', credentials('ada')));
    await tier.until('the page', () => tier.read.length > before && /one$|two$/.test(tier.read));
    assert.equal(tier.isEnded || tier.isReset, false);
    const all = tier.servers.map(each => each.received).join('');
    assert.equal(all, get('/x', credentials('ada')) + get('/y', credentials('ada')));
  });

  tierTest('behind one that is allowed, in the same segment: it runs nowhere', STAFF, async tier => {
    const order = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n';
    tier.send(get('/x', credentials('ada')) + order + get('/z', credentials('eve')));
    await tier.until('both refusals', () => count(tier.read, 'HTTP/1.1 401') === 2);
    assert.ok(tier.read.startsWith(ONE));
    assert.equal(tier.servers.map(each => each.received).join(''), get('/x', credentials('ada')));
    assert.equal(tier.tally.forbidden, 2);
  });

  tierTest('refused with half of its content: closed', STAFF, async tier => {
    tier.send('POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 40\r\n\r\nhalf');
    await tier.until('the end', () => tier.isEnded);
    assert.match(tier.read, /^HTTP\/1\.1 401 .*\r\nConnection: close\r\n/s);
    tier.send(get('/smuggled', credentials('ada')));
    await new Promise(resolve => setTimeout(resolve, 100));
    assert.equal(tier.servers.map(each => each.received).join(''), '');
  });
});

suite('bytes that come twice', () => {
  for (const [name, first, second] of [
    ['a whole head', get('/a'), get('/b')],
    ['half a head', get('/a').slice(0, 10), get('/b').slice(0, 10)],
  ] as const)
    tierTest(`${name} with another content: reset, and counted`, TWO_POOLS, async tier => {
      tier.inject(0, first);
      tier.inject(0, second);
      await tier.until('the reset', () => tier.isReset);
      assert.equal(tier.tally.overlapsDiffer, 1);
      assert.equal(tier.servers[1].received, '');
      assert.ok(get('/a').startsWith(tier.servers[0].received));
    });

  tierTest('out of order, the later one overlapping: only what is logged runs', TWO_POOLS, async tier => {
    const [public_, secret] = [get('/a', 'X: 1\r\n'), get('/a', 'X: 2\r\n')];
    tier.inject(20, public_.slice(20));
    tier.inject(20, secret.slice(20));
    tier.inject(0, public_.slice(0, 20));
    await tier.until('the request', () => tier.servers[0].received === public_);
    assert.equal(tier.servers[1].received, '');
  });

  tierTest(
    'with the same content: nothing happens, and lost acknowledgements are said again',
    TWO_POOLS,
    async tier => {
      tier.send(get('/a'));
      await reads(tier, ONE);
      const before = tier.told;
      tier.inject(0, get('/a'));
      tier.send(get('/b'));
      await reads(tier, ONE + TWO);
      assert.equal(before, get('/a').length);
      assert.equal(tier.tally.overlapsDiffer, 0);
      assert.equal(tier.servers[0].received, get('/a'));
    },
  );
});

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

test('requests to all pools, allowed and not, in segments of any size, order and number: each to its own, once', {
  timeout: 60_000,
}, async t => {
  let overtook = 0;
  for (let seed = 1; seed <= 150; seed++) {
    const next = random(seed);
    const below = (limit: number) => Math.floor(next() * limit);
    const paths = Array.from({ length: 1 + below(6) }, (_, i) => `/${'abc'[below(3)]}/${i}`);
    const all = paths.map(path => get(path)).join('');
    const segments: [number, string][] = [];
    for (let at = 0; at < all.length; ) {
      const end = Math.min(all.length, at + 1 + below(90));
      segments.push([at, all.slice(at, end)]);
      // Once more, or a part of it with what follows.
      if (next() < 0.3) segments.push([at + below(end - at), all.slice(at, at + 120)]);
      at = end;
    }
    for (const segment of segments) {
      const [at] = segment;
      segment[1] = all.slice(at, at + segment[1].length);
    }
    for (let i = 1; i < segments.length; i++)
      if (next() < 0.3) {
        [segments[i - 1], segments[i]] = [segments[i]!, segments[i - 1]!];
        overtook++;
      }
    const tier = new ModelTier(TWO_POOLS);
    try {
      for (const [at, text] of segments) {
        tier.inject(at, text);
        if (next() < 0.3) await new Promise(resolve => setImmediate(resolve));
      }
      const own = (prefix: string) => paths.filter(path => path.startsWith(prefix)).map(path => get(path));
      await tier.until(
        `all answers of seed ${seed}`,
        () => count(tier.read, 'HTTP/1.1 ') === paths.length && /(one|two|there\.\n)$/.test(tier.read),
      );
      const answers = [...tier.read.matchAll(/HTTP\/1\.1 \d+|one|two/g)].map(([found]) => found);
      const expected = { a: ['HTTP/1.1 200', 'one'], b: ['HTTP/1.1 200', 'two'], c: ['HTTP/1.1 404'] };
      assert.deepEqual(
        answers,
        paths.flatMap(path => expected[path[1] as 'a' | 'b' | 'c']),
        `seed ${seed}`,
      );
      assert.deepEqual(
        tier.servers.map(each => each.received),
        [own('/a').join(''), own('/b').join('')],
        `seed ${seed}`,
      );
      assert.deepEqual([tier.isReset, tier.tally.overlapsDiffer], [false, 0], `seed ${seed}`);
    } finally {
      tier.close();
    }
  }
  assert.ok(overtook > 100, 'inconclusive: hardly anything out of order');
  t.diagnostic(`${overtook} segments overtook another one`);
});

suite('a client that does not keep to what is granted', () => {
  tierTest('requests that wait, without end: reset', TWO_POOLS, async tier => {
    // The first response is never acknowledged as a whole, so the next pool's requests wait.
    tier.acknowledges = 10;
    tier.send(get('/a'));
    await tier.until('the page', () => tier.read === ONE);
    const flood = get('/b', `X: ${'x'.repeat(1900)}\r\n`).repeat(500);
    for (let i = 0; i < 20 && !tier.isReset; i++) {
      tier.send(flood);
      await new Promise(resolve => setImmediate(resolve));
    }
    await tier.until('the reset', () => tier.isReset);
    assert.equal(tier.servers[1].received, '');
  });

  tierTest('refused requests, one after the other: nothing of them is kept', STAFF, async tier => {
    for (let i = 1; i <= 50; i++) {
      tier.send(get('/x'));
      await tier.until(
        `refusal ${i}`,
        () => count(tier.read, 'HTTP/1.1 401') === i && tier.read.endsWith('.\n'),
      );
    }
    await tier.until('the log to be empty', () => tier.store.held <= get('/x').length);
    assert.equal(tier.servers.map(each => each.received).join(''), '');
  });
});

suite('what is no request', () => {
  tierTest('behind one that is: 400, and the end', TWO_POOLS, async tier => {
    tier.send(`${get('/a')}GET /a\nHost: shop\n\n${get('/a/2')}`);
    await tier.until('the end', () => tier.isEnded);
    assert.match(tier.read, /^HTTP\/1\.1 200 OK.*HTTP\/1\.1 400 Bad Request.*\r\nConnection: close\r\n/s);
    assert.equal(tier.servers[0].received, get('/a'));
  });

  tierTest('half a head is acknowledged after a while, and delivered as a whole', TWO_POOLS, async tier => {
    tier.send(get('/a'));
    await reads(tier, ONE);
    const head = get('/b', `X: ${'x'.repeat(500)}\r\n`);
    tier.send(head.slice(0, 300));
    await tier.until('its acknowledgement', () => tier.told === get('/a').length + 300);
    assert.equal(tier.servers[0].received, get('/a'));
    tier.send(head.slice(300));
    await reads(tier, ONE + TWO);
    assert.equal(tier.servers[1].received, head);
  });

  tierTest('a head that is too long: 431, and the connection goes on', TWO_POOLS, async tier => {
    tier.send(get('/a') + get('/a', `X: ${'x'.repeat(2048)}\r\n`) + get('/b'));
    await tier.until('the last answer', () => tier.read.endsWith(TWO));
    assert.equal(count(tier.read, 'HTTP/1.1 431 '), 1);
    assert.deepEqual(
      tier.servers.map(each => each.received),
      [get('/a'), get('/b')],
    );
  });

  tierTest('half a head and FIN: 400', TWO_POOLS, async tier => {
    tier.send(get('/a'));
    await reads(tier, ONE);
    tier.send('GET /b HT', 1);
    await tier.until('the end', () => tier.isEnded);
    assert.match(tier.read, /400 Bad Request/);
    assert.equal(tier.servers[1].received, '');
  });
});

suite('the end', () => {
  tierTest('a client that closes behind its request gets its answer', TWO_POOLS, async tier => {
    tier.send(get('/a'));
    await reads(tier, ONE);
    tier.send(get('/b'), 1);
    await reads(tier, ONE + TWO);
    assert.equal(tier.servers[1].received, get('/b'));
  });

  tierTest(
    'an idle back end that closes: the next request finds another one of its pool',
    { ...TWO_POOLS, applications: [eachHead(() => says(ONE, { ends: 'fin' })), pagesOf('two')] },
    async tier => {
      tier.send(get('/any'));
      await reads(tier, ONE);
      await tier.until('it to rest', () => tier.view?.state === 'resting');
      tier.kill(0);
      tier.send(get('/any/2'));
      await reads(tier, ONE + TWO);
      assert.equal(tier.isEnded, false);
    },
  );
});

suite('a back end that dies', () => {
  const slow: Application = eachHead(() => says(page('same'), { stopAt: 40 }));
  tierTest(
    'in mid-response: another one of the same pool goes on',
    { ...TWO_POOLS, applications: [slow, pagesOf('same')] },
    async tier => {
      tier.send(get('/any'));
      await tier.until('the beginning', () => tier.read.length === 40);
      tier.kill(0);
      await reads(tier, page('same'));
      assert.equal(tier.servers[1].received, get('/any'));
    },
  );

  tierTest(
    'and is the only one of its pool: 503, though another pool lives, and the connection goes on',
    { ...TWO_POOLS, wait: 100 },
    async tier => {
      tier.send(get('/a'));
      await reads(tier, ONE);
      tier.kill(0);
      tier.send(get('/a/2'));
      await tier.until('503', () => tier.read.endsWith('soon.\n'));
      assert.match(tier.read, /HTTP\/1\.1 503 /);
      assert.equal(tier.servers[1].received, '');
      tier.send(get('/b'));
      await tier.until('the page', () => tier.read.endsWith(TWO));
    },
  );
});

suite('a listener of one pool, which others do not share', () => {
  const ONE_POOL: TierOptions = {
    ...{ applications: [pagesOf('one'), pagesOf('two')], wait: 100 },
    listener: { pool: 'first' },
    pools,
  };

  tierTest(
    'is not served by another pool’s back end when its own dies: 503, and it goes on',
    ONE_POOL,
    async tier => {
      tier.send(get('/'));
      await reads(tier, ONE);
      tier.kill(0);
      tier.send(get('/2'));
      await tier.until('503', () => tier.read.endsWith('soon.\n'));
      assert.match(tier.read, /HTTP\/1\.1 503 /);
      assert.equal(tier.servers[1].received, '');
      assert.equal(tier.isEnded, false);
    },
  );

  tierTest(
    'is when both are of its pool',
    { ...ONE_POOL, listener: { routes: [{ match: {}, pool: 'all' }] } },
    async tier => {
      tier.send(get('/'));
      await reads(tier, ONE);
      tier.kill(0);
      tier.send(get('/2'));
      await reads(tier, ONE + TWO);
    },
  );
});

suite('content that is waited for', () => {
  tierTest(
    'Expect: 100-continue: the head is delivered before its content is there',
    {
      ...TWO_POOLS,
      applications: [
        received => [
          ...(received.includes('\r\n\r\n') ? [says('HTTP/1.1 100 Continue\r\n\r\n')] : []),
          ...(received.endsWith('content') ? [says(ONE)] : []),
        ],
        pagesOf('two'),
      ],
    },
    async tier => {
      const head = 'POST /a HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n';
      tier.send(head);
      await tier.until('100', () => tier.read.endsWith('Continue\r\n\r\n'));
      tier.send('content');
      await tier.until('the page', () => tier.read.endsWith(ONE));
      tier.send(get('/b'));
      await tier.until('the next page', () => tier.read.endsWith(TWO));
      assert.equal(tier.servers[0].received, `${head}content`);
    },
  );
});

suite('another protocol', () => {
  const upgrade = 'Connection: upgrade\r\nUpgrade: echo\r\n';
  const switches: Application = received => [
    ...(received.includes('\r\n\r\n') ? [says('HTTP/1.1 101 Switching Protocols\r\n\r\n')] : []),
    ...(received.endsWith('ping') ? [says('pong')] : []),
  ];
  tierTest(
    'after a 101 bytes pass',
    { ...TWO_POOLS, applications: [switches, pagesOf('two')] },
    async tier => {
      tier.send(get('/a', upgrade));
      await tier.until('101', () => tier.read.endsWith('\r\n\r\n'));
      tier.send('ping');
      await tier.until('pong', () => tier.read.endsWith('pong'));
      assert.equal(tier.servers[0].received, `${get('/a', upgrade)}ping`);
    },
  );
});
