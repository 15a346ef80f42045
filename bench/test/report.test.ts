import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { renderPage } from '../src/index.ts';
import { figure, markdownReport, resultIn, textReport } from '../src/report.ts';
import { GOOD, madeUpRun } from './fixture.ts';

const page = new URL('../../docs/BENCHMARKS.md', import.meta.url);

suite('reports', () => {
  test('figures have three digits, and thousands their comma', () => {
    assert.deepEqual([52_730.41, 1.543, 0.0123, 0, 999.6].map(figure), [
      '52,730',
      '1.54',
      '0.0123',
      '0',
      '1000',
    ]);
  });

  test('the table for a terminal names what was missed', () => {
    const lines = textReport(madeUpRun({ ...GOOD, 'bulk.rate.resplice': 0.5 }));
    const text = lines.join('\n');
    assert.match(text, /bulk, rate +kernel forwarding +at least 0\.9 +0\.50 \(0\.50–0\.50\) +MISSED/);
    assert.match(text, /requests, rate +HAProxy +at least 1 +1\.43 \(1\.43–1\.43\) +reached/);
    assert.match(text, /a gate was missed/);
    assert.match(text, /seed 4000000001/);
  });

  test('a void run says so', () => {
    assert.match(
      textReport(madeUpRun({ 'bulk.rate.control': 2 })).join('\n'),
      /void: the machine was not quiet/,
    );
  });

  test('the page holds its own values, and is the same when it is rendered from them', () => {
    // Values with more digits than the page holds.
    const text = markdownReport(
      madeUpRun({ ...GOOD, 'bulk.rate.resplice': 1.0049999 / 3 + 0.7 }),
      'Some notes.\n',
    );
    assert.match(text, /\n## Gates\n\n\*\*every gate reached\. control/);
    assert.match(text, /\nSome notes\.\n/);
    assert.equal(markdownReport(resultIn(text), 'Some notes.\n'), text);
    assert.throws(() => resultIn('# Benchmarks\n'), /holds no values/);
  });

  test('docs/BENCHMARKS.md is what its values and the notes give: nobody edits it by hand', () => {
    const text = readFileSync(page, 'utf8');
    assert.equal(text, renderPage(resultIn(text)));
  });
});
