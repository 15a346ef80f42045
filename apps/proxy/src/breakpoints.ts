import { existsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

export const breakpoints = [
  /** A back end has answered the SYN, and no peer knows. */
  'before-publish',
  /** Every peer knows, and no request byte has left. */
  'before-delivery',
] as const;
export type Breakpoint = (typeof breakpoints)[number];

/** Between two looks for the file of a point, ms: thousands of set-ups a second must not pay for what nobody asked for. */
const LOOK_MS = 1;
/** Until every thread has stopped: SIGSTOP need not stop the caller before its system call returns. */
const STOPPED_MS = 20;

/**
 * Points of a set-up at which a test can have this process stop itself (SIGSTOP). Off unless the configuration names a directory:
 * then a file in it, named after a point, stops the next set-up that gets there, once, from a millisecond later on.
 */
export class Breakpoints {
  readonly #directory: string | undefined;
  /** performance.now() when each was last looked for in vain. */
  readonly #missedMs: Record<Breakpoint, number> = { 'before-publish': -1, 'before-delivery': -1 };

  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  pass(point: Breakpoint): void {
    if (this.#directory === undefined) return;
    const now = performance.now();
    if (now - this.#missedMs[point] < LOOK_MS) return;
    const file = join(this.#directory, point);
    // Not by trying to remove it: an exception for each set-up costs more than the set-up's cryptography.
    if (!existsSync(file)) {
      this.#missedMs[point] = now;
      return;
    }
    unlinkSync(file);
    process.kill(process.pid, 'SIGSTOP');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STOPPED_MS);
  }
}
