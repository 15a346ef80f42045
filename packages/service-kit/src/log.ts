// Structured logs: JSON lines on standard output, which whoever started the daemon keeps.

import { type Logger, pino } from 'pino';

export type Log = Logger;

/**
 * @param name component's name, part of every line
 * @param level lines below it are dropped
 */
export function createLog(name: string, level: string): Log {
  return pino(
    {
      base: { name },
      level,
      formatters: { level: label => ({ level: label }) },
      // Config holds no secrets but the paths to them; should one ever come in, it does not go out.
      redact: { paths: ['key', '*.key', '*.secret', '*.password', '*.token'], censor: '[secret]' },
    },
    // Synchronous: the line that explains a crash must be out before the process is gone.
    pino.destination({ dest: 1, sync: true }),
  );
}

/** A log that goes nowhere, for tests. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}
