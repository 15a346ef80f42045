import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { calibrationRows } from '../../src/paper/calibration.ts';
import { printed } from '../../src/paper/reference.ts';
import { htmlReport } from '../../src/paper/report.ts';
import { keptOf, resultsPage } from '../../src/paper/results-page.ts';
import { interval, spreadOf } from '../../src/paper/statistics.ts';
import { failoverBound, judge, overallOf, summarize } from '../../src/paper/summary.ts';
import { figure, textReport } from '../../src/paper/tables.ts';
import { MACHINE, madeUpResults, OPTIONS } from './fixture.ts';

const BESIDE = { runs: 'r.jsonl', picture: 'p.png' };

suite('what is said of runs', () => {
  test('spread and interval', () => {
    assert.deepEqual(spreadOf([3, 1, 2, 10]), { n: 4, median: 2.5, low: 1, high: 10 });
    assert.equal(spreadOf([]), null);
    assert.equal(interval([1], [1, 2], 1), null);
    const found = interval([10, 11, 12, 11], [1, 2, 1, 2], 1)!;
    assert.ok(found.low > 8 && found.low < 9.5 && found.high > 9.5 && found.high < 11, JSON.stringify(found));
    assert.deepEqual(interval([10, 11, 12, 11], [1, 2, 1, 2], 1), found);
  });

  test('figures', () => {
    assert.deepEqual([3.337, 299.18, -1.126, -0.001].map(figure), ['3.34', '299.2', '−1.13', '0.00']);
  });

  test('cells: medians, failovers, overhead', () => {
    const [first, ...rest] = summarize(madeUpResults());
    assert.equal(rest.length, 2 * 2 * 2 - 1);
    assert.deepEqual([first!.client, first!.action, first!.column], ['paper', 'action1', 'LAN']);
    assert.equal(first!.traditional.noFailure!.median.toFixed(3), '3.342');
    assert.equal(first!.traditional.failover['backend-crash']!.median.toFixed(2), '3.10');
    assert.equal(first!.ours.failover['backend-cut']!.median.toFixed(2), '0.05');
    assert.equal(first!.ours.failover['proxy-crash'], undefined);
    assert.equal(first!.overhead!.percent.toFixed(3), '0.000');
  });

  test('what is allowed over a link: two round trips, and one object again', () => {
    assert.equal(failoverBound('lan', 'action1', 'backend-crash'), 0.1);
    assert.equal(failoverBound('wan-mit', 'action1', 'backend-cut').toFixed(3), '0.537');
    assert.equal(failoverBound('wan-in', 'action1', 'backend-crash').toFixed(2), '2.03');
  });
});

suite('what was promised', () => {
  test('is kept by runs in which nobody noticed anything', () => {
    const judged = judge(madeUpResults());
    assert.equal(
      overallOf(judged),
      'pass',
      JSON.stringify(judged.filter(({ verdict }) => verdict !== 'pass')),
    );
    assert.equal(overallOf([]), 'inconclusive');
  });

  for (const [what, change] of [
    ['a repeated login', { repeatedLogins: 1 }],
    ['a letter that came twice', { deliveries: 2 }],
    ['an error', { noticed: [{ what: 'error', at: 1, detail: 'send: 502' }] }],
    ['wrong bytes', { verdict: 'failed', reason: '1 answers had wrong bytes' }],
    ['slowness', { seconds: 60 }],
  ] as const) {
    test(`is broken by ${what}, in our architecture only`, () => {
      const broken = (architecture: 'ours' | 'traditional') =>
        madeUpResults(OPTIONS, key =>
          key.architecture === architecture && key.fault === 'backend-crash' && key.action === 'action2'
            ? change
            : {},
        );
      assert.equal(overallOf(judge(broken('ours'))), 'fail');
      assert.equal(overallOf(judge(broken('traditional'))), 'pass');
    });
  }

  test('is not proved by a fault that missed, on either side', () => {
    for (const architecture of ['ours', 'traditional'] as const) {
      const missed = madeUpResults(OPTIONS, key =>
        key.architecture === architecture && key.fault === 'backend-cut' && key.repetition === 1
          ? { verdict: 'inconclusive', reason: 'missed', fired: null }
          : {},
      );
      assert.equal(overallOf(judge(missed)), 'inconclusive');
    }
  });

  test('a failover of few runs may take twice as long as one of many', () => {
    const late = (repeat: number) =>
      overallOf(
        judge(
          madeUpResults({ ...OPTIONS, repeat }, key =>
            key.architecture === 'ours' && key.fault === 'backend-crash' && key.link === 'lan-paper'
              ? { seconds: printed[key.action].cells.LAN.traditional.noFailure + 0.15 }
              : {},
          ),
        ),
      );
    assert.deepEqual([late(3), late(5)], ['pass', 'fail']);
  });

  test('overhead: a single pair proves nothing, several do', () => {
    const slower = (repeat: number) =>
      judge(
        madeUpResults({ ...OPTIONS, repeat }, key =>
          key.architecture === 'ours' && key.fault === 'none' ? { seconds: 40 + key.repetition / 100 } : {},
        ),
      ).filter(({ what }) => what.includes('overhead'));
    assert.deepEqual(slower(1), []);
    assert.equal(slower(3).length, 2 * 2 * 2);
    assert.ok(slower(3).every(({ verdict }) => verdict === 'fail'));
  });
});

