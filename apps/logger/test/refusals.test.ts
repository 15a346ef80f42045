/**
 * What may not run twice, who answers wrongly, and who asks wrongly: the client gets a complete answer on its open connection or an
 * honest end, nothing runs twice, and the logger goes on (docs/FAULTS.md).
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  type Answer,
  type Application,
  eachHead,
  ModelTier,
  type TierOptions,
} from './fixtures/model-tier.ts';

const GET = 'GET /page HTTP/1.1\r\nHost: shop\r\n\r\n';
const POST = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n';
const UPLOAD = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 20\r\n\r\n';
const page = (content: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
const says = (text: string, more: Partial<Answer> = {}): Answer => ({ bytes: Buffer.from(text), ...more });
const SILENT: Answer = { bytes: undefined };
const RESETS: Answer = { bytes: undefined, ends: 'rst' };

const count = (text: string, part: string) => text.split(part).length - 1;
const always = (answer: Answer) => eachHead(() => answer);

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

/** The next request on the same connection. */
async function asksAgain(tier: ModelTier, text = 'and on it goes'): Promise<void> {
  const before = tier.read.length;
  tier.send('GET /on HTTP/1.1\r\nHost: shop\r\n\r\n');
  await tier.until('the next response', () => tier.read.length >= before + page(text).length);
  assert.equal(tier.read.slice(before), page(text));
  assert.equal(tier.isReset || tier.isEnded, false);
}

const onIsServed: Application = received =>
  Array.from({ length: count(received, '\r\n\r\n') }, () => says(page('and on it goes')));

