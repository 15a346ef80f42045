import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { markdownTable } from '../src/index.ts';

suite('tables in Markdown', () => {
  test('are aligned, with a ruler below the heading', () => {
    const rows = [
      ['what', 'n'],
      ['a longer one', '10'],
    ];
    assert.deepEqual(markdownTable(rows), [
      '| what         | n   |',
      '| ------------ | --- |',
      '| a longer one | 10  |',
    ]);
    assert.deepEqual(markdownTable([]), []);
  });

  test('have as many cells as they were given, whatever is in them', () => {
    assert.deepEqual(markdownTable([['a|b']]), ['| a\\|b |', '| ---- |']);
  });
});
