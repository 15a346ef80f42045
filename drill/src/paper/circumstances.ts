import { describeMachine } from '@resplice/figures';
import type { Circumstances } from './folder.ts';

/** What figures are measured on from then on. */
export function describeCircumstances(at: Date): Circumstances {
  const machine = describeMachine([
    ['HAProxy', 'haproxy', '-v'],
    ['Chromium', '/usr/bin/chromium', '--version'],
  ]);
  return { at: at.toISOString(), ...machine };
}