suite('an update that a failed back end may have run', () => {
  tierTest(
    'waiting: 502 once, and the connection goes on',
    { applications: [always(SILENT), onIsServed] },
    async tier => {
      tier.send(POST);
      await tier.until('the request', () => tier.told === POST.length);
      tier.kill(0);
      await tier.until('502', () => tier.read.endsWith('again.\n'));
      assert.match(tier.read, /^HTTP\/1\.1 502 Bad Gateway\r\n/);
      await asksAgain(tier);
      assert.deepEqual(
        [count(tier.servers[0].received, 'POST'), count(tier.servers[1].received, 'POST')],
        [1, 0],
      );
      assert.equal(tier.tally.refused, 1);
    },
  );

  tierTest(
    'waiting, after an interim response: 502 behind that',
    { applications: [always(says('HTTP/1.1 100 Continue\r\n\r\n')), onIsServed] },
    async tier => {
      tier.send(POST);
      await tier.until('100', () => tier.read === 'HTTP/1.1 100 Continue\r\n\r\n');
      tier.kill(0);
      await tier.until('502', () => tier.read.endsWith('again.\n'));
      assert.match(tier.read, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 502 Bad Gateway\r\n/);
      await asksAgain(tier);
    },
  );

  tierTest(
    'waiting, its acknowledgement lost: the 502 brings it',
    { applications: [always(SILENT), onIsServed] },
    async tier => {
      tier.isDeaf = true;
      tier.send(POST);
      await tier.until('the request', () => tier.servers[0].received === POST);
      tier.kill(0);
      tier.isDeaf = false;
      await tier.until('502', () => tier.read.endsWith('again.\n'));
      assert.equal(tier.told, POST.length);
      tier.repeat();
      await asksAgain(tier);
      assert.equal(tier.servers[1].received.includes('POST'), false);
    },
  );

  tierTest(
    'tail: the rest comes from the record, nobody is asked',
    { applications: [always(says(page('order 7'))), onIsServed] },
    async tier => {
      tier.reach = 20;
      tier.send(POST);
      await tier.until('a part', () => tier.read.length === 20);
      tier.kill(0);
      tier.reach = Number.POSITIVE_INFINITY;
      await tier.until('all of it', () => tier.read === page('order 7'));
      await asksAgain(tier);
      assert.equal(tier.servers[1].received.includes('POST'), false);
    },
  );

  tierTest(
    'response: reset in its middle',
    { applications: [always(says(page('order 7'), { stopAt: 30 })), onIsServed] },
    async tier => {
      tier.send(POST);
      await tier.until('a part', () => tier.read.length === 30);
      tier.kill(0);
      await tier.until('a reset', () => tier.isReset);
      assert.equal(tier.servers[1].received, '');
    },
  );

  tierTest(
    'half of it sent: it goes to another one, and when that fails too it is not run again',
    { applications: [always(SILENT), () => []] },
    async tier => {
      tier.send(`${UPLOAD}half of it.`);
      await tier.until('a part', () => tier.told === UPLOAD.length + 11);
      tier.kill(0);
      await tier.until('its alternate', () => tier.servers[1].received === `${UPLOAD}half of it.`);
      tier.send('the rest.');
      await tier.until('the rest', () => tier.servers[1].received.endsWith('the rest.'));
      tier.revive(0);
      tier.kill(1);
      await tier.until('502', () => tier.read.endsWith('again.\n'));
      assert.equal(tier.servers[0].received, `${UPLOAD}half of it.`);
      assert.equal(tier.servers[0].sockets, 1);
    },
  );

  tierTest(
    'between two reads, all in one segment: they are answered, it is refused',
    { applications: [always(SILENT), eachHead(index => says(page(`read ${index}`)))] },
    async tier => {
      tier.send(`${GET}${POST}${GET}`);
      await tier.until('the requests', () => tier.told === 2 * GET.length + POST.length);
      tier.kill(0);
      const [first, last] = [page('read 0'), page('read 0')];
      await tier.until(
        'all',
        () => tier.read.startsWith(first) && tier.read.endsWith(last) && tier.read.length > 200,
      );
      assert.match(tier.read.slice(first.length), /^HTTP\/1\.1 502 /);
      assert.equal(count(tier.servers[1].received, 'GET'), 2);
      assert.equal(count(tier.servers[1].received, 'POST'), 0);
      assert.equal(tier.isReset, false);
    },
  );

  tierTest(
    'tagged as one that may run twice: it runs again',
    {
      applications: [always(SILENT), always(says(page('order 7')))],
      listener: { tags: { idempotent: true } },
    },
    async tier => {
      tier.send(POST);
      await tier.until('the request', () => tier.told === POST.length);
      tier.kill(0);
      await tier.until('its response', () => tier.read === page('order 7'));
      assert.equal(count(tier.servers[1].received, 'POST'), 1);
    },
  );

  tierTest(
    'a read whose response nobody else would give: reset once a byte of it is out, else asked for again',
    {
      applications: [
        eachHead(index => (index === 0 ? SILENT : says(page('a'), { stopAt: 5 }))),
        always(says(page('b'))),
      ],
      listener: { tags: { deterministic: false } },
    },
    async tier => {
      tier.send(GET);
      await tier.until('the request', () => tier.told === GET.length);
      tier.kill(0);
      await tier.until('its response', () => tier.read === page('b'));
      tier.revive(0);
      tier.send(GET);
      await tier.until('two', () => tier.read === page('b') + page('b'));
      assert.equal(tier.isReset, false);
    },
  );
});

