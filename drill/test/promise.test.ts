import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lan, parseLink } from '@resplice/topology';
import { cellsMatching, nameOf } from '../src/cell.ts';
import { promiseOf } from '../src/promise.ts';

test('promises are those of FAULTS.md', () => {
  const other = cellsMatching('*').filter(cell => promiseOf(cell, lan).kind !== 'transparent');
  const promised = other.map(cell => `${nameOf(cell)}: ${promiseOf(cell, lan).kind}`);
  assert.deepEqual(
    promised,
    ['crash', 'cut', 'freeze', 'restart'].flatMap(fault => {
      const isSilent = fault === 'cut' || fault === 'freeze';
      return [
        ...(isSilent ? [`backend/${fault}/handshake/update: refused`] : []),
        `backend/${fault}/waiting/update: refused`,
        `backend/${fault}/response/update: reset`,
        ...(isSilent ? [`backend/${fault}/idle/update: refused`] : []),
      ];
    }),
  );
  const bar = (pattern: string) => promiseOf(cellsMatching(pattern)[0]!, lan).barMs;
  assert.deepEqual(
    [
      ...['proxy/crash', 'proxy/isolate-peer', 'backend/crash', 'backend/cut', 'backend/freeze'],
      ...['proxy/crash/upload', 'backend/crash/upload'],
    ].map(bar),
    [300, 300, 50, 250, null, 300, 250],
  );
});

test('far away two round trips come on top, the queue, and a time-out where packets get lost', () => {
  const [cell] = cellsMatching('proxy/crash/response/read');
  assert.equal(promiseOf(cell!, parseLink('66ms')).barMs, 300 + 132);
  assert.equal(promiseOf(cell!, parseLink('66ms,12mbit,0%,10pkt')).barMs, 300 + 132 + 10);
  assert.equal(promiseOf(cell!, parseLink('66ms,12mbit,1%,10pkt')).barMs, 300 + 132 + 10 + 266);
});
