/**
 * A back end that is suspected in error, or was frozen and goes on, at any step of the move away from it: what it says reaches nobody, and
 * nobody asks it anything. And one that only could go on with what it has begun has its connection back.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { RECORD_LIMIT } from '../src/http/response-record.ts';
import { type Answer, eachHead, ModelTier, type TierOptions } from './fixtures/model-tier.ts';

const GET = 'GET /page HTTP/1.1\r\nHost: shop\r\n\r\n';
const POST = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n';
const page = (content: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
const says = (text: string, more: Partial<Answer> = {}): Answer => ({ bytes: Buffer.from(text), ...more });

/** They agree as far as the client hears the first one. */
const [first, second] = [page('the page, the first one'), page('the page, the other one')];
const agrees = first.indexOf('first one');

async function withTier(options: TierOptions, body: (tier: ModelTier) => Promise<void>): Promise<void> {
  const tier = new ModelTier(options);
  try {
    await body(tier);
  } finally {
    tier.close();
  }
}

/** Steps of a move, in their order. */
const STEPS = ['fenced', 'SYN to backend-2', 'connected', 'replayed', 'passed', 'moved'];

suite('a back end that lives goes on', () => {
  test('the two responses part where this test believes', () => {
    assert.equal(first.slice(0, agrees), second.slice(0, agrees));
    assert.notEqual(first, second);
  });

  // A move lasts until its client has acknowledged what it was sent again.
  for (const [what, stopAt] of [
    ['before its first byte', 0],
    ['in its head', 20],
    ['in its middle', agrees],
  ] as const)
    for (const step of STEPS)
      for (const acknowledged of step === 'moved' ? [true] : [true, false])
        test(
          `${what}, at the step "${step}"${acknowledged ? '' : ', with nothing acknowledged'}: nobody hears it`,
          {
            timeout: 30_000,
          },
          () =>
            withTier(
              {
                applications: [
                  eachHead(() => says(first, { stopAt })),
                  // In pieces, so that there is something between two steps.
                  eachHead(() => says(second, { segments: Array.from({ length: 80 }, () => 3) })),
                ],
              },
              async tier => {
                if (!acknowledged) tier.acknowledges = 0;
                tier.send(GET);
                await tier.until('a part', () => tier.told === GET.length && tier.read.length === stopAt);
                tier.suspect(0);
                await tier.until(step, () => tier.steps.includes(step));
                tier.servers[0].goOn();
                tier.acknowledges = Number.POSITIVE_INFINITY;
                tier.acknowledge();
                await tier.until('all of it', () => tier.read.length >= second.length || tier.isReset);
                assert.equal(tier.isReset, false, tier.steps.join(', '));
                assert.equal(tier.read, first.slice(0, stopAt) + second.slice(stopAt));
                assert.deepEqual([tier.servers[0].received, tier.servers[1].received], [GET, GET]);
                await tier.until('its move to end', () => tier.tally.moved === 1);
                assert.equal(tier.tally.givenBack, 0);

                // Nor later, and it gets none of the next request.
                tier.servers[0].goOn();
                tier.send(GET);
                await tier.until('the next one', () => tier.read.length >= 2 * second.length || tier.isReset);
                assert.equal(tier.read.slice(second.length), second);
                assert.equal(tier.servers[0].received, GET);
              },
            ),
        );
});

/** Silent for so long, ms: suspected. Longer than a busy machine keeps this process waiting. */
const bounds = { floor: 250, start: 250, cap: 600 };
const timeoutClasses = { default: { first: bounds, rest: bounds } };
const long = page('long'.repeat(RECORD_LIMIT / 2));
const segments = Array.from({ length: 64 }, () => 16 << 10);

