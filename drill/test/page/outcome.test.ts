import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { outcomeOf, outcomeText } from '../../src/page/outcome.ts';
import type { CellResult } from '../../src/result.ts';
import type { Run } from '../../src/run.ts';
import { inconclusive, run, wholeRun } from './fixture.ts';

const [first] = wholeRun('resplice').cells;
const cell = (over: Partial<CellResult>): CellResult => ({ ...first!, ...over });
const failed = (over: Partial<Run>): Run => ({ ...run, verdict: 'fail', reason: 'why', ...over });
const broken = (...runs: Run[]): CellResult =>
  cell({ verdict: 'fail', reason: 'why', addedStallMs: null, runs });

suite('what a cell came to', () => {
  test('is unnoticed when every run was, with what it stalled', () => {
    assert.deepEqual([outcomeOf(cell({})), outcomeText(cell({}))], ['unnoticed', '✔ 12']);
    const twice = cell({ runs: [run, run], addedStallMs: { median: 3, p99: 9, max: 9.4 } });
    assert.deepEqual([outcomeOf(twice), outcomeText(twice)], ['unnoticed', '✔ 3/9']);
  });

  test('is not unnoticed when a refusal or reset was allowed', () => {
    const refused = cell({
      runs: [{ ...run, status: 502 }, run],
      addedStallMs: { median: 3, p99: 9, max: 9 },
    });
    assert.deepEqual([outcomeOf(refused), outcomeText(refused)], ['allowed', '○ 502 (1 of 2), 3/9']);
    const reset = cell({ runs: [{ ...run, status: null, failure: 'reset' }], addedStallMs: null });
    assert.deepEqual([outcomeOf(reset), outcomeText(reset)], ['allowed', '○ reset']);
  });

  test('says in what way a promise was broken', () => {
    const texts = [
      broken(failed({ executions: 2 })),
      broken(failed({ status: null, failure: 'truncated' })),
      broken(failed({ status: 502 })),
      broken(failed({ executions: 0 })),
      broken(failed({ afterwards: 'closed' })),
      broken(failed({})),
      broken(failed({ status: null, failure: 'reset' }), inconclusive, run),
    ].map(outcomeText);
    assert.deepEqual(texts, [
      '✘ ran ×2',
      '✘ truncated',
      '✘ 502',
      '✘ never ran',
      '✘ then closed',
      '✘ wrong answer',
      '✘ reset (1 of 3), ? (1 of 3)',
    ]);
    const slow = cell({ verdict: 'fail', addedStallMs: { median: 700, p99: 700, max: 700 } });
    assert.deepEqual([outcomeOf(slow), outcomeText(slow)], ['broken', '✘ 700']);
  });

  test('is no success when it proves nothing', () => {
    const open = cell({ verdict: 'inconclusive', reason: 'too late', runs: [run, inconclusive] });
    assert.deepEqual([outcomeOf(open), outcomeText(open)], ['inconclusive', '?']);
    const none = cell({ verdict: 'not applicable', runs: [], addedStallMs: null });
    assert.deepEqual([outcomeOf(none), outcomeText(none)], ['not applicable', '·']);
  });
});
