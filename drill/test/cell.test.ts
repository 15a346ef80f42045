import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { allCells, cellsMatching, nameOf } from '../src/cell.ts';

suite('cells', () => {
  test('are each there once, and nobody uploads what is only read', () => {
    const names = allCells().map(nameOf);
    assert.equal(new Set(names).size, names.length);
    // 13 moments and kinds of work, 8 faults of a proxy and 4 of a back end.
    assert.equal(names.length, 13 * 12);
    assert.ok(names.includes('backend/crash/upload/update'));
    assert.ok(!names.some(name => name.includes('upload/read')));
    assert.ok(!names.some(name => name.startsWith('backend/isolate')));
  });
});

suite('a pattern', () => {
  const names = (patterns: string): string[] => cellsMatching(patterns).map(nameOf);

  test('names a cell, or all that begin so', () => {
    assert.deepEqual(names('proxy/cut/tail/read'), ['proxy/cut/tail/read']);
    assert.equal(names('proxy/cut/tail').length, 2);
    assert.equal(names('backend').length, 4 * 13);
    assert.equal(names('*').length, allCells().length);
  });

  test('has stars within a segment, and never across', () => {
    assert.equal(names('proxy/isolate-*/idle/read').length, 4);
    assert.equal(names('*/crash/*/update').length, 2 * 7);
    assert.equal(names('backend/*').length, 4 * 13);
  });

  test('may be one of several; what two of them name is there once, in the order of the table', () => {
    assert.deepEqual(names('backend/crash/idle/read,proxy/crash/idle/read, proxy/crash/idle/r*'), [
      'proxy/crash/idle/read',
      'backend/crash/idle/read',
    ]);
  });

  test('that is none, or names nothing, is refused', () => {
    for (const wrong of ['', 'proxy/crash,', 'proxy/crash/idle/read/more', 'proxy/.*', 'PROXY']) {
      assert.throws(() => cellsMatching(wrong), { name: 'RangeError', message: /is not COMPONENT/ }, wrong);
    }
    for (const empty of ['logger', 'backend/isolate-lb', 'proxy/crash/upload/read']) {
      assert.throws(() => cellsMatching(empty), { name: 'RangeError', message: /names no cell/ }, empty);
    }
  });
});
