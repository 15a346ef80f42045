// The deployment's key, made once, and what is derived from it. Who needs a derived one only never sees the key itself.

import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kitKeyFrom, secretFrom } from '@resplice/engines';
import type { SecretName } from '@resplice/topology';
import { keyDirectory } from './paths.ts';

/** One volume each. */
export type KeyBundle = 'cluster' | 'kit' | 'webmail' | 'smtp';

const secretsIn: Readonly<Record<'webmail' | 'smtp', readonly SecretName[]>> = {
  webmail: ['database', 'delegation', 'sessions'],
  smtp: ['database', 'delegation'],
};

export function keyFileOf(bundle: KeyBundle, name = 'key', directory = keyDirectory): string {
  return join(directory, bundle, name);
}

/** As whom the base image has applications run. */
export const applicationUser = 1000;

/** Whoever reads it finds the whole file or none. */
function write(file: string, content: string, owner = 0): void {
  writeFileSync(`${file}.next`, content, { mode: 0o600 });
  chownSync(`${file}.next`, owner, owner);
  renameSync(`${file}.next`, file);
}

/** Makes the cluster key unless there is one; the others follow from it. Bundles whose volume is not mounted are left out. */
export function makeKeys(directory = keyDirectory): void {
  const cluster = keyFileOf('cluster', 'key', directory);
  mkdirSync(join(directory, 'cluster'), { recursive: true });
  if (!existsSync(cluster)) write(cluster, `${randomBytes(32).toString('hex')}\n`);
  const key = Buffer.from(readFileSync(cluster, 'latin1').trim(), 'hex');
  const has = (bundle: KeyBundle) => existsSync(join(directory, bundle));
  if (has('kit')) write(keyFileOf('kit', 'key', directory), kitKeyFrom(key), applicationUser);
  for (const [bundle, names] of Object.entries(secretsIn) as ['webmail' | 'smtp', SecretName[]][]) {
    if (!has(bundle)) continue;
    const owner = bundle === 'webmail' ? applicationUser : 0;
    for (const name of names) write(keyFileOf(bundle, name, directory), secretFrom(key, name), owner);
  }
}
