/** One direction's arithmetic on a clock that stands still until it is told to go. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { DelayLine } from '../src/delay-line.ts';
import { type Direction, wire } from '../src/index.ts';
import { distanceFromEven, shareTolerance } from './fixtures/statistics.ts';

interface Left {
  readonly slot: number;
  readonly at: number;
  readonly copies: number;
}

/** 1250 bytes at 1 Mbit/s take 10 ms. */
const BYTES = 1250;
const RATE = 1e6;

function lineWith(shape: Partial<Direction>, seed = 1, capacity = 65_536): DelayLine {
  const line = new DelayLine(capacity, seed, 0);
  line.shape = { ...wire, ...shape };
  return line;
}

/** All that is inside, with the times at which it leaves. */
function drain(line: DelayLine): Left[] {
  const left: Left[] = [];
  for (let at = line.due; at !== Number.POSITIVE_INFINITY; at = line.due) {
    assert.equal(line.take(at - 0.001), false, 'nothing leaves early');
    while (line.take(at)) left.push({ slot: line.departure.slot, at, copies: line.departure.copies });
  }
  return left;
}

suite('a delay line', () => {
  test('delays', () => {
    const line = lineWith({ delay: 33 });
    for (const slot of [0, 1, 2]) assert.equal(line.accept(slot, BYTES, slot * 5), true);
    assert.equal(line.due, 33);
    assert.deepEqual(
      drain(line).map(({ slot, at }) => [slot, at]),
      [
        [0, 33],
        [1, 38],
        [2, 43],
      ],
    );
  });

  test('sends a packet at a time, at its rate, and then delays it', () => {
    const line = lineWith({ delay: 100, rate: RATE });
    for (const slot of [0, 1, 2]) line.accept(slot, BYTES, 0);
    line.accept(3, BYTES, 60);
    assert.deepEqual(
      drain(line).map(({ at }) => at),
      [110, 120, 130, 170],
    );
  });

  test('its queue holds so many packets, the one being sent included, and none of those under way', () => {
    const line = lineWith({ delay: 1000, rate: RATE, queue: { packets: 3 } });
    const taken = [0, 1, 2, 3].map(slot => line.accept(slot, BYTES, 0));
    assert.deepEqual(taken, [true, true, true, false]);
    assert.equal(line.accept(4, BYTES, 9.9), false);
    assert.equal(line.accept(5, BYTES, 10), true, 'one has been sent: it is under way now');
    assert.equal(line.accept(6, BYTES, 10), false);
    assert.deepEqual([line.counters.offered, line.counters.droppedByQueue], [7, 3]);
    assert.equal(drain(line).length, 4);
  });

  test('its queue holds so many bytes', () => {
    const line = lineWith({ rate: RATE, queue: { bytes: 2600 } });
    const taken = [BYTES, BYTES, 101, 100, 1].map((bytes, slot) => line.accept(slot, bytes, 0));
    assert.deepEqual(taken, [true, true, false, true, false]);
    assert.equal(line.accept(9, BYTES, 10), true);
  });

  test('without a rate nothing ever waits', () => {
    const line = lineWith({ queue: { packets: 1 } });
    for (let slot = 0; slot < 100; slot++) assert.equal(line.accept(slot, BYTES, 0), true);
  });

  test('what is lost has used the link', () => {
    const line = lineWith({ rate: RATE, loss: 100 });
    assert.equal(line.accept(0, BYTES, 0), false);
    line.shape = { ...wire, rate: RATE };
    line.accept(0, BYTES, 0);
    assert.equal(drain(line)[0]!.at, 20);
    assert.equal(line.counters.droppedByLoss, 1);
  });

  test('jitter is even, keeps the order and stays within its bounds', () => {
    const line = lineWith({ delay: 20, jitter: 10 });
    for (let slot = 0; slot < 5000; slot++) line.accept(slot, BYTES, slot * 25);
    const left = drain(line);
    const delays = left.map(({ slot, at }) => at - slot * 25);
    assert.ok(delays.every(each => each >= 10 && each <= 30));
    assert.ok(distanceFromEven(delays, 10, 30) < 1.95 / Math.sqrt(5000));
    for (let slot = 0; slot < 1000; slot++) line.accept(slot, BYTES, 200_000 + slot);
    assert.deepEqual(
      drain(line).map(each => each.slot),
      Array.from({ length: 1000 }, (_, i) => i),
    );
  });

  for (const [kind, count] of [
    ['loss', (line: DelayLine) => line.counters.droppedByLoss],
    ['duplicate', (line: DelayLine) => line.counters.delivered - line.counters.offered],
  ] as const) {
    test(`${kind} takes its share`, () => {
      for (const share of [0.1, 1, 50]) {
        const line = lineWith({ [kind]: share });
        for (let slot = 0; slot < 60_000; slot++) line.accept(slot, BYTES, 0);
        drain(line);
        const off = Math.abs(count(line) / 60_000 - share / 100);
        assert.ok(off < shareTolerance(share / 100, 60_000), `${count(line)} for ${share} %`);
      }
    });
  }

  test('reordered packets skip the delay, not the queue', () => {
    const line = lineWith({ delay: 1000, reorder: 30, rate: 1e9, queue: { packets: 10_000 } });
    for (let slot = 0; slot < 5000; slot++) line.accept(slot, BYTES, slot);
    const left = drain(line);
    const early = left.filter(({ slot, at }) => at - slot < 1);
    assert.ok(Math.abs(early.length / 5000 - 0.3) < shareTolerance(0.3, 5000), `${early.length}`);
    assert.ok(
      early.every(({ slot, at }) => at > slot),
      'each took the time of its bytes',
    );
    assert.ok(left.filter(each => !early.includes(each)).every(({ slot, at }) => at - slot >= 1000));
  });

  test('the same seed repeats the same fates, whatever else is set; another one does not', () => {
    const survivors = (seed: number, shape: Partial<Direction> = {}): number[] => {
      const line = lineWith({ loss: 20, ...shape }, seed);
      for (let slot = 0; slot < 500; slot++) line.accept(slot, BYTES, slot);
      return drain(line).map(each => each.slot);
    };
    assert.deepEqual(survivors(7), survivors(7));
    assert.deepEqual(survivors(7, { delay: 40, jitter: 3, duplicate: 0 }), survivors(7));
    assert.notDeepEqual(survivors(8), survivors(7));
  });

  test('the two directions have different fates', () => {
    const fates = [0, 1].map(direction => {
      const line = new DelayLine(1024, 7, direction);
      line.shape = { ...wire, loss: 50 };
      return Array.from({ length: 100 }, (_, slot) => line.accept(slot, BYTES, 0));
    });
    assert.notDeepEqual(fates[0], fates[1]);
  });

  test('a change holds for what comes after it, and overtakes nothing', () => {
    const line = lineWith({ delay: 100 });
    line.accept(0, BYTES, 0);
    line.shape = { ...wire, delay: 10 };
    line.accept(1, BYTES, 20);
    line.accept(2, BYTES, 200);
    assert.deepEqual(
      drain(line).map(({ slot, at }) => [slot, at]),
      [
        [0, 100],
        [1, 100],
        [2, 210],
      ],
    );
  });
});
