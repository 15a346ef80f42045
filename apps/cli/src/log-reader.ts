// Logs that a command shows.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { LogCommand } from '@resplice/engines';

export interface LogReading {
  readonly named: boolean;
  readonly follow: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly print: (lines: readonly string[]) => void;
}

/** Prints what the command shows, line by line; resolves when it has ended. */
export function showLog(
  { component, process, command }: LogCommand,
  { named, follow, signal, print }: LogReading,
): Promise<void> {
  const prefix = named ? `${component}/${process} | ` : '';
  const [file, ...args] = command(follow);
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const end = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', end, { once: true });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', line => print([prefix + line]));
    }
    child.once('error', reject);
    child.once('close', () => {
      signal.removeEventListener('abort', end);
      resolve();
    });
  });
}
