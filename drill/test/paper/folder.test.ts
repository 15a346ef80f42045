import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { ResultsFolder } from '../../src/paper/folder.ts';
import { MACHINE, madeUpResults } from './fixture.ts';

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
    assert.deepEqual([again.lacks(runs[1]!), again.lacks(runs[2]!)], [false, true]);
    again.add(runs[2]!);
    assert.deepEqual(ResultsFolder.open(path).results.runs, runs.slice(0, 3));
    assert.equal(readFileSync(join(path, 'runs.jsonl'), 'utf8').split('\n').length, 4);
  });

  test('is never begun twice, nor taken for one of another version', () => {
    const path = join(root, 'two');
    const folder = ResultsFolder.create(path, setting);
    assert.throws(() => ResultsFolder.create(path, setting), /holds results already; to go on/);
    folder.add({ ...runs[0]!, version: 1 as 2 });
    assert.throws(() => ResultsFolder.open(path), /runs\.jsonl:1: version 1, not 2/);
    assert.throws(() => ResultsFolder.open(join(root, 'none')), /no results there/);
  });

  test('goes on with other links, and says on which machines', () => {
    const path = join(root, 'three');
    const folder = ResultsFolder.create(path, {
      ...setting,
      options: { ...setting.options, links: ['wan-mit'] },
    });
    folder.goOn({ ...MACHINE, at: '2002-01-01T00:00:00.000Z' });
    assert.deepEqual(ResultsFolder.open(path).setting.sessions, [MACHINE], 'the same machine');
    const other = { ...MACHINE, kernel: '1.0.0' };
    folder.goOn(other, ['wan-in', 'lan-paper']);
    const again = ResultsFolder.open(path).setting;
    assert.deepEqual(again.options.links, ['lan-paper', 'wan-mit', 'wan-in']);
    assert.deepEqual(again.sessions, [MACHINE, other]);
  });

  test('lacks what was inconclusive, and takes the later run', () => {
    const path = join(root, 'four');
    const folder = ResultsFolder.create(path, setting);
    folder.add({ ...runs[0]!, verdict: 'inconclusive', reason: 'missed' });
    assert.equal(folder.lacks(runs[0]!), true);
    folder.add(runs[0]!);
    assert.equal(folder.lacks(runs[0]!), false);
    assert.deepEqual(ResultsFolder.open(path).results.runs, [runs[0]!]);
  });

  test('is replaced as a whole', () => {
    const path = join(root, 'five');
    ResultsFolder.create(path, setting).add(runs[0]!);
    const results = { setting, runs: runs.slice(1, 4) };
    ResultsFolder.replace(path, results);
    assert.deepEqual(ResultsFolder.open(path).results, results);
  });
});
