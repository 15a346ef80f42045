import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { breakpoints } from '../src/mail/breakpoints.ts';

/** Speaks to a server that answers everything with 250, and says "done" when it has heard the last answer. */
const script = `
import { createServer, connect } from 'node:net';
import { Breakpoints } from ${JSON.stringify(join(import.meta.dirname, '../src/mail/breakpoints.ts'))};
const points = new Breakpoints(process.argv[1]);
const server = createServer(socket => socket.on('data', () => socket.write('250 yes\\r\\n'))).listen(0, () => {
  const socket = points.watch(connect(server.address().port));
  const steps = ['MAIL FROM:<a@b>\\r\\n', 'body\\r\\n', '.\\r\\n'];
  const next = () => {
    const step = steps.shift();
    if (step !== undefined) return socket.write(step);
    setImmediate(() => {
      points.pass('before-response');
      console.log('done');
      process.exit(0);
    });
  };
  socket.on('connect', next);
  socket.on('data', next);
});`;

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'resplice-points-'));
});
after(() => rmSync(directory, { recursive: true }));

function stopped({ pid }: ChildProcess): boolean {
  return /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

for (const point of breakpoints) {
  test(`a letter stops ${point}, once, and goes on when it is thawed`, async () => {
    writeFileSync(join(directory, point), '');
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    await until('it to stop', () => stopped(child), 20_000);
    assert.equal(existsSync(join(directory, point)), false);
    child.kill('SIGCONT');
    assert.deepEqual(await ended, [0, null]);
  });
}
