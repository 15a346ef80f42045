// Kinds of fields that stand in several places of `resplice.yaml`.

import { z } from 'zod';
import { readDuration } from './duration.ts';
import { readNetwork } from './network.ts';

export const name = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be a name of lower-case letters, digits and dashes, such as web-1');

export const cidr = z.string().superRefine((text, context) => {
  const reading = readNetwork(text);
  if ('problem' in reading) context.addIssue({ code: 'custom', message: reading.problem });
});

/** Methods are compared as they are: `get` is none that a server knows. */
export const method = z.string().regex(/^[A-Z][A-Z-]{0,31}$/, 'must be a method in upper case such as POST');

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
export const headerName = z.string().regex(token, 'must be a header name such as x-canary');
export const cookieName = z.string().regex(token, 'must be a cookie name such as session');
export const headerValue = z
  .string()
  .regex(/^[\x21-\x7e](?:[\t\x20-\x7e]{0,1022}[\x21-\x7e])?$/, 'must be 1…1024 printable ASCII characters');
export const cookieValue = z
  .string()
  .regex(
    /^[\x21-\x3a\x3c-\x7e]{1,1024}$/,
    'must be 1…1024 printable ASCII characters without space or semicolon',
  );

/** A duration, read as milliseconds within [least, most]; `range` says so to people. */
export function duration(least: number, most: number, range: string, fallback: string, meaning: string) {
  return z
    .string({ error: 'must be a duration such as 500ms, 10s or 5m' })
    .transform((text, context): number => {
      const ms = readDuration(text);
      if (ms === undefined) {
        context.addIssue({ code: 'custom', message: 'must be a duration such as 500ms, 10s or 5m' });
        return z.NEVER;
      }
      if (ms < least || ms > most) {
        context.addIssue({ code: 'custom', message: `must be within ${range}` });
        return z.NEVER;
      }
      return ms;
    })
    .prefault(fallback)
    .meta({ description: meaning, range });
}