suite('reports', () => {
  test('tables have the paper’s layout: its figures, ours, the difference', () => {
    const text = textReport(madeUpResults()).join('\n');
    assert.match(text, /Table 2\. Connecting to the login screen \(a client like the paper’s\), seconds/);
    assert.match(text, /LAN +paper +3\.34 +6\.44 +3\.10 +3\.37 +5\.10 +1\.73 +0\.03 \(0\.89 %\)/);
    assert.match(
      text,
      /measured +3 +3\.34 \(3\.34…3\.34\) +6\.44 .* 0\.05 \(0\.05…0\.05\) +0\.00 \(0\.00 %, /,
    );
    assert.match(text, /difference +0\.00 +0\.00 +0\.00 +−0\.03 .* −1\.68/);
    assert.match(text, /traditional +back end crashed +24 +24 +0 +24 +12 /);
  });

  test('a scale is named, and scaled figures are compared with nothing', () => {
    const text = textReport(madeUpResults({ ...OPTIONS, scale: 0.5 })).join('\n');
    assert.match(text, /measured, scale 0\.5/);
    const [papers = '', chromium = ''] = text.split('Table 2. Connecting to the login screen (Chromium)');
    assert.doesNotMatch(papers, /difference/);
    assert.match(chromium, /difference/);
  });

  test('the page is the same when it is rendered from what is kept', () => {
    const results = madeUpResults();
    const kept = keptOf(results);
    const page = resultsPage(results, BESIDE);
    assert.equal(resultsPage(kept, BESIDE), page);
    assert.deepEqual(keptOf(kept), kept);
    assert.ok(kept.runs.every(({ requests }) => requests.length === 0));
    assert.match(page, /\| LAN +\| paper +\| +\| 3\.34/);
    assert.match(page, /kept: \*\*pass\*\*/);
    assert.match(page, /`\.\/resplice drill paper --scale 1 --repeat 3 --seed 7`; \[every run\]\(r\.jsonl\)/);
    assert.match(page, /!\[[^\]]+\]\(p\.png\)/);
    assert.match(page, /Seed 7\. 144 runs\./);
  });

  test('the page of a part says which part it is, and on which machines it was made', () => {
    const { setting, runs } = madeUpResults();
    assert.doesNotMatch(resultsPage({ setting, runs }, BESIDE), /lost its sign/);
    const slowest = madeUpResults({ ...OPTIONS, links: ['wan-in'] });
    assert.match(resultsPage(slowest, BESIDE), /lost its sign: .* −1\.13 s/);
    const sessions = [MACHINE, { ...MACHINE, at: '2001-03-04T00:00:00.000Z', processor: 'another one' }];
    const page = resultsPage({ setting: { ...setting, sessions }, runs: runs.slice(0, 50) }, BESIDE);
    assert.match(page, /50 of \d+ runs so far\./);
    assert.match(page, /From 2001-02-03: made up, (?:.|\n)*From 2001-03-04: another one, /);
  });

  test('the calibrated client stands beside the paper, cell by cell', () => {
    const rows = calibrationRows(madeUpResults());
    assert.deepEqual(
      rows.map(([action, link]) => `${action} ${link}`),
      [' link', 'Action 1 LAN', 'Action 1 WAN-MIT', 'Action 2 LAN', 'Action 2 WAN-MIT'],
    );
    assert.deepEqual(rows[1], [
      'Action 1',
      'LAN',
      '1',
      '3.34',
      '3.33',
      '3.34 (3.34…3.34)',
      '+0.29 %',
      '+0.06 %',
    ]);
    const half = calibrationRows(madeUpResults({ ...OPTIONS, scale: 0.5 }))[1]!;
    assert.deepEqual([half[2], half[4], half.at(-1)], ['0.5', '1.67', '–']);
  });

  test('the HTML needs nothing from elsewhere, and says in words what pictures show', () => {
    const html = htmlReport(madeUpResults());
    assert.doesNotMatch(html, /<script|src=|href=|@import|url\(/);
    const pictures = html.match(/<svg /g)?.length ?? 0;
    assert.ok(pictures >= 8 + 2 + 2, String(pictures));
    assert.equal(html.match(/<svg [^>]*role="img" aria-labelledby="[^"]+"/g)?.length, pictures);
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    assert.equal(new Set(ids).size, ids.length);
    assert.match(html, /backend-1 fails/);
    assert.doesNotMatch(html, /NaN|undefined|Infinity/);
  });

  test('the HTML of an empty, or a half-made folder is one, too', () => {
    const { setting, runs } = madeUpResults();
    for (const some of [[], runs.slice(0, 3)])
      assert.match(htmlReport({ setting, runs: some }), /<\/html>\n$/);
  });
});
