import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseIp } from '@resplice/dataplane';
import type { Conversation } from '../src/conversation.ts';
import { MOST_STEPS, MOST_TRACES, Timeline } from '../src/timeline.ts';
import { traceOf } from '../src/trace.ts';
import { viewOf } from '../src/view.ts';
import { monotonicMs } from '../src/watchman.ts';

/** As much of a conversation as is shown. */
function conversation(slot: number, port: number, openedMs: number): Conversation {
  const id = {
    client: parseIp('10.61.0.2'),
    vip: parseIp('10.60.0.1'),
    clientPort: port,
    vipPort: 80,
    isn: 1,
  };
  return { slot, generation: 1, id, openedMs, transactions: [], failovers: 0 } as unknown as Conversation;
}

const view = (each: Conversation) => viewOf(each, false);

suite('the timeline', () => {
  test('tells the moves of a connection one by one', () => {
    const timeline = new Timeline();
    const one = conversation(1, 5000, 1000);
    timeline.begin(one, 'suspected: backend-1 reset it');
    timeline.note(one, 'fenced');
    timeline.begin(one, 'suspected: backend-2 is silent');
    const { code, body } = traceOf('10.61.0.2:5000', [one], timeline, view);
    assert.equal(code, 200);
    assert.ok('steps' in body);
    assert.deepEqual(
      body.steps.map(({ move, what }) => `${move} ${what}`),
      ['1 suspected: backend-1 reset it', '1 fenced', '2 suspected: backend-2 is silent'],
    );
    assert.equal(body.client, '10.61.0.2:5000');
    assert.equal(body.connection?.state, 'resting');
  });

  test('tells the first byte once, and not what was heard before', () => {
    const timeline = new Timeline();
    const one = conversation(1, 5000, 1000);
    timeline.begin(one, 'suspected: backend-1 reset it');
    timeline.serverBytes(one, 600, monotonicMs());
    timeline.awaitFirstByte(one, 500);
    timeline.serverBytes(one, 500, monotonicMs());
    const { steps } = timeline.of(one)!;
    assert.equal(steps.length, 1);
    timeline.serverBytes(one, 501, monotonicMs() - 1000);
    timeline.serverBytes(one, 502, monotonicMs());
    assert.deepEqual(
      steps.map(({ what }) => what),
      ['suspected: backend-1 reset it', 'first byte'],
    );
    const agoMs = Date.now() - steps[1]!.atMs;
    assert.ok(agoMs >= 1000 && agoMs < 60_000, `it was ${agoMs} ms ago`);
  });

  test('of an address the newest connection, open ones before those that are over', () => {
    const timeline = new Timeline();
    const [old, recent, untouched] = [
      conversation(1, 5000, 1000),
      conversation(2, 5001, 2000),
      conversation(3, 5002, 3000),
    ];
    timeline.begin(recent!, 'idle: backend-1 closed it');
    timeline.begin(old!, 'idle: backend-1 closed it');
    const found = (client: string, living: Conversation[]) => {
      const { body } = traceOf(client, living, timeline, view);
      return 'client' in body
        ? `${body.client} ${body.steps.length} ${body.connection?.state ?? 'over'}`
        : body.error;
    };
    assert.equal(found('10.61.0.2', []), '10.61.0.2:5001 1 over');
    assert.equal(found('10.61.0.2', [old!, untouched!]), '10.61.0.2:5002 0 resting');
    assert.equal(found('10.61.0.2:5000', [old!, untouched!]), '10.61.0.2:5000 1 resting');
    // Its client uses the port again.
    assert.equal(found('10.61.0.2:5000', [conversation(4, 5000, 4000)]), '10.61.0.2:5000 0 resting');
  });

  test('says what it does not know, and what is no client', () => {
    const answer = (client: string) => traceOf(client, [conversation(1, 5000, 1)], new Timeline(), view);
    assert.equal(answer('10.61.0.3').code, 404);
    assert.equal(answer('10.61.0.2:5001').code, 404);
    for (const text of ['', 'client-1', '10.61.0', '10.61.0.999', '10.61.0.2:'])
      assert.equal(answer(text).code, 400, text);
  });

  test('keeps so many steps of so many connections', () => {
    const timeline = new Timeline();
    const first = conversation(0, 1, 1);
    timeline.note(first, 'nothing has begun');
    assert.equal(timeline.size, 0);
    timeline.begin(first, '0');
    for (let i = 1; i < MOST_STEPS + 3; i++) timeline.note(first, String(i));
    const { steps, dropped } = timeline.of(first)!;
    assert.deepEqual([steps.length, dropped, steps[0]!.what], [MOST_STEPS, 3, '3']);
    for (let slot = 1; slot < MOST_TRACES; slot++) timeline.begin(conversation(slot, slot, slot), 'idle');
    timeline.note(first, 'again');
    timeline.begin(conversation(MOST_TRACES, 1, 1), 'idle');
    assert.equal(timeline.size, MOST_TRACES);
    assert.ok(timeline.of(first), 'to it something happened just now');
    assert.equal(timeline.of(conversation(1, 1, 1)), undefined, 'to this one nothing for longest');
  });
});
