// Debian's PostgreSQL, found where its packages put it: server programs are not on the PATH.

import { globSync, readFileSync } from 'node:fs';

/** The server is not installed, or there is nobody to run it as. */
export class NoPostgresError extends Error {
  constructor(what: string) {
    super(`${what}: apt-get install postgresql (without its own cluster: see the launcher)`);
    this.name = 'NoPostgresError';
  }
}

/**
 * Directory with `initdb` and `postgres`, of the newest major version.
 * @throws NoPostgresError
 */
export function findBinaries(pattern = '/usr/lib/postgresql/*/bin/postgres'): string {
  const version = (path: string) => Number(/\/(\d+)\/bin\/postgres$/.exec(path)?.[1] ?? 0);
  const newest = globSync(pattern)
    .sort((a, b) => version(b) - version(a))
    .at(0);
  if (newest === undefined) throw new NoPostgresError(`no PostgreSQL server at ${pattern}`);
  return newest.slice(0, -'/postgres'.length);
}

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whom the server runs as. It refuses to be root's; anybody else runs it as himself.
 * @throws NoPostgresError
 */
export function serverUser(passwd = '/etc/passwd'): SystemUser {
  if (process.getuid!() !== 0) return { uid: process.getuid!(), gid: process.getgid!() };
  const fields = readFileSync(passwd, 'utf8')
    .split('\n')
    .map(line => line.split(':'))
    .find(([name]) => name === 'postgres');
  if (fields === undefined) throw new NoPostgresError(`no user postgres in ${passwd}`);
  return { uid: Number(fields[2]), gid: Number(fields[3]) };
}
