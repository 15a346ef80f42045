import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { hangUp } from '../src/hang-up.ts';

suite('a daemon is told of another configuration', { timeout: 30_000 }, () => {
  let directory = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'resplice-hang-up-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  const start = (program: string): ChildProcess =>
    spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'ignore' });

  test('when it answers, and not before: the signal would end it', async () => {
    const socket = join(directory, 'slow.sock');
    // Like a daemon: the handler first, then the admin server; both late.
    const child = start(`
      import { createServer } from 'node:http';
      setTimeout(() => {
        process.on('SIGHUP', () => process.exit(7));
        createServer((_, response) => response.writeHead(503).end('{}')).listen('${socket}');
      }, 300);`);
    const ended = once(child, 'exit');
    await hangUp(child, socket);
    assert.deepEqual(await ended, [7, null]);
  });

  test('never, if it ends before it answers', async () => {
    const child = start('process.exit(3)');
    const ended = once(child, 'exit');
    await hangUp(child, join(directory, 'nobody.sock'));
    assert.deepEqual(await ended, [3, null]);
  });
});
