import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Place } from '../../src/aux/disk-log.ts';
import { Known } from '../../src/aux/known.ts';

const key = (transaction: string, step = 0) => ({ service: 'smtp', transaction, step });
const at = (segment: number): Place => ({ segment, at: 0, bytes: 10 });

suite('what is known of dialogues', () => {
  test('is found by its key, in order, and takes doubt away', () => {
    const known = new Known();
    known.doubt(key('a'), at(1));
    assert.deepEqual([known.isDoubtful(key('a')), known.doubts, known.size], [true, 1, 0]);
    known.add(key('a'), at(1));
    known.add(key('a'), at(2));
    known.add(key('a', 1), at(2));
    assert.deepEqual([known.isDoubtful(key('a')), known.doubts, known.size], [false, 0, 2]);
    assert.deepEqual(known.places(key('a')), [at(1), at(2)]);
    assert.deepEqual(known.places({ ...key('a'), service: 'http' }), []);
  });

  test('of a transaction is dropped as a whole, and then its segments are of no use', () => {
    const known = new Known();
    known.add(key('a'), at(1));
    known.doubt(key('a', 1), at(2));
    known.add(key('b'), at(2));
    known.drop('a');
    assert.deepEqual([known.has('a'), known.has('b'), known.size, known.doubts], [false, true, 1, 0]);
    assert.deepEqual([known.isOfNoUse(1), known.isOfNoUse(2)], [true, false]);
    known.drop('b');
    assert.equal(known.isOfNoUse(2), true);
  });

  test('goes with its segment', () => {
    const known = new Known();
    known.add(key('a'), at(1));
    known.add(key('b'), at(1));
    known.add(key('b'), at(2));
    known.doubt(key('c'), at(1));
    known.forget(1);
    assert.deepEqual([known.has('a'), known.has('c'), known.size, known.doubts], [false, false, 1, 0]);
    assert.deepEqual(known.places(key('b')), [at(2)]);
  });

  test('a segment is of use while there is a doubt in it, or it is held', () => {
    const known = new Known();
    known.doubt(key('a'), at(1));
    known.hold(2);
    assert.deepEqual(
      [1, 2, 3].map(segment => known.isOfNoUse(segment)),
      [false, false, true],
    );
    known.settle(key('a'));
    known.settle(key('a'));
    assert.deepEqual([known.isOfNoUse(1), known.has('a'), known.doubts], [true, false, 0]);
    known.forget(2);
    assert.equal(known.isOfNoUse(2), true);
  });

  test('a doubt that is had again is in the later segment, and one doubt', () => {
    const known = new Known();
    known.doubt(key('a'), at(1));
    known.doubt(key('a'), at(2));
    assert.deepEqual([known.doubts, known.isOfNoUse(1), known.isOfNoUse(2)], [1, true, false]);
    assert.deepEqual([known.settle(key('a'), at(1)), known.isDoubtful(key('a'))], [false, true]);
    assert.deepEqual([known.settle(key('a'), at(2)), known.isDoubtful(key('a'))], [true, false]);
  });
});
