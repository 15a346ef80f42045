import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { adminGet } from '@resplice/engines/lab';

const pollMs = 50;
const answerMs = 1000;

/**
 * Tells a daemon that its configuration is another one. One that is starting has no handler yet, and the signal would end it; it may
 * have read the old file, though. So it is told as soon as its admin server answers, which is after that; never, if it ends before.
 *
 * @param child the daemon
 * @param adminSocket path of its admin server's socket
 */
export async function hangUp(child: ChildProcess, adminSocket: string): Promise<void> {
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  while (!isOver()) {
    const answer = await adminGet(adminSocket, '/healthz', answerMs).catch(() => undefined);
    if (answer) {
      child.kill('SIGHUP');
      return;
    }
    await delay(pollMs);
  }
}
