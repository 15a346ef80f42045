import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import type { Failover } from '../src/failovers.ts';
import { renderPage } from '../src/index.ts';
import { figure, markdownReport, resultIn, textReport } from '../src/report.ts';
import { withParts, withPartsOf } from '../src/result.ts';
import { FAILOVER, GOOD, madeUpKit, madeUpRun } from './fixture.ts';

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
    assert.match(
      text,
      /Resplice +bulk, rate +kernel forwarding +at least 0\.85 +0\.50 \(0\.50–0\.50\) +MISSED/,
    );
    assert.match(text, /splice alone +bulk, rate +kernel forwarding +at least 0\.9 +1\.00/);
    assert.match(text, /requests, rate +HAProxy +at least 1 +1\.43 \(1\.43–1\.43\) +reached/);
    assert.match(text, /a gate was missed/);
    assert.match(text, /seed 4000000001/);
  });

  test('failovers and memory have tables of their own, on the page too', () => {
    const stall = { median: 12.4, p99: 47.6, max: 51 };
    const failovers: Failover[] = [
      { ...FAILOVER, what: 'backend/crash/idle/read', addedStallMs: stall },
      { ...FAILOVER, what: 'none', addedStallMs: null, barMs: null, verdict: 'fail', reason: 'reset' },
    ];
    const points = [
      { activity: 'idle', connections: 0, bytes: 50_000_000 },
      { activity: 'waiting', connections: 5000, bytes: 75_000_000 },
    ] as const;
    const memory = { kernelBytes: 90_000_000, room: 200_000, points };
    const run = { ...madeUpRun(GOOD), failovers, memory };
    const text = textReport(run).join('\n');
    assert.match(text, /backend\/crash\/idle\/read +50 +12 +48 +51 +50 +reached/);
    assert.match(text, /none +50 +– +– +– +– +FAIL: reset/);
    assert.match(text, /waiting for a response +5000 +75 +5\b/);
    assert.match(text, /90 MB .* 200,000 connections: 450 bytes each/);
    const page = markdownReport(run, 'Some notes.');
    assert.match(page, /\n## Failover\n[\s\S]*\| none +\|[\s\S]*\n## Memory of the logger\n/);
    assert.equal(markdownReport(resultIn(page), 'Some notes.'), page);
  });

  test('times over links are ratios round by round, and one that is too long is a miss', () => {
    const links = [
      { link: '66ms,20mbit', what: 'download', forward: [2, 4, 3], resplice: [2.02, 4, 3.3] },
      { link: '300ms,1mbit', what: 'upload', forward: [1, 1, 1], resplice: [1.06, 1.2, 1] },
    ];
    const run = { ...madeUpRun(GOOD), links };
    const text = textReport(run).join('\n');
    assert.match(text, /66ms,20mbit +download +3 +1\.010 \(1\.000–1\.100\) +at most 1\.05 +reached/);
    assert.match(text, /300ms,1mbit +upload +1 +1\.060 \(1\.000–1\.200\) +at most 1\.05 +MISSED/);
    assert.match(text, /a gate was missed/);
    const page = markdownReport(run, 'Some notes.');
    assert.match(page, /\n## Over slow links\n\nOne client at the far end of the link, 3 rounds\./);
    assert.equal(markdownReport(resultIn(page), 'Some notes.'), page);
  });

  test('a part that a run has not measured is kept from the one before, which is named, and its machine, if it is another', () => {
    const memory = { kernelBytes: 90_000_000, room: 200_000, points: [] };
    const first = { ...madeUpRun(GOOD), at: '2026-01-02T03:04:05.000Z', command: 'first', memory };
    const second = { ...madeUpRun(GOOD), command: 'second', failovers: [{ ...FAILOVER, what: 'one' }] };
    const third = { ...madeUpRun(GOOD), command: 'third' };
    const pageOfThird = withPartsOf(withPartsOf(first, second), third);
    assert.equal(pageOfThird.command, 'third');
    assert.deepEqual(pageOfThird.memory, memory);
    const text = markdownReport(pageOfThird, 'Some notes.');
    assert.match(text, /\n## Failover\n\nMeasured by `second`, /);
    assert.match(text, /\n## Memory of the logger\n\nMeasured by `first`, 2026-01-02\.\n/);
    assert.equal(markdownReport(resultIn(text), 'Some notes.'), text);
    assert.equal(withPartsOf(first, { ...second, memory }).kept, undefined);
    const elsewhere = { ...first, machine: { ...first.machine, kernel: 'another' } };
    assert.match(
      markdownReport(withPartsOf(elsewhere, second), 'Some notes.'),
      /\n## Memory of the logger\n\nMeasured on another machine \(.*, Linux another\) by `first`, 2026-01-02\.\n/,
    );
  });

  test('parts that were measured later stand beside the arms of the run before, and say where they come from', () => {
    const first = { ...madeUpRun(GOOD), command: 'first', failovers: [FAILOVER] };
    const links = [{ link: '66ms', what: 'download', forward: [1], resplice: [1] }];
    const both = withParts(
      first,
      { at: '2026-02-03T00:00:00.000Z', command: 'second', machine: first.machine },
      { links },
    );
    assert.deepEqual([both.command, both.links, both.failovers], ['first', links, [FAILOVER]]);
    const text = markdownReport(both, 'Some notes.');
    assert.match(text, /\n## Over slow links\n\nMeasured by `second`, 2026-02-03\.\n/);
    // A later run of the arms keeps them, with their origin.
    const third = withPartsOf(both, { ...madeUpRun(GOOD), command: 'third' });
    assert.equal(third.kept?.links?.command, 'second');
    assert.equal(third.kept?.failovers?.command, 'first');
  });

  test('what the kit costs has a table, on the page too, which is the same when it is rendered from its values', () => {
    const kit = madeUpKit(0.05, [-0.01, 0, 0.01, 0, 0.02, 0.0123456]);
    const run = { ...madeUpRun(GOOD), kit };
    assert.match(
      textReport(run).join('\n'),
      /POST, journal state +12\.50 +0\.06 \(0\.04–0\.07\) +– +0\.04…0\.07 +0\.00 +2 +reached/,
    );
    const text = markdownReport(run, 'Some notes.');
    assert.match(text, /\n## What the kit costs\n\nTwo tiers [\s\S]*\| webmail, send +\|/);
    assert.equal(markdownReport(resultIn(text), 'Some notes.'), text);
    const later = withPartsOf({ ...run, command: 'first' }, { ...madeUpRun(GOOD), command: 'second' });
    assert.match(markdownReport(later, ''), /## What the kit costs\n\nMeasured by `first`, /);
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
