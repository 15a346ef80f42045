import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMachine } from '../src/index.ts';

test('a machine is described with the versions of the programs that took part', () => {
  const { cores, kernel, versions } = describeMachine([
    ['fails', 'sh', '-c', 'echo fails 4.1.0 >&2; exit 1'],
    ['succeeds', 'echo', 'version 2.6'],
    ['is missing', '/no/such/program'],
  ]);
  assert.ok(cores > 0 && kernel !== '');
  const own = process.version.slice(1);
  assert.deepEqual(versions, { 'Node.js': own, fails: '4.1.0', succeeds: '2.6', 'is missing': 'unknown' });
});