suite('when no back end is left', () => {
  tierTest(
    'a request waits, gets 503, and the connection works when one is back',
    { applications: [always(SILENT), onIsServed], wait: 150 },
    async tier => {
      tier.send(GET);
      await tier.until('the request', () => tier.told === GET.length);
      tier.kill(1);
      const at = performance.now();
      tier.kill(0);
      await tier.until('503', () => tier.read.endsWith('soon.\n'));
      assert.ok(performance.now() - at >= 150, 'it waits');
      assert.match(tier.read, /^HTTP\/1\.1 503 Service Unavailable\r\n[\s\S]*Retry-After: 5\r\n/);
      await tier.until('rest', () => tier.steps.at(-1) === 'resting');
      tier.revive(1);
      await asksAgain(tier);
    },
  );

  tierTest(
    'the next request on a resting connection waits as well, and gets 503 as often as it asks',
    { applications: [always(says(page('hello'))), onIsServed], wait: 100 },
    async tier => {
      tier.send(GET);
      await tier.until('a response', () => tier.read === page('hello'));
      tier.kill(1);
      tier.kill(0);
      for (const times of [1, 2]) {
        tier.send(GET);
        await tier.until(
          `503, ${times}`,
          () => count(tier.read, 'HTTP/1.1 503') === times && tier.read.endsWith('soon.\n'),
        );
        assert.equal(tier.told, (times + 1) * GET.length);
        await tier.until('rest', () => tier.view?.state === 'resting');
      }
      tier.revive(1);
      await asksAgain(tier);
    },
  );

  tierTest(
    'one that is back in time answers',
    { applications: [always(SILENT), onIsServed], wait: 5000 },
    async tier => {
      tier.send(GET);
      await tier.until('the request', () => tier.told === GET.length);
      tier.kill(1);
      tier.kill(0);
      await tier.until('the fence', () => tier.steps.includes('fenced'));
      tier.revive(1);
      await tier.until('a response', () => tier.read === page('and on it goes'));
    },
  );

  tierTest(
    'half an upload gets 503 as well, and then the end',
    { applications: [always(SILENT), always(SILENT)], wait: 100 },
    async tier => {
      tier.send(`${UPLOAD}half of it.`);
      await tier.until('a part', () => tier.told === UPLOAD.length + 11);
      tier.kill(1);
      tier.kill(0);
      await tier.until('the end', () => tier.isEnded);
      assert.match(tier.read, /^HTTP\/1\.1 503 [\s\S]*Connection: close\r\n[\s\S]*soon\.\n$/);
      assert.equal(tier.isReset, false);
    },
  );
});

suite('a back end that answers wrongly', () => {
  tierTest(
    'RST instead of an answer, whoever is asked: after nine of them nobody is, and the client gets 502',
    { applications: [always(RESETS), always(RESETS)] },
    async tier => {
      tier.send(GET);
      await tier.until('502', () => tier.read.endsWith('again.\n'));
      const { received: a } = tier.servers[0];
      const { received: b } = tier.servers[1];
      assert.equal(count(a, 'GET') + count(b, 'GET'), 9);
      assert.equal(tier.isReset, false);
    },
  );

  const short = 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nnot so much';
  tierTest(
    'fewer bytes than it says, and FIN, whoever is asked: reset, after nine of them',
    { applications: [always(says(short, { ends: 'fin' })), always(says(short, { ends: 'fin' }))] },
    async tier => {
      tier.send(GET);
      await tier.until('a reset', () => tier.isReset, 15_000);
      assert.equal(tier.read, short);
      assert.equal(count(tier.servers[0].received + tier.servers[1].received, 'GET'), 9);
    },
  );

  tierTest(
    'fewer bytes than it says, but another one is right: transparent',
    {
      applications: [
        always(says(page('all of it').slice(0, -4), { ends: 'fin' })),
        always(says(page('all of it'))),
      ],
    },
    async tier => {
      tier.send(GET);
      await tier.until('all of it', () => tier.read === page('all of it'));
    },
  );

  for (const [name, text] of [
    ['garbage', '\0\0\x01 what?\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nfour'],
    ['an answer and another one that nobody asked for', page('one') + page('two')],
    ['more bytes than it says', `${page('one')} and more`],
    ['broken chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'],
  ] as const) {
    tierTest(
      `${name}: the client gets it as it is, and the connection is called unprotected`,
      { applications: [always(says(text)), onIsServed] },
      async tier => {
        tier.send(GET);
        await tier.until('all of it', () => tier.read === text);
        await tier.until('the verdict', () => tier.view?.state === 'unprotected');
        assert.equal(tier.tally.unprotected, 1);
        tier.kill(0);
        await tier.until('a reset', () => tier.isReset);
        assert.equal(tier.servers[1].received, '');
      },
    );
  }

  tierTest(
    'garbage of the alternate, in the middle of an upload that it is given again: the client gets that, or a reset',
    {
      applications: [() => [], received => (received.length > 0 ? [says('\0 what?\r\n\r\n')] : [])],
    },
    async tier => {
      tier.send(UPLOAD);
      await tier.until('the head', () => tier.told === UPLOAD.length);
      tier.kill(0);
      await tier.until('a verdict', () => tier.read.includes('what?') || tier.isReset);
      assert.equal(count(tier.servers[1].received, 'POST'), 1);
    },
  );

  const early = page('I know enough');
  tierTest(
    'an answer before the request is complete, and then FIN: the client has it, and the end',
    { applications: [received => (received ? [says(early, { ends: 'fin' })] : []), () => []] },
    async tier => {
      tier.send(`${UPLOAD}half of it.`);
      await tier.until('the end', () => tier.isEnded);
      assert.deepEqual([tier.read, tier.isReset], [early, false]);
      assert.equal(tier.servers[1].received, '');
    },
  );

  tierTest(
    'an answer before the request is complete, and the connection goes on',
    {
      applications: [
        received =>
          received === ''
            ? []
            : [says(early), ...(received.includes('/on') ? [says(page('and on it goes'))] : [])],
        () => [],
      ],
    },
    async tier => {
      tier.send(`${UPLOAD}half of it.`);
      await tier.until('its answer', () => tier.read === early);
      tier.send(' and more');
      await asksAgain(tier);
    },
  );
});

