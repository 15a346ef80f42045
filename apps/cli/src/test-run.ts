import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { nothing, type TestCount } from './test-count.ts';
import { repository } from './test-plan.ts';

export interface TestRun {
  /** Relative to the repository. */
  readonly files: readonly string[];
  /** How many files at the same time; each is a process of its own. */
  readonly concurrency: number;
  /** For one file. */
  readonly timeoutMs: number;
  readonly namePattern?: string | undefined;
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Runs test files and shows them on standard output. */
export async function runTests({ files, concurrency, timeoutMs, namePattern }: TestRun): Promise<TestCount> {
  if (files.length === 0) return nothing;
  // Set when a test runs us: then node:test would take us for a test file, and run nothing.
  delete process.env.NODE_TEST_CONTEXT;
  const stream = run({
    files: files.map(file => join(repository, file)),
    cwd: repository,
    concurrency,
    timeout: timeoutMs,
    ...(namePattern === undefined ? {} : { testNamePatterns: [new RegExp(escaped(namePattern))] }),
  });
  let count = nothing;
  stream.on('test:summary', ({ file, counts, success }) => {
    // One for each file, and the last for all.
    if (file !== undefined) return;
    const { tests, passed, skipped, todo } = counts;
    const failed = tests - passed - skipped - todo;
    count = { passed, failed: success ? failed : Math.max(1, failed), skipped: skipped + todo };
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout, { end: false });
  await finished(report);
  return count;
}
