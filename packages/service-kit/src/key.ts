// The cluster key: what authenticates every message between the daemons.

import { readFileSync, statSync } from 'node:fs';
import { ConfigError } from './config.ts';

/**
 * Reads a key file: 64 hex digits and a newline, readable by its owner alone.
 * @returns 32 bytes
 * @throws ConfigError (`config: keyFile: …`); never with any of the file's content in it
 */
export function readKey(file: string): Uint8Array {
  const refuse = (why: string, cause?: unknown): never => {
    throw new ConfigError([`config: keyFile: ${file} ${why}`], { cause });
  };
  let text = '';
  try {
    const mode = statSync(file).mode & 0o777;
    if (mode & 0o077) {
      refuse(`may be read or written by others (mode ${mode.toString(8).padStart(4, '0')}): chmod 600 it`);
    }
    text = readFileSync(file, 'latin1');
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    refuse(`cannot be read: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`, cause);
  }
  const digits = text.replace(/\r?\n$/, '');
  if (digits.length !== 64)
    refuse(`must hold 64 hex digits and a newline, it holds ${digits.length} characters`);
  if (!/^[0-9a-f]{64}$/i.test(digits)) refuse('holds something other than hex digits');
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}
