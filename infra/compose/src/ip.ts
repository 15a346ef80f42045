import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs ip(8). @throws Error with what it said */
export async function ip(...args: string[]): Promise<string> {
  return (await run('ip', args)).stdout;
}

/** What `ip -json` shows. */
export async function shown<T>(...args: string[]): Promise<T[]> {
  return JSON.parse((await ip('-json', ...args)) || '[]') as T[];
}
