/** Connections that are idle when their back end dies: nothing passes from then on, and the rest has time until their clients speak. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TcpFlags } from '@resplice/dataplane';
import { ClientMode, ServerMode } from '../src/layout.generated.ts';
import { eachHead, ModelTier } from './fixtures/model-tier.ts';

const GET = 'GET /page HTTP/1.1\r\nHost: shop\r\n\r\n';
const POST = 'POST /order HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n';
const page = 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nthe page';
const answers = eachHead(() => ({ bytes: Buffer.from(page) }));

/** A connection whose only request has been answered, and acknowledged. */
async function idle(body: (tier: ModelTier) => Promise<void>): Promise<void> {
  const tier = new ModelTier({ applications: [answers, answers] });
  try {
    tier.send(GET);
    await tier.until('a response', () => tier.read === page);
    await tier.until(
      'its acknowledgement',
      () => tier.kernel.tracks.clientAck(0) === tier.kernel.tracks.serverNext(0),
    );
    await body(tier);
  } finally {
    tier.close();
  }
}

const modes = ({ kernel }: ModelTier) => {
  const { clientMode, serverMode } = kernel.tracks.read(0);
  return [clientMode, serverMode];
};
const CLOSED = [ClientMode.CLIENT_HELD, ServerMode.SERVER_DIVERTED];

suite('the back end of an idle connection dies', () => {
  test('nothing passes at once, no move is begun, and it rests soon', { timeout: 30_000 }, () =>
    idle(async tier => {
      tier.kill(0);
      assert.deepEqual([modes(tier), tier.steps, tier.view?.state], [CLOSED, [], 'moving']);
      await tier.until('rest', () => tier.view?.state === 'resting');
      assert.deepEqual(tier.steps, ['suspected: backend-1 is silent', 'fenced', 'resting']);
      assert.deepEqual([tier.tally.unbound, tier.tally.dialled, tier.tally.failedByLiveness], [1, 0, 0]);
    }),
  );

  for (const [name, request, part] of [
    ['a read', GET, ''],
    ['an update', POST, ''],
    ['half a head', POST, POST.slice(0, 20)],
  ] as const)
    test(`its client speaks before that, ${name}: it goes to another one, once`, { timeout: 30_000 }, () =>
      idle(async tier => {
        tier.kill(0);
        tier.send(part || request);
        if (part) {
          await tier.until('its turn', () => tier.told === GET.length + part.length || tier.steps.length > 0);
          tier.send(request.slice(part.length));
        }
        await tier.until('its response', () => tier.read.length >= 2 * page.length || tier.isReset);
        assert.deepEqual([tier.read, tier.isReset], [page + page, false]);
        assert.deepEqual([tier.servers[0].received, tier.servers[1].received], [GET, request]);
        assert.equal(tier.tally.refused, 0);
      }),
    );

  test('it lives after all, and ends the connection before that: nobody hears it', { timeout: 30_000 }, () =>
    idle(async tier => {
      tier.suspect(0);
      tier.servers[0].end();
      await tier.until('rest', () => tier.view?.state === 'resting');
      assert.deepEqual([tier.isEnded, tier.isReset, tier.tally.unbound], [false, false, 1]);
      tier.send(GET);
      await tier.until('its response', () => tier.read === page + page);
      assert.equal(tier.servers[0].received, GET);
    }),
  );

  test('its client ends the connection before that: the end is answered', { timeout: 30_000 }, () =>
    idle(async tier => {
      tier.kill(0);
      tier.send('', TcpFlags.FIN);
      await tier.until('the end', () => tier.isEnded);
      assert.deepEqual([tier.read, tier.isReset, tier.servers[1].sockets], [page, false, 0]);
    }),
  );

  test('its request was on its way to the dead one: an update is not run again', { timeout: 30_000 }, () =>
    idle(async tier => {
      tier.send(POST);
      await tier.until('the request', () => tier.servers[0].received === GET + POST || tier.read !== page);
      tier.kill(0);
      await tier.until('an answer', () => tier.read.length > page.length);
      assert.ok(
        tier.read.startsWith(page + page) || tier.read.startsWith(`${page}HTTP/1.1 502 `),
        JSON.stringify(tier.read),
      );
      assert.equal(tier.servers[1].received, '');
    }),
  );
});
