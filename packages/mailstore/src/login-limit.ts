// Guessing passwords takes for ever: after a few wrong ones the door stays shut for a while. Counted in the database, so
// that every server knows, and one that dies forgets nothing.

import type { Client, Database } from './database.ts';

/** How far back failures count, minutes. */
export const LOGIN_WINDOW_MINUTES = 15;
/** Failures from one source for one account. A stranger elsewhere cannot lock its owner out. */
const PER_SOURCE_AND_ACCOUNT = 8;
/** Failures from one source for all accounts. */
const PER_SOURCE = 40;
/** Failures for one account from everywhere: many sources guess together. */
const PER_ACCOUNT = 200;

export interface LoginAttempt {
  /** The client's IP address. */
  readonly source: string;
  readonly address: string;
  readonly at: Date;
}

/** Several at once count as if they came one after the other: per source, and per account. */
const TURN = `select pg_advisory_xact_lock(turn) from (
  select hashtextextended(name, 0) as turn from unnest($1::text[]) as name order by 1) as turns`;

/**
 * Whether a password may be looked at: asked before, so that trying costs us no hashing either. A try counts as a failure until
 * it is taken back: between the question and the answer, others may ask.
 *
 * @param client in a transaction of its own, which ends before the password is looked at
 * @returns the try; null: there were too many
 */
export async function beginTry(
  client: Client,
  { source, address: given, at }: LoginAttempt,
): Promise<string | null> {
  const address = given.toLowerCase().slice(0, 320);
  await client.query(TURN, [[`source ${source}`, `account ${address}`]]);
  const { rows } = await client.query<{ pair: number; source: number; account: number }>(
    `select count(*) filter (where source = $2 and address = $3)::int as pair,
       count(*) filter (where source = $2)::int as source,
       count(*) filter (where address = $3)::int as account
     from login_failures where at > $1 and (source = $2 or address = $3)`,
    [new Date(at.getTime() - LOGIN_WINDOW_MINUTES * 60_000), source, address],
  );
  const before = rows[0]!;
  const isOpen =
    before.pair < PER_SOURCE_AND_ACCOUNT && before.source < PER_SOURCE && before.account < PER_ACCOUNT;
  if (!isOpen) return null;
  await client.query(
    `delete from login_failures where id in (
       select id from login_failures where at < $1 order by at limit 1000 for update skip locked)`,
    [new Date(at.getTime() - 2 * LOGIN_WINDOW_MINUTES * 60_000)],
  );
  const inserted = await client.query<{ id: string }>(
    'insert into login_failures (at, source, address) values ($1, $2, $3) returning id',
    [at, source, address],
  );
  return inserted.rows[0]!.id;
}

/** The password was right: the try was no failure. */
export async function forgiveTry(database: Database, id: string): Promise<void> {
  await database.query('delete from login_failures where id = $1', [id]);
}
