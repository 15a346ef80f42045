/**
 * A response that is longer than its record, made again by an alternate: what is beyond the record cannot be compared. It is passed only
 * where something else says that it is the same; else only the back end that has begun it can go on with it.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { RECORD_LIMIT } from '../src/http/response-record.ts';
import { eachHead, ModelTier, type TierOptions } from './fixtures/model-tier.ts';

const GET = 'GET /film HTTP/1.1\r\nHost: shop\r\n\r\n';
const BODY = 3 * RECORD_LIMIT;
/** Beyond the record. */
const STOP = 2 * RECORD_LIMIT;

function response(fields: readonly string[], filling: string): string {
  const head = ['HTTP/1.1 200 OK', ...fields, `Content-Length: ${BODY}`].join('\r\n');
  return `${head}\r\n\r\n${'same'.repeat(RECORD_LIMIT / 4)}${filling.repeat(BODY - RECORD_LIMIT)}`;
}

interface Outcome {
  tier: ModelTier;
  first: string;
  second: string;
}

type Fields = readonly string[];
type Listener = NonNullable<TierOptions['listener']>;

/** The first back end stops beyond the record; the second gives that one, which differs from it only there. */
async function struck(
  fields: readonly [Fields, Fields],
  listener: Listener,
  body: (outcome: Outcome) => Promise<void>,
): Promise<void> {
  const [first, second] = [response(fields[0], 'a'), response(fields[1], 'b')];
  const segments = Array.from({ length: 64 }, () => 16 << 10);
  const tier = new ModelTier({
    applications: [
      eachHead(() => ({ bytes: Buffer.from(first), stopAt: STOP, segments })),
      eachHead(() => ({ bytes: Buffer.from(second), segments })),
    ],
    listener,
  });
  try {
    tier.send(GET);
    await tier.until('a part of it', () => tier.read.length === STOP);
    tier.kill(0);
    await body({ tier, first, second });
  } finally {
    tier.close();
  }
}

const TAG = 'ETag: "1"';
const MODIFIED = 'Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT';

suite('a response that is longer than its record', () => {
  for (const [name, fields, listener] of [
    ['a strong tag', [TAG], {}],
    ['its date of change', [MODIFIED], {}],
    ['its date of change, its tag being masked', [TAG, MODIFIED], { mask: ['ETag'] }],
    ['its tag, its date of change being masked', [TAG, MODIFIED], { mask: ['Last-Modified'] }],
    ['a site that calls it deterministic', [], { tags: { deterministic: true } }],
  ] satisfies [string, Fields, Listener][])
    test(`is passed where it is known by ${name}`, { timeout: 30_000 }, () =>
      // Nobody compares what is proven: here it differs, so that it can be seen whose bytes they are.
      struck([fields, fields], listener, async ({ tier, first, second }) => {
        await tier.until('all of it', () => tier.read.length === first.length || tier.isReset);
        assert.equal(tier.isReset, false, tier.steps.join(', '));
        assert.equal(tier.read, first.slice(0, STOP) + second.slice(STOP));
        assert.deepEqual([tier.tally.passed, tier.tally.reset], [1, 0]);
      }),
    );

  for (const [name, fields, listener] of [
    ['nothing', [[], []], {}],
    ['a weak tag', [['ETag: W/"1"'], ['ETag: W/"1"']], {}],
    ['a tag that is masked, and differs', [[TAG], ['ETag: "2"']], { mask: ['ETag'] }],
    ['a tag that is masked, and does not differ', [[TAG], [TAG]], { mask: ['ETag'] }],
    [
      'dates of change that are masked, and differ',
      [[MODIFIED], [MODIFIED.replace('10:', '11:')]],
      { mask: ['last-modified'] },
    ],
  ] satisfies [string, [Fields, Fields], Listener][])
    test(`is not with ${name}: reset, no byte of two responses`, { timeout: 30_000 }, () =>
      struck(fields, listener, async ({ tier, first }) => {
        await tier.until('a reset', () => tier.isReset);
        assert.equal(tier.read, first.slice(0, STOP));
        assert.equal(tier.steps.at(-1), 'reset: a long response that nothing proves to be the same');
        assert.deepEqual([tier.tally.passed, tier.tally.differs, tier.tally.reset], [0, 0, 1]);
      }),
    );
});
