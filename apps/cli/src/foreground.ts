import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** Ctrl-C and Ctrl-\ on a terminal reach the whole foreground group: passing them on would deliver them twice. */
function forwardedSignals(): NodeJS.Signals[] {
  const always: NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'];
  return process.stdin.isTTY ? always : [...always, 'SIGINT', 'SIGQUIT'];
}

/** Runs the command with our standard streams; what becomes of a signal is its decision. @returns its exit code, 128 + N when signal N ended it */
export function runInForeground([file, ...args]: readonly [string, ...string[]]): Promise<number> {
  return new Promise((resolve, reject) => {
    // Before the command starts: it may run, and we be signalled, before `spawn` has returned.
    for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, () => {});
    for (const signal of forwardedSignals()) process.on(signal, () => child.kill(signal));
    const child = spawn(file, args, { stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
  });
}
