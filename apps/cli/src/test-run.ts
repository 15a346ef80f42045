import { join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { say } from './output.ts';
import { nothing, sum, type TestCount } from './test-count.ts';
import { repository } from './test-plan.ts';

export interface TestRun {
  /** Relative to the repository. */
  readonly files: readonly string[];
  /** How many files at the same time; each is a process of its own. */
  readonly concurrency: number;
  /** The run is given up when nothing ends for so long: a file may hang after its last test, or before its first. */
  readonly idleMs: number;
  readonly namePattern?: string | undefined;
  /** Ends it: the files that run are told to. */
  readonly signal?: AbortSignal;
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function isFile(name: string, file: string | undefined): boolean {
  return file !== undefined && resolve(repository, name) === file;
}

/** Aborts when it was not fed for a while. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly signal = this.#controller.signal;

  constructor(idleMs: number) {
    this.#timer = setTimeout(() => this.#controller.abort(), idleMs);
  }

  feed(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** Runs test files and shows them on standard output. */
export async function runTests(options: TestRun): Promise<TestCount> {
  const { files, concurrency, idleMs, namePattern, signal } = options;
  if (files.length === 0 || signal?.aborted) return nothing;
  // Set when a test runs us: then node:test would take us for a test file, and run nothing.
  delete process.env.NODE_TEST_CONTEXT;
  const watchdog = new Watchdog(idleMs);
  const unfinished = new Set(files.map(file => join(repository, file)));
  const stream = run({
    files: [...unfinished],
    cwd: repository,
    concurrency,
    signal: signal ? AbortSignal.any([signal, watchdog.signal]) : watchdog.signal,
    ...(namePattern === undefined ? {} : { testNamePatterns: [new RegExp(escaped(namePattern))] }),
  });
  let count = nothing;
  let success = true;
  stream.on('test:pass', ({ name, file, details, skip, todo }) => {
    watchdog.feed();
    // A file in which no test has the wanted name passes as a test of its own.
    if (details.type === 'suite' || isFile(name, file)) return;
    const skipped = skip !== undefined || todo !== undefined;
    count = sum([count, skipped ? { ...nothing, skipped: 1 } : { ...nothing, passed: 1 }]);
  });
  stream.on('test:fail', ({ details, todo }) => {
    watchdog.feed();
    if (details.type === 'suite') return;
    count = sum([count, todo === undefined ? { ...nothing, failed: 1 } : { ...nothing, skipped: 1 }]);
  });
  stream.on('test:summary', summary => {
    watchdog.feed();
    if (summary.file !== undefined) unfinished.delete(summary.file);
    success &&= summary.success;
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout, { end: false });
  await finished(report);
  watchdog.stop();
  if (watchdog.signal.aborted) {
    say(`nothing ended for ${idleMs / 1000} s; given up with these files unfinished:`);
    for (const file of unfinished) say(`  ${file}`);
    success = false;
  }
  // A suite's hook may fail with no test in it to say so.
  return success || count.failed > 0 ? count : { ...count, failed: 1 };
}
