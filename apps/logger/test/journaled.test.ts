/**
 * Updates whose application keeps a journal (P9.2, P12.3), over a model of the kernel half: the successor's kit is asked first, and what
 * it has decides. The kits themselves are models too.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TcpFlags } from '@resplice/dataplane';
import type { Journals } from '../src/kits.ts';
import type { Transaction } from '../src/transaction.ts';
import { type Answer, eachHead, ModelTier, type TierOptions } from './fixtures/model-tier.ts';

const POST = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n';
const UPLOAD = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 20\r\n\r\n';
const GET = 'GET /page HTTP/1.1\r\nHost: shop\r\n\r\n';
const page = (content: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
const says = (text: string, more: Partial<Answer> = {}): Answer => ({ bytes: Buffer.from(text), ...more });
const SILENT: Answer = { bytes: undefined };
const ORDER = page('order 7');

const always = (answer: Answer) => eachHead(() => answer);
const count = (text: string, part: string) => text.split(part).length - 1;

type Said = Awaited<ReturnType<Journals['recover']>>;
const recovered = (stored: 'none' | 'response' | 'state', runs = true): Said => ({
  ...{ type: 'recovered', stored, lastStored: stored === 'none' ? null : 0, lastApplied: null, runs },
});

interface Asked {
  kit: string;
  given: number;
  attempt: number;
  from: string;
}

function journaled(
  name: string,
  options: Omit<TierOptions, 'recover'> & { kit: (backend: string, transaction: Transaction) => Said },
  body: (tier: ModelTier, asked: Asked[]) => Promise<void>,
): void {
  void test(name, { timeout: 30_000 }, async () => {
    const asked: Asked[] = [];
    const tier = new ModelTier({
      listener: { journal: 'response' },
      ...options,
      recover: async ({ name }, _conversation, transaction, from) => {
        asked.push({ kit: name, given: transaction.given!, attempt: transaction.attempts, from });
        return options.kit(name, transaction);
      },
    });
    try {
      await body(tier, asked);
    } finally {
      tier.close();
    }
  });
}

const FIRST: Asked = { kit: 'backend-2', given: 0, attempt: 1, from: 'backend-1' };

suite('an update with a journal, whose back end fails', () => {
  for (const stored of ['response', 'state'] as const) {
    journaled(
      `waiting, ${stored} stored: the successor answers`,
      { applications: [always(SILENT), always(says(ORDER))], kit: () => recovered(stored) },
      async (tier, asked) => {
        tier.send(POST);
        await tier.until('the request', () => tier.told === POST.length);
        tier.kill(0);
        await tier.until('the response', () => tier.read === ORDER);
        assert.deepEqual(asked, [FIRST]);
        assert.deepEqual(tier.starts, [0], 'and is told that nobody was given anything before');
        assert.equal(tier.servers[1].received, POST);
        assert.equal(tier.tally.journalsFound, 1);
      },
    );

    for (const cut of [1, 20, ORDER.length - 1]) {
      journaled(
        `in its response after ${cut} bytes, ${stored} stored: the same bytes go on`,
        {
          applications: [always(says(ORDER, { stopAt: cut })), always(says(ORDER))],
          kit: () => recovered(stored),
        },
        async (tier, asked) => {
          tier.send(POST);
          await tier.until('a part', () => tier.read.length === cut);
          tier.kill(0);
          await tier.until('the rest', () => tier.read === ORDER);
          assert.deepEqual(asked, [FIRST]);
          assert.equal(tier.isReset, false);
        },
      );
    }
  }

  journaled(
    'waiting, nothing stored: it runs again, by the same number',
    { applications: [always(SILENT), always(says(ORDER))], kit: () => recovered('none') },
    async (tier, asked) => {
      tier.send(POST);
      await tier.until('the request', () => tier.told === POST.length);
      tier.kill(0);
      await tier.until('the response', () => tier.read === ORDER);
      assert.deepEqual(asked, [FIRST]);
      assert.deepEqual(tier.starts, [0]);
    },
  );

  journaled(
    'half uploaded: the successor is told, and given the rest',
    {
      applications: [always(SILENT), received => (received.endsWith('.') ? [says(ORDER)] : [])],
      kit: () => undefined,
    },
    async (tier, asked) => {
      tier.send(`${UPLOAD}half of it `);
      await tier.until('a part', () => tier.told === UPLOAD.length + 11);
      tier.kill(0);
      await tier.until('its alternate', () => tier.servers[1].received.length > 0);
      tier.send('the rest.');
      await tier.until('the response', () => tier.read === ORDER);
      assert.deepEqual(asked, [FIRST], 'nobody can have run it, so a kit that does not answer is no reason');
    },
  );

  journaled(
    'in its response, nothing stored: reset, and counted',
    {
      applications: [always(says(ORDER, { stopAt: 20 })), always(says(ORDER))],
      kit: () => recovered('none'),
    },
    async tier => {
      tier.send(POST);
      await tier.until('a part', () => tier.read.length === 20);
      tier.kill(0);
      await tier.until('a reset', () => tier.isReset);
      assert.equal(tier.servers[1].received, '');
      assert.equal(tier.tally.journalsMissing, 1);
    },
  );

  for (const [what, said] of [
    ['no kit answers', undefined],
    ['no kit runs it', recovered('none', false)],
  ] as const) {
    journaled(
      `waiting, and ${what}: 502, and the connection goes on`,
      { applications: [always(SILENT), always(says(page('on')))], kit: () => said },
      async (tier, asked) => {
        tier.send(POST);
        await tier.until('the request', () => tier.told === POST.length);
        tier.kill(0);
        await tier.until('502', () => tier.read.endsWith('again.\n'));
        assert.deepEqual(asked, [FIRST]);
        const before = tier.read.length;
        tier.send(POST);
        await tier.until('the next response', () => tier.read.slice(before) === page('on'));
        assert.equal(tier.servers[1].received, POST);
        assert.deepEqual(tier.starts, [1], 'the refused one had been given to a back end');
      },
    );
  }

  journaled(
    'its successor gives another response than the journal promises: reset',
    {
      applications: [
        always(says(page('order 7 is yours'), { stopAt: page('order 7').length + 1 })),
        always(says(page('order 8 is yours'))),
      ],
      kit: () => recovered('response'),
    },
    async tier => {
      tier.send(POST);
      await tier.until('the number', () => tier.read.endsWith('order 7'));
      tier.kill(0);
      await tier.until('a reset', () => tier.isReset);
      assert.equal(tier.tally.differs, 1);
    },
  );

  journaled(
    'and its successor too: told as the second time, by the name of the second one',
    { applications: [always(SILENT), always(SILENT)], kit: () => recovered('none') },
    async (tier, asked) => {
      tier.send(POST);
      await tier.until('the request', () => tier.told === POST.length);
      tier.kill(0);
      await tier.until('its alternate', () => tier.servers[1].received === POST);
      tier.revive(0);
      tier.kill(1);
      await tier.until('the first one', () => tier.servers[0].received === POST + POST);
      assert.deepEqual(asked, [FIRST, { kit: 'backend-1', given: 0, attempt: 2, from: 'backend-2' }]);
      assert.deepEqual(tier.starts, [0, 0]);
    },
  );

  journaled(
    'behind a read, with another one behind it, all in one segment: each is asked for, and none is refused',
    {
      listener: {
        routes: [
          { match: { methods: ['POST'] }, pool: 'web', journal: 'response' },
          { match: {}, pool: 'web' },
        ],
      },
      applications: [always(SILENT), eachHead(index => says(page(`answer ${index}`)))],
      kit: (_, { given }) => recovered(given === 1 ? 'response' : 'none'),
    },
    async (tier, asked) => {
      tier.send(GET + POST + POST);
      await tier.until('the requests', () => tier.told === GET.length + 2 * POST.length);
      tier.kill(0);
      await tier.until('all responses', () => tier.read === [0, 1, 2].map(i => page(`answer ${i}`)).join(''));
      assert.deepEqual(asked, [
        { ...FIRST, given: 1 },
        { ...FIRST, given: 2 },
      ]);
      assert.deepEqual(tier.starts, [0]);
      assert.equal(tier.tally.refused, 0);
    },
  );

  journaled(
    'behind another one, and the kit does not run it: it alone is refused',
    {
      applications: [always(SILENT), eachHead(index => says(page(`answer ${index}`)))],
      kit: (_, { given }) => recovered('none', given !== 1),
    },
    async tier => {
      tier.send(POST + POST + POST);
      await tier.until('the requests', () => tier.told === 3 * POST.length);
      tier.kill(0);
      await tier.until(
        'three responses',
        () => count(tier.read, 'HTTP/1.1') === 3 && tier.read.endsWith('answer 0'),
      );
      assert.match(tier.read, /^HTTP\/1\.1 200 .*HTTP\/1\.1 502 .*HTTP\/1\.1 200 /s);
      assert.deepEqual(tier.starts, [0, 2], 'the third one has kept its number');
      assert.equal(count(tier.servers[1].received, 'POST'), 2);
    },
  );
});

suite('numbers', () => {
  journaled(
    'an idle connection: its next back end is told how many requests others had',
    { applications: [always(says(ORDER)), always(says(page('on')))], kit: () => undefined },
    async (tier, asked) => {
      tier.send(POST);
      await tier.until('the first', () => tier.read === ORDER);
      tier.send(GET);
      await tier.until('the second', () => tier.read === ORDER + ORDER);
      tier.kill(0);
      tier.send(POST);
      await tier.until('the third', () => tier.read === ORDER + ORDER + page('on'));
      assert.deepEqual(tier.starts, [2]);
      assert.deepEqual(asked, [], 'of what nobody was given nothing can be stored');
    },
  );
});

suite('commits', () => {
  journaled(
    'kits are told what the client has acknowledged, and no more',
    { applications: [always(says(ORDER)), always(SILENT)], kit: () => undefined },
    async tier => {
      tier.acknowledges = 10;
      tier.send(POST);
      await tier.until('the response', () => tier.read === ORDER);
      await new Promise(resolve => setTimeout(resolve, 150));
      assert.deepEqual(tier.committed, [], 'it may still be asked for the rest');
      tier.acknowledges = Number.POSITIVE_INFINITY;
      tier.acknowledge();
      await tier.until('the commit', () => tier.committed.length > 0);
      tier.send(GET);
      await tier.until('the second', () => tier.read === ORDER + ORDER);
      await tier.until('its commit', () => tier.committed.length === 2);
      assert.deepEqual(tier.committed, ['transaction 0', 'transaction 1']);
      assert.deepEqual(tier.abandoned, []);
    },
  );

  for (const [what, { second, acknowledges }] of Object.entries({
    'whose back end runs it still': { second: SILENT, acknowledges: ORDER.length },
    'and has not acknowledged the end of it': { second: says(ORDER), acknowledges: 2 * ORDER.length - 1 },
  })) {
    journaled(
      `a client that is gone ${what}: only kits are told`,
      {
        applications: [eachHead(index => (index === 0 ? says(ORDER) : second)), always(SILENT)],
        kit: () => undefined,
      },
      async tier => {
        tier.acknowledges = acknowledges;
        tier.send(POST);
        await tier.until('the first', () => tier.read === ORDER);
        tier.send(POST);
        await tier.until('the second', () => tier.servers[0].received === POST + POST);
        await tier.until('its response', () => second === SILENT || tier.read === ORDER + ORDER);
        tier.send('', TcpFlags.RST);
        tier.isDeaf = true;
        await tier.until('it to be forgotten', () => tier.abandoned.length > 0, 10_000);
        assert.deepEqual([tier.committed, tier.abandoned], [['transaction 0'], ['transaction 1']]);
        assert.equal(tier.tally.committed, 2);
      },
    );
  }

  journaled(
    'a refusal that the client has acknowledged is no back end’s response: only kits are told',
    { applications: [always(SILENT), always(SILENT)], kit: () => undefined },
    async tier => {
      tier.send(POST);
      await tier.until('the request', () => tier.told === POST.length);
      tier.kill(0);
      await tier.until('502', () => tier.read.endsWith('again.\n'));
      await tier.until('it to be forgotten', () => tier.abandoned.length > 0);
      assert.deepEqual([tier.committed, tier.abandoned], [[], ['transaction 0']]);
    },
  );
});
