// Guessing passwords takes for ever: after a few wrong ones the door stays shut for a while. Counted in the database, so
// that every server knows, and one that dies forgets nothing.

import type { Database } from './database.ts';

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

/** Whether the password may be looked at. Asked before, so that trying costs us no hashing either. */
export async function mayTry(database: Database, { source, address, at }: LoginAttempt): Promise<boolean> {
  const [row] = await database.query<{ pair: number; source: number; account: number }>(
    `select count(*) filter (where source = $2 and address = $3)::int as pair,
       count(*) filter (where source = $2)::int as source,
       count(*) filter (where address = $3)::int as account
     from login_failures where at > $1 and at <= $4 and (source = $2 or address = $3)`,
    [new Date(at.getTime() - LOGIN_WINDOW_MINUTES * 60_000), source, address.toLowerCase(), at],
  );
  return row!.pair < PER_SOURCE_AND_ACCOUNT && row!.source < PER_SOURCE && row!.account < PER_ACCOUNT;
}

/** Notes a wrong password, and forgets those that no longer count. */
export async function noteFailure(database: Database, { source, address, at }: LoginAttempt): Promise<void> {
  await database.transact(async client => {
    await client.query('delete from login_failures where at < $1', [
      new Date(at.getTime() - 2 * LOGIN_WINDOW_MINUTES * 60_000),
    ]);
    await client.query('insert into login_failures (at, source, address) values ($1, $2, $3)', [
      at,
      source,
      address.toLowerCase().slice(0, 320),
    ]);
  });
}
