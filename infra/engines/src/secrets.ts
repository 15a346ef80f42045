import { readFileSync } from 'node:fs';
import { passwordOf } from '@resplice/postgres';
import { deriveKey } from '@resplice/protocol';
import { mailDatabase, type SecretName } from '@resplice/topology';
import type { Place } from './place.ts';

function labKey({ keyFile }: Place): Uint8Array {
  return Buffer.from(readFileSync(keyFile, 'latin1').trim(), 'hex');
}

function derived(key: Uint8Array, purpose: string): string {
  return Buffer.from(deriveKey(key, purpose, 32)).toString('hex');
}

const makers: Readonly<Record<SecretName, (key: Uint8Array) => string>> = {
  database: key => passwordOf(key, mailDatabase.role),
  delegation: key => derived(key, 'mail delegation'),
  sessions: key => derived(key, 'webmail sessions'),
};

/** @param key the cluster key, 32 bytes @returns 64 hex digits */
export function secretFrom(key: Uint8Array, name: SecretName): string {
  return makers[name](key);
}

/** The key that back ends' kits and loggers share: a file's content. @param key the cluster key, 32 bytes */
export function kitKeyFrom(key: Uint8Array): string {
  return `${derived(key, 'kit')}\n`;
}

export function kitKeyOf(place: Place): string {
  return kitKeyFrom(labKey(place));
}

/** The values of these variables in this lab: made from its key, which is made anew for each. 64 hex digits each. */
export function secretsOf(
  place: Place,
  names: Readonly<Record<string, SecretName>> = {},
): Record<string, string> {
  const entries = Object.entries(names);
  if (entries.length === 0) return {};
  const key = labKey(place);
  return Object.fromEntries(entries.map(([variable, name]) => [variable, secretFrom(key, name)]));
}
