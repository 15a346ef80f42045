import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TestCount } from '../src/test-count.ts';
import { repository } from '../src/test-plan.ts';

const runner = fileURLToPath(new URL('fixtures/run-tests.ts', import.meta.url));

/** Runs these test files in a process of its own, as the CLI does. */
function countsOf(
  files: Readonly<Record<string, string>>,
  { namePattern, idleMs = 10_000 }: { namePattern?: string; idleMs?: number } = {},
): TestCount {
  const directory = mkdtempSync(join(tmpdir(), 'resplice-run-'));
  try {
    for (const [name, source] of Object.entries(files)) {
      writeFileSync(join(directory, name), `import { test } from 'node:test';\n${source}`);
    }
    const run = {
      files: Object.keys(files).map(name => relative(repository, join(directory, name))),
      concurrency: 2,
      idleMs,
      namePattern,
    };
    const { stderr } = spawnSync(process.execPath, [runner, JSON.stringify(run)], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    return JSON.parse(stderr.trim().split('\n').at(-1)!);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

suite('the test runner', () => {
  test('counts over all files: passes, failures, skips and todos', () => {
    const counts = countsOf({
      'a.test.ts': `test('a', () => {}); test('b', () => { throw new Error('no'); });`,
      'b.test.ts': `test('c', () => {}); test('d', { skip: true }, () => {}); test.todo('e');`,
    });
    assert.deepEqual(counts, { passed: 2, failed: 1, skipped: 2 });
  });

  test('a file that cannot even be loaded is a failure', () => {
    assert.equal(
      countsOf({ 'a.test.ts': `test('a', () => {`, 'b.test.ts': `test('b', () => {});` }).failed,
      1,
    );
  });

  test('a file that exits in the middle is a failure', () => {
    assert.ok(
      countsOf({ 'a.test.ts': `test('a', () => {}); test('b', () => process.exit(3));` }).failed >= 1,
    );
  });

  test('a name pattern is taken literally', () => {
    const counts = countsOf(
      { 'a.test.ts': `test('a (1)', () => {}); test('a 1', () => {});` },
      { namePattern: '(1)' },
    );
    assert.deepEqual(counts, { passed: 1, failed: 0, skipped: 0 });
  });

  test('a file without a test of that name counts nothing', () => {
    const files = { 'a.test.ts': `test('a', () => {});`, 'b.test.ts': `test('b', () => {});` };
    assert.deepEqual(countsOf(files, { namePattern: 'b' }), { passed: 1, failed: 0, skipped: 0 });
  });

  test('a file that hangs after its last test is given up, and is a failure', () => {
    const files = {
      'a.test.ts': `test('a', () => {}); setInterval(() => {}, 1000);`,
      'b.test.ts': `test('b', () => {});`,
    };
    assert.ok(countsOf(files, { idleMs: 1500 }).failed >= 1);
  });

  test('a signal ends it, and the file that runs is told and may tidy up', { timeout: 60_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'resplice-run-'));
    const [begun, tidied] = ['begun', 'tidied'].map(name => join(directory, name)) as [string, string];
    try {
      writeFileSync(
        join(directory, 'a.test.ts'),
        `import { writeFileSync } from 'node:fs';
        import { test } from 'node:test';
        process.on('SIGTERM', () => { writeFileSync('${tidied}', ''); process.exit(1); });
        test('a', () => { writeFileSync('${begun}', ''); return new Promise(() => setInterval(() => {}, 1000)); });`,
      );
      const files = [relative(repository, join(directory, 'a.test.ts'))];
      const argument = JSON.stringify({ files, concurrency: 1, idleMs: 50_000 });
      const child = spawn(process.execPath, [runner, argument], { stdio: 'ignore' });
      const ended = once(child, 'exit');
      while (!existsSync(begun)) await new Promise(resolve => setTimeout(resolve, 20));
      child.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null], 'it tells what it has counted');
      while (!existsSync(tidied)) await new Promise(resolve => setTimeout(resolve, 20));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
