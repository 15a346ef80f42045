import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { type KeptStorm, stormPage } from '../../src/page/storm.ts';
import type { StormResult } from '../../src/storm/storm.ts';
import { gust } from '../storm/fixture.ts';
import { wholeRun } from './fixture.ts';

const storm: StormResult = {
  ...{ version: 1, arm: 'resplice', link: 'lan', proxies: 2, backends: 2, seed: 4_000_000_001 },
  ...{ sends: 500, people: 12 },
  faults: [gust, { ...gust, kind: 'freeze', point: 'after-dot' }, gust],
  points: { 'before-mail': { aimed: 1, reached: 0 }, 'after-dot': { aimed: 1, reached: 1 } },
  letters: {
    ...{ begun: 500, confirmed: 500 },
    ...{ lost: [], twice: [], astray: [], altered: [], unkept: [], unconfirmed: [] },
  },
  brokenSends: [],
  pages: { whole: 1512, broken: [] },
  sessions: { alive: 12, logOuts: 0 },
  pending: 0,
  sendMs: { median: 41.2345678, p99: 900, max: 1200 },
  verdict: 'inconclusive',
};

const { machine } = wholeRun('resplice');
const kept = (over: Partial<KeptStorm>): KeptStorm => ({
  ...{ ...storm, at: '2026-01-02T03:04:05.000Z', command: './resplice drill storm --write', machine },
  ...over,
});
const ours = kept({});
const theirs = kept({
  arm: 'haproxy',
  verdict: 'fail',
  letters: { ...storm.letters, begun: 490, confirmed: 480, lost: [3, 4], twice: [1, 2, 3, 4, 5, 6] },
  brokenSends: [
    { number: 9, outcome: 'broken', why: 'GET /message/17: ECONNRESET' },
    { number: 10, outcome: 'broken', why: 'GET /message/18: ECONNRESET' },
  ],
  pages: { whole: 1400, broken: ['/mail/inbox was answered 502'] },
  faults: [gust],
});
const both = stormPage.withRun(stormPage.withRun(undefined, theirs).kept, ours).kept;

/** The cells of a row of a table, by how it begins. */
function row(page: string, title: string): string[] | undefined {
  const rows = page.split('\n').map(line =>
    line
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim()),
  );
  return rows.find(([first]) => first === title)?.slice(1);
}

suite('the page of the storms', () => {
  const page = stormPage.render(both);

  test('has the arms side by side, with what became of the letters', () => {
    assert.deepEqual(row(page, '**verdict**'), ['**inconclusive**', '**fail**']);
    assert.deepEqual(row(page, 'letters posted'), ['500', '490']);
    assert.deepEqual(row(page, 'lost: confirmed, not in every recipient’s inbox'), ['0', '2 (3, 4)']);
    assert.deepEqual(row(page, 'twice in an inbox or in Sent'), ['0', '6']);
    assert.deepEqual(row(page, 'people logged in in the end'), ['12 of 12', '12 of 12']);
    assert.deepEqual(row(page, 'a letter took: median, p99, longest'), [
      '41, 900, 1200 ms',
      '41, 900, 1200 ms',
    ]);
  });

  test('says what was done, where, and what people met', () => {
    assert.deepEqual(row(page, 'crash'), ['2', '1']);
    assert.deepEqual(row(page, 'freeze, after-dot'), ['1', '0']);
    assert.match(page, /\n- HAProxy, 2 ×: GET \/message\/…: ECONNRESET\n- HAProxy, 1 ×: \/mail\/inbox was/);
    assert.match(
      page,
      /a processor, 2 cores.*; link lan, 2 proxies, 2 back ends, 12 people, seed 4000000001\./,
    );
  });

  test('keeps storms of the same faults only, and no short ones', () => {
    const { kept: left, dropped } = stormPage.withRun(both, kept({ seed: 8 }));
    assert.deepEqual([left.runs.map(({ arm }) => arm), dropped], [['resplice'], ['haproxy']]);
    assert.throws(() => stormPage.withRun(both, kept({ sends: 499 })), /500 letters and more/);
    assert.throws(() => stormPage.render({ version: 1, runs: [] }), RangeError);
  });

  test('is written with its data beside it, from which it is rendered anew', () => {
    const directory = mkdtempSync(join(tmpdir(), 'resplice-storm-'));
    try {
      const files = stormPage.write(storm, 'by hand', directory);
      const found = stormPage.kept(directory)!;
      assert.deepEqual(
        found.runs.map(({ arm, command, seed, sendMs }) => [arm, command, seed, sendMs.median]),
        [['resplice', 'by hand', 4_000_000_001, 41.23]],
      );
      assert.equal(readFileSync(files.page, 'utf8'), stormPage.render(found));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('docs/STORM.md is what docs/storm.json gives: nobody edits it by hand, and neither is without the other', () => {
    const written = new URL('../../../docs/STORM.md', import.meta.url);
    const found = stormPage.kept();
    assert.equal(existsSync(written), found !== undefined);
    if (found) assert.equal(readFileSync(written, 'utf8'), stormPage.render(found));
  });
});
