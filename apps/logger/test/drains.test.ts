import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Backend } from '@resplice/splice';
import type { Conversation } from '../src/conversation.ts';
import { Drains } from '../src/drains.ts';
import { ClientMode } from '../src/layout.generated.ts';

const backend = (name: string) => ({ name, up: true }) as Backend;
const [one, other] = [backend('backend-1'), backend('backend-2')];

type Under = {
  requestEnd: number | undefined;
  delivered: boolean;
  closes?: boolean;
};

/** As much of a conversation as is looked at, and what the client's kernel half would tell. */
function conversation(holder: Backend) {
  return {
    slot: 7,
    id: {},
    backend: holder as Backend | undefined,
    transactions: [] as Under[],
    requests: { size: 0, end: 0 },
    /** The back end has acknowledged so much. */
    delivered: 0,
    closes: false,
    ended: false,
    clientEnd: undefined as number | undefined,
    unprotected: undefined as string | undefined,
    commit() {},
    /** A request of 100 bytes, or the first 50 of it. */
    asks(isWhole = true, isForwarded = true) {
      const end = this.requests.end + (isWhole ? 100 : 50);
      this.transactions.push({ requestEnd: isWhole ? end : undefined, delivered: isWhole && isForwarded });
      this.requests = { size: this.requests.size + (isWhole ? 100 : 50), end };
      if (isForwarded) this.delivered = end;
    },
    /** The client has acknowledged the oldest response. */
    finishes() {
      this.transactions.shift();
      this.requests = { ...this.requests, size: this.transactions.length * 100 };
    },
  };
}

function scene(holder = one) {
  const said: string[] = [];
  const drained: (() => void)[] = [];
  let hasAlternate = true;
  const drains = new Drains({
    datapath: {
      tracks: {
        setClientMode: (_slot: number, mode: number) =>
          said.push(mode === ClientMode.CLIENT_HELD ? 'held' : 'passes'),
        serverAcked: () => 4711,
        delta: () => 0,
      } as never,
      afterDrain: callback => void drained.push(callback),
    },
    wire: {
      reset: (from, _id, seq) => said.push(`reset at ${from.name}, ${seq}`),
      deliver: () => said.push('delivered again'),
    },
    isBusy: () => false,
    hasAlternate: () => hasAlternate,
    move: (conversation, why) => {
      said.push(why);
      conversation.backend = undefined;
    },
  });
  const client = conversation(holder);
  return {
    drains,
    said,
    client,
    look: () => drains.look(client as unknown as Conversation),
    settle: () => {
      for (const callback of drained.splice(0)) callback();
    },
    alone: () => {
      hasAlternate = false;
    },
  };
}

const LEFT = ['drained: leaves backend-1', 'reset at backend-1, 4711'];

suite('a back end that is to be empty', () => {
  test('an idle connection leaves as soon as all that passed is known', () => {
    const { drains, said, look, settle } = scene();
    look();
    assert.deepEqual(said, [], 'nobody is drained');
    drains.set([one]);
    look();
    look();
    assert.deepEqual(said, ['held']);
    settle();
    assert.deepEqual(said, ['held', ...LEFT]);
    drains.set([]);
    assert.ok(drains.isIdle);
  });

  test("another back end's connections stay", () => {
    const { drains, said, look } = scene(other);
    drains.set([one]);
    look();
    assert.deepEqual(said, []);
  });

  test('a request that it has got is answered before; what follows is held for the next one', () => {
    const { drains, said, client, look, settle } = scene();
    drains.set([one]);
    client.asks();
    look();
    settle();
    look();
    assert.deepEqual(said, ['held']);
    client.asks(true, false);
    look();
    assert.deepEqual(said, ['held'], 'the response is not complete');
    client.finishes();
    look();
    assert.deepEqual(said, ['held', ...LEFT]);
  });

  test('a request that slipped through before its client was held is answered', () => {
    const { drains, said, client, look, settle } = scene();
    drains.set([one]);
    look();
    client.asks();
    settle();
    look();
    assert.deepEqual(said, ['held']);
    client.finishes();
    look();
    assert.deepEqual(said, ['held', ...LEFT]);
  });

  test('of a request whose beginning slipped through the rest is not waited for', () => {
    const { drains, said, client, look, settle } = scene();
    drains.set([one]);
    look();
    client.asks(false);
    settle();
    assert.deepEqual(said, ['held', ...LEFT]);
  });

  test('an upload goes on to its end', () => {
    const { drains, said, client, look } = scene();
    drains.set([one]);
    client.asks(false);
    look();
    assert.deepEqual(said, []);
    client.transactions[0]!.requestEnd = 50;
    client.transactions[0]!.delivered = true;
    client.delivered = 30;
    look();
    assert.deepEqual(said, [], 'the back end has not acknowledged all of it');
    client.delivered = 50;
    look();
    assert.deepEqual(said, ['held']);
  });

  test('what ends by itself is left alone, and let go when that turns out late', () => {
    const { drains, said, client, look, settle } = scene();
    drains.set([one]);
    client.clientEnd = 0;
    look();
    assert.deepEqual(said, []);
    client.clientEnd = undefined;
    client.asks();
    look();
    settle();
    client.transactions[0]!.closes = true;
    look();
    assert.deepEqual(said, ['held', 'passes']);
    look();
    assert.deepEqual(said, ['held', 'passes']);
  });

  test('what nobody can follow is counted and waited for', () => {
    const { drains, said, client, look } = scene();
    drains.set([one]);
    client.unprotected = 'upgraded';
    look();
    assert.deepEqual(said, []);
    assert.deepEqual(drains.views([client as unknown as Conversation]), [
      { backend: 'backend-1', connections: 1, unprotected: 1 },
    ]);
  });

  test('nobody leaves while there is nobody to go to', () => {
    const { drains, said, look, alone } = scene();
    drains.set([one]);
    alone();
    look();
    assert.deepEqual(said, []);
  });
});
