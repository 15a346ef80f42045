import type { Host, HostProcess } from '@resplice/topology';
import { LabError } from './errors.ts';
import { nameOf, type Target } from './lab.ts';

/** Of a proxy's set-ups (apps/proxy/src/breakpoints.ts). */
const ofSetUps = ['before-publish', 'before-delivery'] as const;
/** Of the webmail's handing over of a letter (apps/webmail/src/mail/breakpoints.ts). */
export const pointsOfLetters = [
  'before-mail',
  'inside-data',
  'after-dot',
  'after-250',
  'before-response',
  'inside-response',
] as const;

/** What stops itself there: whose points these are. */
export function pointsOf({ processes }: Host): readonly string[] {
  const has = (name: HostProcess['name']): boolean => processes.some(each => each.name === name);
  if (has('proxy')) return ofSetUps;
  return has('webmail') ? pointsOfLetters : [];
}

/** @throws LabError usage unless the target can be stopped there */
export function requirePoint({ host, process }: Target, point: string): void {
  const points = process ? [] : pointsOf(host);
  if (points.length === 0)
    throw new LabError(
      'usage',
      `only proxies and the webmail's back ends as a whole have points to freeze at, not ${nameOf({ host, process })}`,
    );
  if (!points.includes(point))
    throw new LabError('usage', `there is no point "${point}"; there is: ${points.join(', ')}`);
}
