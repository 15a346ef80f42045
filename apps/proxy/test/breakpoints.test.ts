import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';

const FIXTURE = join(import.meta.dirname, 'fixtures/pass-breakpoint.ts');
const directory = mkdtempSync(join(tmpdir(), 'breakpoints-'));
after(() => rmSync(directory, { recursive: true }));

async function start(where: string, point = 'before-publish') {
  const child = spawn(process.execPath, [FIXTURE, where, point], { stdio: ['pipe', 'pipe', 'inherit'] });
  after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', bytes => {
    output += String(bytes);
  });
  await until('it is ready', () => output === 'ready\n', 10_000);
  return {
    pass: () => child.stdin.write('\n'),
    passed: () => output.split('passed').length - 1,
    isStopped: () => /\) T /.test(readFileSync(`/proc/${child.pid}/stat`, 'latin1')),
    go: () => child.kill('SIGCONT'),
  };
}

test('an armed point stops the process once, before it goes on', async () => {
  const process = await start(directory);
  const file = join(directory, 'before-publish');
  writeFileSync(file, '');
  process.pass();
  await until('it has stopped', process.isStopped);
  assert.deepEqual([process.passed(), existsSync(file)], [0, false]);
  process.go();
  await until('it has passed', () => process.passed() === 1);
  process.pass();
  await until('it has passed again', () => process.passed() === 2);
});

test('another point, and a process without a directory, stop nobody', async () => {
  writeFileSync(join(directory, 'before-publish'), '');
  for (const process of [await start(directory, 'before-delivery'), await start('')]) {
    process.pass();
    await until('it has passed', () => process.passed() === 1);
  }
  assert.ok(existsSync(join(directory, 'before-publish')));
});
