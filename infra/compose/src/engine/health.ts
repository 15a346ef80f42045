// Waiting until containers are well, by what their daemons say: the container engine looks every few seconds only.

import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from '@resplice/engines';
import { isFaulted, type Lab, problemsAmong, requireLab, textOf } from '@resplice/engines/lab';
import { inspectHosts } from './inspection.ts';
import type { Project } from './project.ts';

const pollMs = 50;
const healthyDeadlineMs = 30_000;

/** @param problem what is still wrong; nothing when it is empty. @throws LabError unhealthy with the last one */
export async function untilNothing(deadlineMs: number, problem: () => Promise<string>): Promise<void> {
  for (const deadline = Date.now() + deadlineMs; ; await delay(pollMs)) {
    const text = await problem();
    if (text === '') return;
    if (Date.now() > deadline)
      throw new LabError('unhealthy', `not healthy after ${deadlineMs / 1000} s: ${text}`);
  }
}

/** Returns when all that nothing was done to is well, and each knows of the others that they are. */
export async function untilHealthy(place: Lab['place'], project: Project): Promise<void> {
  await untilNothing(healthyDeadlineMs, async () => {
    const lab = requireLab(place);
    const sound = lab.topology.hosts.filter(({ name }) => !isFaulted(lab.state, name));
    return textOf(problemsAmong(lab, await inspectHosts(project, sound)));
  });
}
