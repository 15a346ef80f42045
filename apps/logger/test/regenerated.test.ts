/**
 * A response that an alternate generates again, longer, shorter or different, after the first back end has died at any byte of it:
 * the client reads the beginning of one response and is reset, or all of one. Never the beginning of one and something else.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { eachHead, ModelTier } from './fixtures/model-tier.ts';

const GET = 'GET /page HTTP/1.1\r\nHost: shop\r\n\r\n';
const DATE = 'Date: Tue, 24 Nov 2026 10:00:00 GMT';
const LATER = 'Date: Tue, 24 Nov 2026 10:00:07 GMT';

interface Shape {
  status?: string;
  fields?: readonly string[];
  body?: string;
  /** Content in chunks instead of one with a length. */
  chunks?: readonly string[];
  untilClose?: boolean;
}

function response({ status = '200 OK', fields = [DATE], body = '', chunks, untilClose }: Shape): string {
  const framing = chunks
    ? ['Transfer-Encoding: chunked']
    : untilClose
      ? ['Connection: close']
      : [`Content-Length: ${body.length}`];
  const content = chunks
    ? [...chunks, ''].map(each => `${each.length.toString(16)}\r\n${each}\r\n`).join('')
    : body;
  return `HTTP/1.1 ${status}\r\n${[...fields, ...framing].join('\r\n')}\r\n\r\n${content}`;
}

const body = 'the page of the shop, as it has always been';
const chunks = ['the page ', 'of the shop, ', 'as it is'];
const plain = response({ body });
const chunked = response({ chunks });
const untilClose = response({ body, untilClose: true });
/** Fields that two servers fill each by its own clock, version, tags and cookies; their site masks all but the first. */
const own = (server: 1 | 2) => [
  server === 1 ? DATE : LATER,
  `Server: httpd/1.22.${server}`,
  `ETag: "${server}"`,
  `Set-Cookie: node=${server}; Path=/`,
];
const MASK = ['ETag', 'server', 'Set-Cookie'];
const ofFirst = response({ body, fields: own(1) });
const ofSecond = (more: Shape = {}) => response({ body, fields: own(2), ...more });

/** What the first back end gives, and what the second; names of fields that the site masks. */
const pairs: Readonly<Record<string, readonly [string, string, (readonly string[])?]>> = {
  'the same': [plain, plain],
  'the same, but for its date': [plain, response({ body, fields: [LATER] })],
  'a date that is longer': [plain, response({ body, fields: [LATER.replace('7 GMT', '7 +0000')] })],
  longer: [plain, response({ body: `${body} and more` })],
  shorter: [plain, response({ body: body.slice(0, 20) })],
  'longer than it says': [plain, `${plain} and more`],
  'other words': [plain, response({ body: body.replace('always', 'seldom') })],
  'another status': [plain, response({ status: '404 Not Found', body })],
  'another field': [plain, response({ body, fields: [DATE, 'X-Served-By: 2'] })],
  'fields in another order': [
    response({ body, fields: ['Server: a', DATE] }),
    response({ body, fields: [DATE, 'Server: a'] }),
  ],
  'no HTTP': [plain, 'what do you mean?\r\n\r\n'],
  'chunks instead of a length': [plain, response({ chunks: [body] })],
  'the same chunks': [chunked, chunked],
  'other chunks of the same content': [chunked, response({ chunks: ['the page of ', 'the shop, as it is'] })],
  'a chunk more': [chunked, response({ chunks: [...chunks, '!'] })],
  'a chunk less': [chunked, response({ chunks: chunks.slice(0, 2) })],
  'a trailer': [chunked, chunked.replace(/\r\n$/, 'X-Sum: 1\r\n\r\n')],
  'the same until the end': [untilClose, untilClose],
  'a longer one until the end': [untilClose, `${untilClose} and more`],
  'a shorter one until the end': [untilClose, untilClose.slice(0, -20)],
  'the same, but for what is masked': [ofFirst, ofSecond(), MASK],
  'what could be masked, and is not': [ofFirst, ofSecond()],
  'masked fields, one of them longer': [
    ofFirst,
    ofSecond({ fields: own(2).map(each => each.replace('node=2', 'node=22')) }),
    MASK,
  ],
  'masked fields, and one more': [ofFirst, ofSecond({ fields: [...own(2), 'X-Served-By: 2'] }), MASK],
  'masked fields, and other words': [ofFirst, ofSecond({ body: body.replace('always', 'seldom') }), MASK],
};

/** Up to where two responses are one and the same for a client that has the first one's masked fields. */
function agreement(first: string, second: string, mask: readonly string[]): number {
  let masked = second;
  for (const name of ['Date', ...mask]) {
    const [line] = new RegExp(`^${name}: .*$`, 'im').exec(first) ?? [];
    const at = line === undefined ? -1 : first.indexOf(line);
    const begins = masked.slice(at, at + name.length + 2).toLowerCase() === `${name.toLowerCase()}: `;
    if (line !== undefined && begins) masked = masked.slice(0, at) + line + masked.slice(at + line.length);
  }
  let at = 0;
  while (at < first.length && at < masked.length && first[at] === masked[at]) at++;
  return at;
}

