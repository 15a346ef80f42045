import { spawn } from 'node:child_process';
import type { TestCount } from './test-count.ts';
import { repository, type StaticCheck } from './test-plan.ts';

/** The tool's output goes to our standard output when it fails, and nowhere when it passes. */
function runTool(
  [file, ...args]: readonly [string, ...string[]],
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return new Promise(resolve => {
    const child = spawn(file, args, {
      ...{ cwd: repository, stdio: ['ignore', 'pipe', 'pipe'] as const },
      ...(signal ? { signal } : {}),
    });
    const output: Buffer[] = [];
    child.stdout.on('data', chunk => output.push(chunk));
    child.stderr.on('data', chunk => output.push(chunk));
    child.on('error', error => {
      process.stdout.write(`${error.message}\n`);
      resolve(false);
    });
    child.on('close', code => {
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      resolve(code === 0);
    });
  });
}

/** Each check is one test. @param signal ends those that run, and begins no more */
export async function runChecks(checks: readonly StaticCheck[], signal?: AbortSignal): Promise<TestCount> {
  let passed = 0;
  for (const { name, command } of checks) {
    if (signal?.aborted) break;
    const started = performance.now();
    const fine = await runTool(command, signal);
    if (fine) passed++;
    process.stdout.write(`${fine ? '✔' : '✖'} ${name} (${Math.round(performance.now() - started)}ms)\n`);
  }
  return { passed, failed: checks.length - passed, skipped: 0 };
}
