// The container engine that the deployment's tests need: one that answers, or one that a script beside the project can start.

import { spawn, spawnSync } from 'node:child_process';
import { say } from './output.ts';

/** Names a bash script that starts an engine when it is called with `up`, and stops it with `down`. */
export const scriptVariable = 'RESPLICE_DOCKER_ENGINE';

/** It installs packages and makes images, at first. */
const startDeadlineMs = 180_000;
const stopDeadlineMs = 60_000;
const answerDeadlineMs = 10_000;

function answers(): boolean {
  const { status } = spawnSync('docker', ['version'], { stdio: 'ignore', timeout: answerDeadlineMs });
  return status === 0;
}

/** @returns what became of it; undefined: all is well. Its words go to standard error */
function runScript(script: string, verb: 'up' | 'down', deadlineMs: number): Promise<string | undefined> {
  return new Promise(resolve => {
    // A process group of its own: what it has started must not outlive its time.
    const child = spawn('bash', [script, verb], { stdio: ['ignore', 2, 2], detached: true });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      process.kill(-child.pid!, 'SIGKILL');
    }, deadlineMs);
    child.once('error', error => {
      clearTimeout(timer);
      resolve(error.message);
    });
    child.once('exit', code => {
      clearTimeout(timer);
      if (late) resolve(`it took more than ${deadlineMs / 1000} s`);
      else resolve(code === 0 ? undefined : `it exited with ${code}`);
    });
  });
}

export interface EngineUse {
  readonly script?: string | undefined;
  readonly isThere?: () => boolean;
  readonly tell?: (line: string) => void;
}

/**
 * Does the work while an engine answers, if there can be one, and stops what was started for it. The work is done in any case: it
 * has to say itself what it cannot do without.
 */
export async function withContainerEngine<T>(
  work: () => Promise<T>,
  { script = process.env[scriptVariable], isThere = answers, tell = say }: EngineUse = {},
): Promise<T> {
  if (isThere()) return work();
  if (!script) {
    tell(`no container engine answers, and ${scriptVariable} names no script that starts one`);
    return work();
  }
  const why = await runScript(script, 'up', startDeadlineMs);
  if (why !== undefined) tell(`no container engine: ${script} up: ${why}`);
  try {
    return await work();
  } finally {
    // Also after a start that went wrong: half of it may be there.
    const left = await runScript(script, 'down', stopDeadlineMs);
    if (left !== undefined) tell(`the container engine may still be there: ${script} down: ${left}`);
  }
}
