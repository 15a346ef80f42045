import type { Client, Database } from './database.ts';
import { hashPassword, verifyPassword } from './password.ts';

export interface Account {
  readonly id: string;
  /** user@domain, lower case. */
  readonly address: string;
  readonly name: string;
  readonly signature: string;
  /** Entries on a page of a list. */
  readonly pageSize: number;
  /** Grows with every change of the password. */
  readonly passwordEpoch: number;
}

const columns = 'id, address, name, signature, page_size as "pageSize", password_epoch as "passwordEpoch"';

export async function accountById(database: Database, id: string): Promise<Account | undefined> {
  const [row] = await database.query<Account>(`select ${columns} from accounts where id = $1`, [id]);
  return row;
}

export async function accountByAddress(database: Database, address: string): Promise<Account | undefined> {
  const [row] = await database.query<Account>(`select ${columns} from accounts where address = $1`, [
    address.toLowerCase(),
  ]);
  return row;
}

/** The account if the password is its own. Takes as long when there is no such account. */
export async function authenticate(
  database: Database,
  address: string,
  password: string,
): Promise<Account | undefined> {
  const [row] = await database.query<Account & { password: string }>(
    `select ${columns}, password from accounts where address = $1`,
    [address.toLowerCase()],
  );
  const right = await verifyPassword(password, row?.password);
  if (!right || row === undefined) return undefined;
  const { password: _, ...account } = row;
  return account;
}

export interface NewAccount {
  readonly address: string;
  readonly name: string;
  readonly password: string;
}

/** Adds an account; false when there is one of this address. */
export async function addAccount(
  database: Database,
  { address, name, password }: NewAccount,
): Promise<boolean> {
  const hashed = await hashPassword(password);
  const rows = await database.query(
    'insert into accounts (address, name, password) values ($1, $2, $3) on conflict do nothing returning id',
    [address.toLowerCase(), name, hashed],
  );
  return rows.length > 0;
}

export interface Settings {
  readonly name: string;
  readonly signature: string;
  readonly pageSize: number;
}

export async function changeSettings(client: Client, id: string, settings: Settings): Promise<void> {
  const { name, signature, pageSize } = settings;
  await client.query('update accounts set name = $2, signature = $3, page_size = $4 where id = $1', [
    id,
    name,
    signature,
    pageSize,
  ]);
}

/**
 * Returns the new password epoch; null when the current password is another one. Both in the caller's transaction: asked again
 * after the change, the question would have another answer.
 *
 * @param hashed the new one, as `hashPassword` makes it
 */
export async function changePassword(
  client: Client,
  id: string,
  current: string,
  hashed: string,
): Promise<number | null> {
  const known = await client.query<{ password: string }>(
    'select password from accounts where id = $1 for update',
    [id],
  );
  if (!(await verifyPassword(current, known.rows[0]?.password))) return null;
  const { rows } = await client.query<{ epoch: number }>(
    `update accounts set password = $2, password_epoch = password_epoch + 1 where id = $1
     returning password_epoch as epoch`,
    [id, hashed],
  );
  return rows[0]!.epoch;
}
