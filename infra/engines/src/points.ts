import type { Host, HostProcess } from '@resplice/topology';

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
