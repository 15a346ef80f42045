// Brings a database up to this version's schema. Migrations are SQL files, applied once each in the order of their names;
// whatever is wrong stops the program that asked, before it serves anybody.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Database, type DatabaseOptions } from './database.ts';

export const MIGRATIONS = join(import.meta.dirname, '../migrations');

export class MigrationError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`migration ${what}`, options);
    this.name = 'MigrationError';
  }
}

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

function readMigrations(directory: string): readonly Migration[] {
  const names = readdirSync(directory).sort();
  for (const [index, name] of names.entries()) {
    const expected = String(index + 1).padStart(4, '0');
    if (!name.startsWith(`${expected}-`) || !name.endsWith('.sql')) {
      throw new MigrationError(`${name}: is not ${expected}-….sql: files are numbered without gaps`);
    }
  }
  return names.map(name => {
    const sql = readFileSync(join(directory, name), 'utf8');
    return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
  });
}

/** Any number, as long as it is only ours: two programs that start at once take turns. */
const LOCK = 7_236_041;

/**
 * Applies what is missing, all or nothing, and returns its names.
 * @throws MigrationError when a file fails, an applied one was changed, or the database knows more than we do
 */
export async function migrate(database: Database, directory = MIGRATIONS): Promise<readonly string[]> {
  const migrations = readMigrations(directory);
  return await database.transact(async client => {
    await client.query('select pg_advisory_xact_lock($1)', [LOCK]);
    await client.query(
      'create table if not exists migrations (name text primary key, sha256 text not null, at timestamptz default now())',
    );
    const { rows } = await client.query<{ name: string; sha256: string }>(
      'select name, sha256 from migrations',
    );
    const applied = new Map(rows.map(row => [row.name, row.sha256]));
    for (const { name, sha256 } of migrations) {
      if (applied.has(name) && applied.get(name) !== sha256) {
        throw new MigrationError(
          `${name}: was changed after it was applied: undo that, and write a new file`,
        );
      }
      if (!applied.has(name) && [...applied.keys()].some(each => each > name)) {
        throw new MigrationError(`${name}: a later one is applied already: give it the next number`);
      }
    }
    const unknown = [...applied.keys()].filter(name => !migrations.some(each => each.name === name));
    if (unknown.length > 0) {
      throw new MigrationError(
        `${unknown.join(', ')}: applied by a newer version: run that, or restore a backup`,
      );
    }
    const missing = migrations.filter(({ name }) => !applied.has(name));
    for (const { name, sql, sha256 } of missing) {
      try {
        await client.query(sql);
      } catch (cause) {
        throw new MigrationError(`${name}: ${describe(cause, sql)}`, { cause });
      }
      await client.query('insert into migrations (name, sha256) values ($1, $2)', [name, sha256]);
    }
    return missing.map(({ name }) => name);
  });
}

/** A program that starts beside its database has to wait for it, milliseconds. */
const START_MS = 60_000;

/**
 * The same as soon as the database answers: what a program does before it serves anybody.
 * @throws MigrationError; DatabaseAwayError when it has not answered for `patienceMs`
 */
export async function migrateWhenThere({
  patienceMs = START_MS,
  ...options
}: DatabaseOptions): Promise<readonly string[]> {
  const patient = new Database({ ...options, patienceMs, maxConnections: 1 });
  try {
    return await migrate(patient);
  } finally {
    await patient.close();
  }
}

/** PostgreSQL's sentence, with the line it means. */
function describe(error: unknown, sql: string): string {
  const { message, position } = error as { message: string; position?: string };
  if (position === undefined) return message;
  return `line ${sql.slice(0, Number(position)).split('\n').length}: ${message}`;
}
