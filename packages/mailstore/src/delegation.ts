// How the webmail submits in its users' names without knowing their passwords: a key that it shares with the SMTP server
// makes a second password for each account.

import { createHmac, timingSafeEqual } from 'node:crypto';

const PREFIX = 'delegated:';

/** @param key at least 32 characters, the same at both ends */
export function delegatedPassword(key: string, address: string): string {
  const mac = createHmac('sha256', key).update(`smtp ${address.toLowerCase()}`).digest('base64url');
  return `${PREFIX}${mac}`;
}

export function isDelegated(key: string, address: string, password: string): boolean {
  const expected = Buffer.from(delegatedPassword(key, address));
  const given = Buffer.from(password);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