suite('a back end that is slow, and alone can go on', () => {
  const unproven = { stopAt: 2 * RECORD_LIMIT - 7, segments };

  test('has a long response back of which nothing says that it is the same', { timeout: 30_000 }, () =>
    withTier(
      {
        applications: [eachHead(() => says(long, unproven)), eachHead(() => says(long, { segments }))],
        timeoutClasses,
      },
      async tier => {
        tier.send(GET);
        await tier.until('that it is given back', () => tier.tally.givenBack > 0);
        assert.equal(tier.read, long.slice(0, unproven.stopAt));
        assert.equal(tier.tally.failedByTimeout > 0, true);
        tier.servers[0].goOn();
        await tier.until('all of it', () => tier.read.length >= long.length || tier.isReset);
        assert.deepEqual([tier.read, tier.isReset], [long, false]);
        assert.deepEqual([tier.servers[0].received, tier.servers[0].sockets], [GET, 1]);
        // And keeps the connection.
        tier.send(GET);
        tier.servers[0].goOn();
        await tier.until('the next request', () => tier.servers[0].received === GET + GET);
        assert.equal(tier.tally.reset, 0);
      },
    ),
  );

  test(
    'wakes up while another one is asked: has it back all the same, no byte twice',
    {
      timeout: 30_000,
    },
    () =>
      withTier(
        {
          applications: [eachHead(() => says(long, unproven)), eachHead(() => says(long, { segments }))],
          timeoutClasses,
        },
        async tier => {
          tier.send(GET);
          await tier.until('the other one', () => tier.steps.includes('SYN to backend-2'));
          tier.servers[0].goOn();
          await tier.until('all of it', () => tier.read.length >= long.length || tier.isReset);
          assert.deepEqual([tier.read, tier.isReset], [long, false]);
          assert.equal(tier.servers[0].received, GET);
        },
      ),
  );

  test('is dead after all: reset', { timeout: 30_000 }, () =>
    withTier(
      {
        applications: [eachHead(() => says(long, unproven)), eachHead(() => says(long, { segments }))],
        timeoutClasses,
      },
      async tier => {
        tier.send(GET);
        await tier.until('that it is given back', () => tier.tally.givenBack > 0);
        tier.kill(0);
        await tier.until('a reset', () => tier.isReset);
        assert.equal(tier.read, long.slice(0, unproven.stopAt));
      },
    ),
  );

  test(
    'answers others: has an update back that was cut in its response; it runs once',
    {
      timeout: 30_000,
    },
    () =>
      withTier(
        {
          applications: [
            eachHead(() => says(page('order 7'), { stopAt: 30 })),
            eachHead(() => says(page('no'))),
          ],
          timeoutClasses,
        },
        async tier => {
          tier.send(POST);
          await tier.until('that it is given back', () => tier.tally.givenBack > 0);
          assert.ok(tier.tally.reprieved > 0, 'it had more time first');
          assert.ok(
            tier.steps.includes('given back to backend-1: an update that was cut in its response'),
            tier.steps.join(', '),
          );
          assert.equal(tier.read.length, 30);
          tier.servers[0].goOn();
          await tier.until('all of it', () => tier.read.length >= page('order 7').length || tier.isReset);
          assert.deepEqual([tier.read, tier.isReset], [page('order 7'), false]);
          assert.deepEqual([tier.servers[0].received, tier.servers[1].received], [POST, '']);
        },
      ),
  );

  test('answers nobody: an update that was cut in its response is reset', { timeout: 30_000 }, () =>
    withTier(
      {
        applications: [
          eachHead(() => says(page('order 7'), { stopAt: 30 })),
          eachHead(() => says(page('no'))),
        ],
        timeoutClasses,
      },
      async tier => {
        tier.servers[0].isFrozen = true;
        tier.send(POST);
        await tier.until('a reset', () => tier.isReset);
        assert.equal(tier.read, page('order 7').slice(0, 30));
        assert.deepEqual([tier.servers[0].received, tier.servers[1].received], [POST, '']);
      },
    ),
  );
});

const UPLOAD = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 20\r\n\r\n';

/** One for each upload that has come as a whole. */
const takes = (answer: Answer) => (received: string) =>
  Array.from({ length: received.split('of it, in two parts.').length - 1 }, () => answer);

suite('an upload that stands still', () => {
  test(
    'and its back end answers nobody: another one is given it, and it runs once',
    {
      timeout: 30_000,
    },
    () =>
      withTier(
        {
          applications: [() => [], takes(says(page('order 7')))],
          timeoutClasses,
        },
        async tier => {
          tier.send(UPLOAD);
          await tier.until('its head', () => tier.told === UPLOAD.length);
          tier.servers[0].isFrozen = true;
          await tier.until('the other one', () => tier.servers[1].received === UPLOAD);
          tier.send('of it, in two parts.');
          await tier.until('its answer', () => tier.read.length >= page('order 7').length || tier.isReset);
          assert.deepEqual([tier.read, tier.isReset], [page('order 7'), false]);
          assert.equal(tier.servers[0].received, UPLOAD);
          assert.deepEqual([tier.tally.failedByTimeout, tier.tally.moved], [1, 1]);
        },
      ),
  );

  test(
    'and its back end answers others: its client pauses, and nobody is suspected',
    {
      timeout: 30_000,
    },
    () =>
      withTier(
        {
          applications: [takes(says(page('order 7'))), () => []],
          timeoutClasses,
        },
        async tier => {
          tier.send(UPLOAD);
          await tier.until('its head', () => tier.told === UPLOAD.length);
          await tier.until('questions', () => tier.questions >= 3);
          tier.send('of it, in two parts.');
          await tier.until('its answer', () => tier.read === page('order 7'));
          assert.deepEqual([tier.tally.failedByTimeout, tier.servers[1].sockets], [0, 0]);
        },
      ),
  );
});
