import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { breakpoints } from '../src/mail/breakpoints.ts';

const from = JSON.stringify(join(import.meta.dirname, '../src/mail/breakpoints.ts'));

/** Speaks to a server that answers everything with 250, and says "done" when it has heard the last answer. */
const letter = `
import { createServer, connect } from 'node:net';
import { Breakpoints } from ${from};
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

/** Answers in each of the ways in which Node gives an answer to its socket. */
const site = `
import { createServer } from 'node:http';
import { Breakpoints } from ${from};
const points = new Breakpoints(process.argv[1]);
const server = createServer((asked, answer) => {
  points.watchAnswer(answer);
  answer.sendDate = false;
  answer.writeHead(303, { location: '/mail/sent', 'content-length': asked.url === '/nothing' ? 0 : 6 });
  if (asked.url === '/nothing') answer.end();
  else answer.end(asked.url === '/text' ? 'a text' : Buffer.from('a text'));
}).listen(0, '127.0.0.1', () => console.log(server.address().port));`;

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'resplice-points-'));
});
after(() => rmSync(directory, { recursive: true }));

function run(script: string): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', script, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function stopped({ pid }: ChildProcess): boolean {
  return /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

for (const point of breakpoints.filter(each => each !== 'inside-response')) {
  test(`a letter stops ${point}, once, and goes on when it is thawed`, async () => {
    writeFileSync(join(directory, point), '');
    const child = run(letter);
    const ended = once(child, 'exit');
    await until('it to stop', () => stopped(child), 20_000);
    assert.equal(existsSync(join(directory, point)), false);
    child.kill('SIGCONT');
    assert.deepEqual(await ended, [0, null]);
  });
}

for (const path of ['/nothing', '/text', '/bytes']) {
  test(`an answer stops half-way, once, and the rest comes when it is thawed: ${path}`, async () => {
    const child = run(site);
    try {
      const [port] = (await once(child.stdout!, 'data')) as [Buffer];
      const browser = connect(Number(port), '127.0.0.1').setEncoding('utf8');
      let heard = '';
      browser.on('data', (text: string) => {
        heard += text;
      });
      const ask = (): boolean => browser.write(`GET ${path} HTTP/1.1\r\nHost: here\r\n\r\n`);
      ask();
      const isWhole = (): boolean => heard.endsWith(path === '/nothing' ? '\r\n\r\n' : 'a text');
      await until('an answer', isWhole, 20_000);
      const whole = heard;

      heard = '';
      writeFileSync(join(directory, 'inside-response'), '');
      ask();
      await until('it to stop', () => stopped(child), 20_000);
      await until('the first half', () => heard !== '', 20_000);
      const half = heard;
      assert.ok(half.length < whole.length && whole.startsWith(half), half);
      assert.equal(existsSync(join(directory, 'inside-response')), false);
      child.kill('SIGCONT');
      await until('the rest', isWhole, 20_000);
      assert.equal(heard, whole);

      heard = '';
      ask();
      await until('the next answer', isWhole, 20_000);
      assert.equal(heard, whole);
      browser.destroy();
    } finally {
      child.kill('SIGKILL');
    }
  });
}
