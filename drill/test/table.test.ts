import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { cellsMatching, nameOf } from '../src/cell.ts';
import type { CellResult } from '../src/result.ts';
import type { Run } from '../src/run.ts';
import { cellLine, textTable } from '../src/table.ts';

const run: Run = {
  verdict: 'pass',
  reason: null,
  target: 'proxy-1',
  faultAt: 1,
  status: 200,
  failure: null,
  afterwards: null,
  executions: null,
  stallMs: 210,
};

function result(pattern: string, over: Partial<CellResult>, runOver: Partial<Run> = {}): CellResult {
  const [cell] = cellsMatching(pattern);
  const { verdict = 'pass', reason = null } = over;
  return {
    cell: nameOf(cell!),
    ...cell!,
    promise: 'transparent',
    verdict,
    reason,
    addedStallMs: null,
    barMs: 300,
    runs: [{ ...run, verdict, reason, ...runOver }],
    ...over,
  };
}

const cells = [
  result('proxy/crash/head/read', { addedStallMs: { median: 209.6, p99: 300, max: 300 } }),
  result('proxy/crash/idle/update', { addedStallMs: { median: 3, p99: 9, max: 9 }, runs: [run, run] }),
  result('backend/crash/waiting/read', { verdict: 'fail', reason: 'FIN' }, { failure: 'closed' }),
  result('backend/crash/tail/read', { verdict: 'inconclusive', reason: 'too late' }),
  result('backend/crash/waiting/update', { promise: 'refused' }, { status: 502 }),
  result('backend/crash/idle/update', { verdict: 'fail', reason: 'twice' }, { executions: 2 }),
  result('backend/crash/upload/update', { verdict: 'fail', reason: 'FIN' }, { afterwards: 'closed' }),
  result('backend/cut/upload/update', { verdict: 'not applicable', reason: 'no', runs: [] }),
];

test('the table has a row a component, fault and kind of work, a column a moment', () => {
  const [heading, ...rows] = textTable({ cells });
  assert.deepEqual(
    [heading, ...rows.slice(0, 5)],
    [
      '                       handshake  head   upload         waiting   response  tail  idle',
      'proxy crash    read               ✔ 210',
      '               update                                                             ✔ 3/9',
      'backend crash  read                                     ✘ closed            ?',
      '               update                    ✘ then closed  ✔ 502                     ✘ ×2',
      'backend cut    update                    ·',
    ],
  );
  assert.match(rows.slice(5).join('\n'), /✔ kept, ✘ broken, \? inconclusive, · not applicable/);
  assert.deepEqual(textTable({ cells: [] }), []);
});

test('colours change nothing but the colour', () => {
  const coloured = textTable({ cells }, { colour: true });
  assert.notDeepEqual(coloured, textTable({ cells }));
  const plain = coloured.map(line => stripVTControlCharacters(line).trimEnd());
  assert.deepEqual(plain, textTable({ cells }));
});

test('a cell has a line of its own', () => {
  assert.equal(cellLine(cells[0]!), '✔ proxy/crash/head/read: pass, added stall 210 ms');
  assert.equal(cellLine(cells[2]!), '✘ backend/crash/waiting/read: fail (FIN)');
});
