import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { ResultsFolder } from '../../src/paper/folder.ts';
import { madeUpResults } from './fixture.ts';

suite('a folder of results', () => {
  const root = mkdtempSync(join(tmpdir(), 'resplice-results-'));
  after(() => rmSync(root, { recursive: true }));
  const { setting, runs } = madeUpResults();

  test('goes on where it was interrupted, in the middle of a line too', () => {
    const path = join(root, 'one');
    const folder = ResultsFolder.create(path, setting);
    folder.add(runs[0]!);
    folder.add(runs[1]!);
    appendFileSync(join(path, 'runs.jsonl'), '{"version":1,"cli');
    const again = ResultsFolder.open(path);
    assert.deepEqual(again.results, { setting, runs: runs.slice(0, 2) });
    assert.deepEqual([again.has(runs[1]!), again.has(runs[2]!)], [true, false]);
    again.add(runs[2]!);
    assert.deepEqual(ResultsFolder.open(path).results.runs, runs.slice(0, 3));
    assert.equal(readFileSync(join(path, 'runs.jsonl'), 'utf8').split('\n').length, 4);
  });

  test('is never begun twice, nor taken for one of another version', () => {
    const path = join(root, 'two');
    const folder = ResultsFolder.create(path, setting);
    assert.throws(() => ResultsFolder.create(path, setting), /holds results already; to go on/);
    folder.add({ ...runs[0]!, version: 2 as 1 });
    assert.throws(() => ResultsFolder.open(path), /runs\.jsonl:1: version 2, not 1/);
    assert.throws(() => ResultsFolder.open(join(root, 'none')), /no results there/);
  });
});
