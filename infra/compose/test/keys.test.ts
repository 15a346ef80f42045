import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { keyFileOf, makeKeys } from '../src/keys.ts';

suite('keys', () => {
  test('are made once, for their owner alone, and only where a volume is', t => {
    const directory = mkdtempSync(join(tmpdir(), 'resplice-keys-'));
    t.after(() => rmSync(directory, { recursive: true }));
    for (const bundle of ['webmail', 'kit']) mkdirSync(join(directory, bundle));
    makeKeys(directory);
    const read = (...place: Parameters<typeof keyFileOf>) => readFileSync(keyFileOf(...place), 'latin1');
    const cluster = read('cluster', 'key', directory);
    assert.match(cluster, /^[0-9a-f]{64}\n$/);
    assert.match(read('webmail', 'sessions', directory), /^[0-9a-f]{64}$/);
    assert.notEqual(read('kit', 'key', directory), cluster);
    assert.equal(statSync(keyFileOf('cluster', 'key', directory)).mode & 0o777, 0o600);
    assert.equal(statSync(keyFileOf('webmail', 'database', directory)).uid, 1000);
    assert.throws(() => statSync(join(directory, 'smtp')), /ENOENT/);
    const sessions = read('webmail', 'sessions', directory);
    makeKeys(directory);
    assert.equal(read('cluster', 'key', directory), cluster);
    assert.equal(read('webmail', 'sessions', directory), sessions);
  });
});
