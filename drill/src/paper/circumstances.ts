import { describeMachine } from '@resplice/figures';
import type { Circumstances } from './folder.ts';

/** @param command as it can be given again */
export function describeCircumstances(command: string, at: Date): Circumstances {
  const machine = describeMachine([
    ['HAProxy', 'haproxy', '-v'],
    ['Chromium', '/usr/bin/chromium', '--version'],
  ]);
  return { at: at.toISOString(), command, ...machine };
}
