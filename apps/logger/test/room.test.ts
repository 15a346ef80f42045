/** Who leaves the table of connections. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { GONE_MS, Room } from '../src/room.ts';

const SLOTS = 1000;
const NOW = 1e9;

/** @param ages of the connections in slots 0, 1, …, ms */
function choose(ages: readonly number[], options: { busy?: number; used?: number } = {}) {
  const { busy = -1, used = ages.length } = options;
  const room = new Room({ slots: SLOTS, lastMs: slot => NOW - ages[slot]! });
  const all = ages.map((_, slot) => ({ slot, isBusy: slot === busy }));
  const { gone, evicted } = room.choose(all, used, NOW);
  return { gone: gone.map(each => each.slot), evicted: evicted.map(each => each.slot) };
}

suite('a table with room', () => {
  test('keeps all that may still be there', () => {
    assert.deepEqual(choose([GONE_MS, 5, GONE_MS - 1]), { gone: [], evicted: [] });
  });

  test('forgets those that are gone, busy or not', () => {
    assert.deepEqual(choose([5, GONE_MS + 1, GONE_MS + 2], { busy: 2 }), { gone: [1, 2], evicted: [] });
  });
});

test('all are looked through once a minute, and whenever the table is nearly full', () => {
  const room = new Room({ slots: SLOTS, lastMs: () => NOW });
  assert.equal(room.isDue(1, NOW), true);
  assert.equal(room.isDue(900, NOW + 59_999), false);
  assert.equal(room.isDue(901, NOW + 59_999), true);
  assert.equal(room.isDue(1, NOW + 119_998), false);
  assert.equal(room.isDue(1, NOW + 119_999), true);
});

suite('a table that is nearly full', () => {
  const ages = Array.from({ length: 901 }, (_, slot) => 10_000 - slot);

  test('gives up the least recently used ones until there is room', () => {
    const { evicted } = choose(ages);
    assert.deepEqual(
      evicted,
      Array.from({ length: 51 }, (_, slot) => slot),
    );
  });

  test('but none that is busy', () => {
    const { evicted } = choose(ages, { busy: 0 });
    assert.deepEqual([evicted.length, evicted[0]], [51, 1]);
  });

  test('and fewer if some are gone anyhow', () => {
    const { gone, evicted } = choose(ages.with(900, GONE_MS + 1));
    assert.deepEqual([gone, evicted.length], [[900], 50]);
  });
});
