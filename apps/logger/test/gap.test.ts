import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, suite, test } from 'node:test';
import type { Conversation } from '../src/conversation.ts';
import { Gap } from '../src/gap.ts';
import type { Tracks } from '../src/tracks.ts';

const MSS = 1000;

/** A connection whose response begins at offset 5,000; of it so much is kept, was forwarded, and is acknowledged. */
function conversation({ kept = 0, forwarded = 0, acknowledged = 0 }) {
  const bytes = Uint8Array.from({ length: kept }, (_, i) => i & 255);
  const record = { length: kept, bytes: (from: number, to: number) => bytes.subarray(from, to) };
  return {
    slot: 3,
    id: { clientPort: 40_000 },
    offer: { mss: MSS },
    transactions: [{ responseAt: 5000, record }],
    acknowledged: 5000 + acknowledged,
    heard: 5000 + forwarded,
    unprotected: undefined as string | undefined,
    ended: false,
    commit() {},
    serverSequence: (offset: number) => offset + 70_000,
  };
}

let said: { seq: number; length: number; first: number | undefined }[];
let present: ReturnType<typeof conversation>[];
let tally: { saidAgain: number };
let gap: Gap;

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  said = [];
  present = [];
  tally = { saidAgain: 0 };
  gap = new Gap({
    tracks: { told: () => 1 } as unknown as Tracks,
    speaker: {
      say: (_to, { seq, payload }) =>
        void said.push({ seq: seq - 75_000, length: payload!.length, first: payload![0] }),
    },
    tally,
    conversations: () => present as unknown as Conversation[],
  });
});
afterEach(() => {
  gap.close();
  mock.timers.reset();
});

suite('a proxy has died', () => {
  test('what the client has not acknowledged is said again, a segment of it, until it is', () => {
    const one = conversation({ kept: 3000, forwarded: 3000 });
    present.push(one);
    gap.open();
    assert.deepEqual(said, []);
    mock.timers.tick(10);
    mock.timers.tick(50);
    one.acknowledged += 1000;
    mock.timers.tick(1000);
    assert.deepEqual(said, Array(2).fill({ seq: 0, length: 1000, first: 0 }));
    assert.equal(tally.saidAgain, 2);
  });

  test('from the middle of a segment, and to the end of what was forwarded', () => {
    present.push(conversation({ kept: 3000, forwarded: 1200, acknowledged: 700 }));
    gap.open();
    mock.timers.tick(10);
    assert.deepEqual(said, [{ seq: 700, length: 500, first: 700 & 255 }]);
  });

  for (const [what, fields] of [
    ['all is acknowledged', { kept: 500, forwarded: 500, acknowledged: 500 }],
    ['it is further than what is kept', { kept: 2000, forwarded: 9000, acknowledged: 2000 }],
    ['nothing is kept', { forwarded: 500 }],
  ] as const)
    test(`nothing is said when ${what}`, () => {
      present.push(conversation(fields));
      gap.open();
      mock.timers.tick(1000);
      assert.deepEqual(said, []);
    });

  test('nothing is said to one that moves or is over, that cannot be followed, or has ended', () => {
    const all = Array.from({ length: 4 }, () => conversation({ kept: 500, forwarded: 500 }));
    present.push(...all);
    gap.open();
    all[1]!.unprotected = 'upgraded';
    all[2]!.ended = true;
    present.shift();
    mock.timers.tick(10);
    assert.equal(said.length, 1);
  });

  test('nothing is said behind the end of the logger', () => {
    present.push(conversation({ kept: 500, forwarded: 500 }));
    gap.open();
    gap.close();
    mock.timers.tick(1000);
    assert.deepEqual(said, []);
  });
});
