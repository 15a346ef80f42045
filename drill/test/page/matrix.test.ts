import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { matrixPage, summaryRows } from '../../src/page/matrix.ts';
import { type Changes, inconclusive, run, wholeRun } from './fixture.ts';

const changes: Changes = {
  'proxy/crash/head/read': {
    verdict: 'fail',
    reason: 'reset: a | b',
    runs: [{ ...run, verdict: 'fail', failure: 'reset' }],
  },
  'proxy/cut/head/read': { verdict: 'inconclusive', reason: 'too late', runs: [inconclusive] },
  'backend/crash/waiting/update': { runs: [{ ...run, status: 502 }] },
  'backend/cut/head/read': { verdict: 'not applicable', reason: 'nobody', runs: [], addedStallMs: null },
};
const resplice = wholeRun('resplice', changes);
const haproxy = wholeRun('haproxy', changes, { at: '2026-01-01T00:00:00.000Z', seed: 7 });
const both = matrixPage.withRun(matrixPage.withRun(undefined, haproxy).kept, resplice).kept;

suite('the kept matrix', () => {
  test('has the latest whole run of each arm, in the order that they are shown', () => {
    assert.deepEqual(
      both.runs.map(({ arm }) => arm),
      ['resplice', 'haproxy'],
    );
    const again = { ...haproxy, seed: 8 };
    const { kept, dropped } = matrixPage.withRun(both, again);
    assert.deepEqual([kept.runs.map(({ seed }) => seed), dropped], [[resplice.seed, 8], []]);
    assert.throws(
      () => matrixPage.withRun(both, { ...again, cells: again.cells.slice(1) }),
      /proxy\/crash\/handshake\/read was not made/,
    );
  });

  test('keeps nothing beside a run of another machine or kernel, and says so', () => {
    const elsewhere = wholeRun('nginx', {}, { machine: { ...resplice.machine, kernel: '6.2' } });
    const { kept, dropped } = matrixPage.withRun(both, elsewhere);
    assert.deepEqual([kept.runs.map(({ arm }) => arm), dropped], [['nginx'], ['resplice', 'haproxy']]);
  });

  test('is read as it was written, with four digits', () => {
    const json = matrixPage.json(both);
    assert.equal(matrixPage.json(matrixPage.read(json)), json);
    assert.equal(matrixPage.read(json).runs[0]!.cells[0]!.addedStallMs!.median, 12.35);
    assert.equal(
      json.split('\n').filter(line => line.startsWith('{"cell":')).length,
      2 * resplice.cells.length,
    );
    assert.throws(() => matrixPage.read('{"version":2,"runs":[]}'), /version 2/);
  });
});

suite('the page of the matrix', () => {
  const page = matrixPage.render(both);

  test('says how much went unnoticed; what is inconclusive did not', () => {
    const proxies = resplice.cells.filter(({ component }) => component === 'proxy').length;
    const backends = resplice.cells.length - proxies;
    const [, row] = summaryRows(both);
    const possible = resplice.cells.length - 1;
    assert.equal(row![1], `98 % (${possible - 3} of ${possible})`);
    assert.equal(row![2], `98 % (${proxies - 2} of ${proxies})`);
    assert.equal(row![3], `98 % (${backends - 2} of ${backends - 1})`);
    assert.deepEqual(row!.slice(4), ['1', '1', '1', '1']);
    const allOpen = wholeRun('resplice');
    const open = allOpen.cells.map(cell => ({
      ...cell,
      verdict: 'inconclusive' as const,
      runs: [inconclusive],
    }));
    const [, none] = summaryRows({ version: 1, runs: [{ ...allOpen, cells: open }] });
    assert.equal(none![1], `0 % (0 of ${open.length})`);
  });

  test('has the arms side by side, fault by fault, a column a moment', () => {
    const [, section] = /### Proxies, reads\n\n([\s\S]*?)\n\n/.exec(page)!;
    const rows = section!.split('\n').map(line => line.split('|').map(cell => cell.trim()));
    assert.deepEqual(rows[0]!.slice(3, -1), ['handshake', 'head', 'waiting', 'response', 'tail', 'idle']);
    assert.deepEqual(rows[2]!.slice(1, 5), ['crash', 'Resplice', '✔ 12', '✘ reset, 12']);
    assert.deepEqual(rows[3]!.slice(1, 4), ['', 'HAProxy', '✔ 12']);
    assert.deepEqual(rows[4]!.slice(1, 5), ['cut', 'Resplice', '✔ 12', '?']);
    assert.match(page, /### Back ends, unprotected updates\n\n[\s\S]*\| ○ 502, 12 /);
  });

  test('names runs, machine and versions, and the reason of what went wrong', () => {
    assert.match(
      page,
      /a processor, 2 cores, 24 GiB, Linux 6\.1, Debian; link lan, 2 proxies, 2 back ends\./,
    );
    assert.match(
      page,
      /\| Resplice +\| 2026-01-02 \| 1 +\| Node\.js 24\.1\.0 \| `\.\/resplice drill matrix --arm resplice/,
    );
    assert.match(page, /\n- Resplice, proxy\/crash\/head\/read: fail: reset: a \| b\n/);
    assert.match(page, /\n- HAProxy, proxy\/cut\/head\/read: inconclusive: too late\n/);
    assert.doesNotMatch(page, /- HAProxy, proxy\/crash/);
    assert.throws(() => matrixPage.render({ version: 1, runs: [] }), RangeError);
  });

  test('is written with its data beside it, from which it is rendered anew', () => {
    const directory = mkdtempSync(join(tmpdir(), 'resplice-matrix-'));
    try {
      assert.equal(matrixPage.kept(directory), undefined);
      matrixPage.write(resplice, 'the first', directory);
      const files = matrixPage.write({ ...haproxy, cells: haproxy.cells }, 'the second', directory);
      const kept = matrixPage.kept(directory)!;
      assert.deepEqual(
        kept.runs.map(({ arm, command }) => [arm, command]),
        [
          ['resplice', 'the first'],
          ['haproxy', 'the second'],
        ],
      );
      assert.equal(readFileSync(files.page, 'utf8'), matrixPage.render(kept));
      assert.match(kept.runs[1]!.machine.versions.HAProxy ?? 'unknown', /^(\d+\.\d+|unknown)/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('docs/MATRIX.md is what docs/matrix.json gives: nobody edits it by hand, and neither is without the other', () => {
    const written = new URL('../../../docs/MATRIX.md', import.meta.url);
    const kept = matrixPage.kept();
    assert.equal(existsSync(written), kept !== undefined);
    if (kept) assert.equal(readFileSync(written, 'utf8'), matrixPage.render(kept));
  });
});
