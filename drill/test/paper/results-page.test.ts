/** docs/RESULTS.md is what its runs say, and nobody's hand has been at it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ResultsFolder } from '../../src/paper/folder.ts';
import { document, resultsPage } from '../../src/paper/results-page.ts';

const docs = (name: string): string => fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url));
const pages = existsSync(docs(document.page)) ? [document.page] : [];

suite('the page of results in docs', () => {
  test('is there with its runs and its picture, or none of them is', () => {
    for (const name of [document.runs, document.picture]) {
      assert.equal(existsSync(docs(name)), pages.length > 0, name);
    }
  });

  for (const page of pages) {
    test('says what its runs say', () => {
      const { results } = ResultsFolder.open(docs(document.folder));
      assert.equal(readFileSync(docs(page), 'utf8'), resultsPage(results, document));
    });
  }
});