/** Where everybody was when the first back end died: A ≤ C ≤ T, and how the responses were cut. */
interface Cut {
  /** What the first back end had sent and the logger had forwarded. */
  forwarded: number;
  /** What of it had reached the client. */
  reached: number;
  /** What of that the logger knows to have been acknowledged. */
  acknowledged: number;
  first: readonly number[];
  second: readonly number[];
}

async function run([first, second, mask = []]: (typeof pairs)[string], cut: Cut): Promise<void> {
  const endsByFin = first.includes('Connection: close');
  const of = (text: string, stopAt: number | undefined, segments: readonly number[]) =>
    eachHead(() => ({
      ...{ bytes: Buffer.from(text), stopAt, segments },
      ends: stopAt === undefined && text.includes('Connection: close') ? 'fin' : undefined,
    }));
  const tier = new ModelTier({
    applications: [of(first, cut.forwarded, cut.first), of(second, undefined, cut.second)],
    listener: { mask: [...mask] },
  });
  try {
    tier.reach = cut.reached;
    tier.acknowledges = cut.acknowledged;
    tier.send(GET);
    const { tracks } = tier.kernel;
    const start = tracks.serverNext(0);
    const forwarded = () => (tracks.serverNext(0) - start) >>> 0;
    await tier.until(
      'the first back end',
      () => tier.told === GET.length && forwarded() === cut.forwarded && tier.read.length === cut.reached,
    );
    tier.kill(0);
    tier.reach = tier.acknowledges = Number.POSITIVE_INFINITY;
    // A client that has heard nothing for a while, or reads again, says where it is.
    await tier.until('the fence', () => tier.steps.includes('fenced'));
    tier.acknowledge();

    const agrees = agreement(first, second, mask);
    const isWhole = !endsByFin && cut.forwarded === first.length;
    // What the client may have heard, it has heard from one back end or from both alike.
    const mayGoOn = cut.forwarded <= agrees;
    const expected = isWhole
      ? first
      : mayGoOn
        ? first.slice(0, cut.forwarded) + second.slice(cut.forwarded)
        : undefined;
    if (expected === undefined) {
      await tier.until('a reset', () => tier.isReset);
      assert.ok(first.startsWith(tier.read), `the client read ${JSON.stringify(tier.read)}`);
      // One without a length is not told from one whose back end has died: all are asked.
      const isShort = endsByFin && first.startsWith(second);
      assert.deepEqual([tier.tally.differs, tier.tally.reset], [isShort ? 0 : 1, 1]);
      const why = isShort ? 'a response that nobody completes' : 'backend-2 gave another response';
      assert.ok(tier.steps.at(-1)!.startsWith(`reset: ${why}`), tier.steps.join(', '));
      return;
    }
    await tier.until('all of it', () => tier.read.length >= expected.length || tier.isReset);
    assert.deepEqual([tier.read, tier.isReset], [expected, false]);
    assert.deepEqual([tier.tally.differs, tier.tally.reset], [0, 0]);
    const asked = isWhole ? '' : GET;
    await tier.until('the question', () => tier.servers[1].received.length >= asked.length);
    assert.equal(tier.servers[1].received, asked);
    if (endsByFin) await tier.until('the end', () => tier.isEnded);
  } finally {
    tier.close();
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 8 });

/** How far the client and its acknowledgements had got when the first back end died, given what had been forwarded. */
type Place = (forwarded: number) => fc.Arbitrary<Pick<Cut, 'reached' | 'acknowledged'>>;

const acknowledged: Place = forwarded => {
  const any = fc.oneof(fc.constant(forwarded), fc.integer({ min: 0, max: forwarded }));
  return fc
    .tuple(any, any)
    .map(([one, other]) => ({ reached: Math.max(one, other), acknowledged: Math.min(one, other) }));
};
/** The client has some, all or none of it, and has said nothing. */
const unacknowledged: Place = forwarded =>
  fc
    .oneof(fc.constant(forwarded), fc.constant(0), fc.integer({ min: 0, max: forwarded }))
    .map(reached => ({ reached, acknowledged: 0 }));
suite('a response that is generated again', () => {
  for (const [name, pair] of Object.entries(pairs))
    for (const [where, place] of [
      ['', acknowledged],
      [', with nothing acknowledged', unacknowledged],
    ] as const)
      test(`${name}: at every cut, no client reads a byte of two responses${where}`, {
        timeout: 120_000,
      }, async () => {
        const length = pair[0].length;
        for (let from = 0; from <= length; from += 32) {
          const cuts = Array.from({ length: Math.min(32, length + 1 - from) }, (_, i) => from + i);
          await Promise.all(
            cuts.map(forwarded => {
              const cut = fc
                .tuple(place(forwarded), sizes, sizes)
                .map(([reach, first, second]) => ({ forwarded, ...reach, first, second }));
              return fc.assert(
                fc.asyncProperty(cut, each => run(pair, each)),
                { numRuns: 1 },
              );
            }),
          );
        }
      });
});