suite('a client that lies', () => {
  for (const [name, text] of [
    ['more content than it says', `${UPLOAD}twenty bytes, and then some more\r\n\r\n`],
    ['chunks that are none', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  ] as const) {
    tierTest(
      `${name}: its server has to see to it, and the connection is called unprotected`,
      {
        applications: [
          received => [
            ...(received.includes('/page') ? [says(page('one'))] : []),
            ...(received.endsWith(text) ? [says(page('two'))] : []),
          ],
          () => [],
        ],
      },
      async tier => {
        tier.send(GET);
        await tier.until('one', () => tier.read === page('one'));
        tier.send(text);
        await tier.until('two', () => tier.read === page('one') + page('two'));
        assert.equal(tier.view?.state, 'unprotected');
        assert.equal(tier.tally.unprotected, 1);
      },
    );

    tierTest(
      `${name}, on a resting connection: reset, and nobody is bothered`,
      { applications: [always(says(page('one'))), () => []] },
      async tier => {
        tier.send(GET);
        await tier.until('one', () => tier.read === page('one'));
        tier.kill(0);
        await tier.until('rest', () => tier.steps.at(-1) === 'resting');
        tier.send(text);
        await tier.until('a reset', () => tier.isReset);
        assert.doesNotMatch(tier.servers[1].received, /xyz|some more/);
      },
    );
  }
});

suite('a request that is longer than any that is kept', () => {
  const head = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 3000\r\n\r\n';
  const [begun, rest] = ['a'.repeat(1000), 'b'.repeat(2000)];
  const options: TierOptions = {
    applications: [
      received => (received.length < head.length + 3000 ? [] : [says(page('thanks'))]),
      onIsServed,
    ],
    longestKept: 500,
  };

  async function begin(tier: ModelTier): Promise<void> {
    tier.send(head);
    tier.send(begun);
    await tier.until('what is sent to arrive', () => tier.told === head.length + begun.length);
  }

  tierTest('its back end is silent for a while: it stays, and the answer comes', options, async tier => {
    await begin(tier);
    tier.suspect(0, false);
    tier.send(rest);
    await tier.until('the answer', () => tier.read.endsWith('thanks'));
    assert.deepEqual([tier.read, tier.isReset], [page('thanks'), false]);
  });

  tierTest('its back end is dead for certain: a reset, since nobody can go on', options, async tier => {
    await begin(tier);
    tier.servers[0].die();
    tier.suspect(0, false);
    assert.equal(tier.isReset, false);
    tier.suspect(0);
    await tier.until('the reset', () => tier.isReset);
  });
});
