import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Backend } from '@resplice/splice';
import type { Conversation } from '../src/conversation.ts';
import { Detector } from '../src/detector/index.ts';
import { Suspicions } from '../src/suspicions.ts';
import type { Transaction } from '../src/transaction.ts';
import { monotonicMs } from '../src/watchman.ts';

const bounds = { floor: 400, start: 10_000, cap: 60_000 };
const one = { name: 'backend-1', up: true } as Backend;
const other = { name: 'backend-2', up: true } as Backend;

/** A connection whose request has waited for so long, ms. */
function waiting(isRepeatable: boolean, forMs = 11_000): { conversation: Conversation; open: Transaction } {
  const watch = new Detector().watch(one.name, 'c', { first: bounds, rest: bounds });
  watch.requestComplete(monotonicMs() - forMs);
  const open = { watch, isRepeatable } as unknown as Transaction;
  return { conversation: { open } as Conversation, open };
}

class Judge {
  readonly failed: Conversation[] = [];
  readonly notes: string[] = [];
  readonly tally = { reprieved: 0 };
  readonly #answers: ((alive: boolean) => void)[] = [];
  readonly suspicions: Suspicions;

  constructor(all: readonly Backend[] = [one, other]) {
    this.suspicions = new Suspicions({
      backends: { all },
      tally: this.tally,
      timeline: { note: (_, what) => void this.notes.push(what) },
      ask: () => new Promise(resolve => void this.#answers.push(resolve)),
      fail: conversation => void this.failed.push(conversation),
    });
  }

  get asked(): number {
    return this.#answers.length;
  }

  /** All who are asked answer, or do not. */
  async answer(alive: boolean): Promise<void> {
    for (const resolve of this.#answers.splice(0)) resolve(alive);
    await new Promise(setImmediate);
  }
}

suite('a back end is silent for too long', () => {
  test('what may run again goes to another one at once', () => {
    const judge = new Judge();
    const { conversation, open } = waiting(true);
    judge.suspicions.suspect(conversation, open, one);
    assert.deepEqual([judge.failed, judge.asked], [[conversation], 0]);
  });

  test('what may not is given up if it answers nobody', async () => {
    const judge = new Judge();
    const { conversation, open } = waiting(false);
    judge.suspicions.suspect(conversation, open, one);
    judge.suspicions.suspect(conversation, open, one);
    assert.deepEqual([judge.failed, judge.asked], [[], 1]);
    await judge.answer(false);
    assert.deepEqual(judge.failed, [conversation]);
  });

  test('it answers others: twice the time, then it is given up all the same', async () => {
    const judge = new Judge();
    const { conversation, open } = waiting(false);
    judge.suspicions.suspect(conversation, open, one);
    await judge.answer(true);
    assert.deepEqual([judge.failed, judge.notes], [[], ['backend-1 is slow, but answers others']]);
    assert.equal(judge.tally.reprieved, 1);
    assert.equal(open.watch!.isSuspect(monotonicMs()), false);
    assert.equal(open.watch!.isSuspect(monotonicMs() + 10_000), true);
    const late = waiting(false, 61_000);
    late.open.watch!.reprieve(monotonicMs());
    judge.suspicions.suspect(late.conversation, late.open, one);
    await judge.answer(true);
    assert.deepEqual(judge.failed, [late.conversation]);
  });

  test('the response comes while somebody asks: nothing is given up', async () => {
    const judge = new Judge();
    const [begun, over] = [waiting(false), waiting(false)];
    for (const { conversation, open } of [begun, over]) judge.suspicions.suspect(conversation, open, one);
    begun.open.watch!.firstByte(monotonicMs());
    Object.assign(over.conversation, { open: undefined });
    await judge.answer(false);
    assert.deepEqual(judge.failed, []);
  });

  test('the last one is never given up for being slow', () => {
    for (const all of [[one], [one, { ...other, up: false } as Backend]])
      for (const isRepeatable of [true, false]) {
        const judge = new Judge(all);
        const { conversation, open } = waiting(isRepeatable, 100_000);
        judge.suspicions.suspect(conversation, open, one);
        assert.deepEqual([judge.failed, judge.asked], [[], 0]);
      }
  });
});
