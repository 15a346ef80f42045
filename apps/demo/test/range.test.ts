import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesEtag, parseRange, rangeApplies } from '../src/range.ts';

test('ranges are read as RFC 9110 has them', () => {
  assert.deepEqual(parseRange('bytes=0-0', 10), { start: 0, end: 1 });
  assert.deepEqual(parseRange('bytes=3-', 10), { start: 3, end: 10 });
  assert.deepEqual(parseRange('bytes=3-99', 10), { start: 3, end: 10 });
  assert.deepEqual(parseRange('bytes=-4', 10), { start: 6, end: 10 });
  assert.deepEqual(parseRange('bytes=-40', 10), { start: 0, end: 10 });
});

test('what cannot be satisfied is said, what cannot be read is ignored', () => {
  assert.equal(parseRange('bytes=10-', 10), 'unsatisfiable');
  assert.equal(parseRange('bytes=-0', 10), 'unsatisfiable');
  for (const header of [undefined, '', 'bytes=-', 'bytes=5-2', 'bytes=0-1,4-5', 'lines=1-2', 'bytes=a-b']) {
    assert.equal(parseRange(header, 10), undefined, String(header));
  }
});

test('entity tags', () => {
  assert.equal(matchesEtag('"a", W/"b"', '"b"'), true);
  assert.equal(matchesEtag('*', '"b"'), true);
  assert.equal(matchesEtag('"a"', '"b"'), false);
  assert.equal(matchesEtag(undefined, '"b"'), false);
  assert.equal(rangeApplies(undefined, '"b"'), true);
  assert.equal(rangeApplies('"b"', '"b"'), true);
  assert.equal(rangeApplies('W/"b"', '"b"'), false, 'a weak tag never allows a range');
});
