import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Exchange } from '@resplice/e2e/fixtures/exchange.ts';
import { patternHash } from '@resplice/e2e/fixtures/known-bytes.ts';
import { lan, parseLink } from '@resplice/topology';
import { allCells, cellsMatching, nameOf } from '../src/cell.ts';
import { BUFFER_BYTES, paceOver } from '../src/pace.ts';
import { anySite, demoSite, keepsAlive } from '../src/site.ts';

const answer: Exchange = {
  status: 200,
  version: '1.1',
  headers: {},
  framing: 'length',
  interim: [],
  received: 12_000,
  sent: 0,
  sha256: patternHash(12_000),
  firstDifference: -1,
  text: undefined,
  startedAt: 0,
  headSentAt: 0,
  firstByteAt: 0,
  endedAt: 0,
  longestStallMs: 0,
  stallAt: 0,
  timeline: [],
  local: '10.0.0.1:1024',
};

suite('the right answer', () => {
  const { wrong } = demoSite(paceOver(lan)).work('tail', 'read', 'a');

  test('has the status, the length, the bytes and the hash', () => {
    assert.equal(wrong(answer), null);
    assert.equal(wrong({ ...answer, status: 502 }), 'status: 502 instead of 200');
    assert.equal(wrong({ ...answer, received: 11_999 }), 'length: 11999 instead of 12000');
    assert.equal(wrong({ ...answer, firstDifference: 7 }), 'byte 7 is wrong');
    assert.match(wrong({ ...answer, sha256: 'other' })!, /^hash: "other" instead of/);
  });

  test('to an upload tells length and hash of what was sent', () => {
    const pace = paceOver(lan);
    const work = demoSite(pace).work('upload', 'update', 'a');
    const text = JSON.stringify({ bytes: pace.bytes, sha256: patternHash(pace.bytes) });
    assert.equal(work.wrong({ ...answer, text }), null);
    assert.match(work.wrong({ ...answer, text: '{}' })!, /^answer: {} instead of/);
  });
});

test('whether a connection goes on is told by version, framing and header', () => {
  const { framing } = answer;
  assert.equal(keepsAlive({ version: '1.1', headers: {}, framing }), true);
  assert.equal(keepsAlive({ version: '1.1', headers: { connection: 'Close' }, framing }), false);
  assert.equal(keepsAlive({ version: '1.1', headers: {}, framing: 'close' }), false);
  assert.equal(keepsAlive({ version: '1.0', headers: {}, framing }), false);
  assert.equal(keepsAlive({ version: '1.0', headers: { connection: 'keep-alive' }, framing }), true);
});

suite('a site that is not ours', () => {
  const fitting = (arm: 'resplice' | 'haproxy', page = {}) => {
    const whole = { path: '/', bytes: 2e7, sha256: '', keepsAlive: true, ...page };
    const site = anySite(whole, { arm }, paceOver(lan), async () => undefined);
    return allCells()
      .filter(cell => cell.fault === 'crash' && site.unfit(cell) === null)
      .map(nameOf);
  };
  const moments = (component: string, ...names: string[]) =>
    names.map(moment => `${component}/crash/${moment}/read`);

  test('is drilled where it need not tell anything', () => {
    const all = ['handshake', 'head', 'response', 'idle'];
    assert.deepEqual(fitting('resplice'), [...moments('proxy', ...all), ...moments('backend', ...all)]);
    assert.deepEqual(fitting('haproxy'), [...moments('proxy', ...all), ...moments('backend', 'handshake')]);
  });

  test('cannot be cut in the middle of a small page, nor found idle when it closes', () => {
    const small = fitting('resplice', { bytes: 1000, keepsAlive: false });
    assert.deepEqual(small, [...moments('proxy', 'handshake', 'head'), ...moments('backend', 'handshake')]);
  });

  test('is told that it lacks a word for the others', () => {
    const site = anySite(
      { path: '/', bytes: 1, sha256: '', keepsAlive: true },
      { arm: 'nginx' },
      paceOver(lan),
      async () => undefined,
    );
    const [cell] = cellsMatching('backend/cut/idle/read');
    assert.match(site.unfit(cell!)!, /nginx does not tell/);
  });
});

test('the pace is one that link and window can keep, for two seconds', () => {
  assert.deepEqual([paceOver(lan).bytesPerSecond, paceOver(lan).bytes], [20e6, 40e6]);
  assert.equal(paceOver(parseLink('10ms,8mbit')).bytesPerSecond, 1e6);
  assert.equal(paceOver(parseLink('100ms')).bytesPerSecond, BUFFER_BYTES * 10);
  const slow = paceOver(parseLink('300ms,0.08mbit'));
  assert.deepEqual([slow.bytes, slow.deadlineMs > 80_000], [400_000, true]);
});
