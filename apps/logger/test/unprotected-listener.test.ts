/** A listener with `protect: false`: its connections pass, nothing of them is kept, and they are lost with their back end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, eachHead, ModelTier } from './fixtures/model-tier.ts';

const GET = 'GET / HTTP/1.1\r\nHost: media\r\n\r\n';
const PAGE = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfilm';

async function inTier(answer: (index: number) => Answer, body: (tier: ModelTier) => Promise<void>) {
  const application = eachHead(answer);
  const tier = new ModelTier({ applications: [application, application], listener: { protect: false } });
  try {
    await body(tier);
  } finally {
    tier.close();
  }
}

const page = (): Answer => ({ bytes: Buffer.from(PAGE) });

test('requests and responses pass, and none of them is known', () =>
  inTier(page, async tier => {
    for (const count of [1, 2, 3]) {
      tier.send(GET);
      await tier.until(`response ${count}`, () => tier.read === PAGE.repeat(count));
    }
    assert.equal(tier.view?.reason, 'its listener is not protected');
    assert.deepEqual([tier.tally.unprotected, tier.tally.transactions], [1, 0]);
    assert.deepEqual([tier.servers[0].received, tier.servers[1].received], [GET.repeat(3), '']);
  }));

test('its back end dies in a response: the client hears no other one', () =>
  inTier(
    () => ({ bytes: Buffer.from(PAGE), stopAt: 20 }),
    async tier => {
      tier.send(GET);
      await tier.until('half a response', () => tier.read.length === 20);
      tier.kill(0);
      await tier.until('its end', () => tier.isReset);
      assert.equal(tier.read, PAGE.slice(0, 20));
      assert.equal(tier.servers[1].received, '');
    },
  ));

test('its back end resets it: the client is reset', () =>
  inTier(
    () => ({ bytes: undefined, ends: 'rst' }),
    async tier => {
      tier.send(GET);
      await tier.until('its end', () => tier.isReset);
      assert.equal(tier.servers[1].received, '');
    },
  ));

test('its back end ends it while it is idle: the client hears that', () =>
  inTier(page, async tier => {
    tier.send(GET);
    await tier.until('a response', () => tier.read === PAGE);
    tier.servers[0].end();
    await tier.until('its end', () => tier.isEnded);
  }));
