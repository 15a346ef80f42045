import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { LogFollower } from '../src/log-follower.ts';

suite('following a log', () => {
  const directory = mkdtempSync(join(tmpdir(), 'resplice-log-'));
  after(() => rmSync(directory, { recursive: true }));
  const file = (name: string) => ({ component: 'proxy-1', process: 'proxy', path: join(directory, name) });

  test('a log that does not exist yet has no lines, and then those it gets', () => {
    const log = file('late');
    const follower = new LogFollower(log, { named: false });
    assert.deepEqual(follower.read(), []);
    appendFileSync(log.path, 'one\ntwo\n');
    assert.deepEqual(follower.read(), ['one', 'two']);
    assert.deepEqual(follower.read(), []);
  });

  test('an unfinished line waits, even when it was cut inside a character', () => {
    const log = file('cut');
    const follower = new LogFollower(log, { named: true });
    const bytes = Buffer.from('né\nrest');
    appendFileSync(log.path, bytes.subarray(0, 2));
    assert.deepEqual(follower.read(), []);
    appendFileSync(log.path, bytes.subarray(2));
    assert.deepEqual(follower.read(), ['proxy-1/proxy | né']);
    assert.deepEqual(follower.rest(), ['proxy-1/proxy | rest']);
  });

  test('lines longer than one read stay whole', () => {
    const log = file('long');
    const long = 'x'.repeat(200_000);
    appendFileSync(log.path, `${long}\n\n`);
    assert.deepEqual(new LogFollower(log, { named: false }).read(), [long, '']);
  });
});
