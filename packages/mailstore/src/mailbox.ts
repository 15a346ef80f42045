// An account's folders: lists, pages, searches, and what is done to messages. Everything names the account, so that
// nobody reaches another's mail by guessing a number.

import type { Client, Database } from './database.ts';
import { dropContents } from './delivery.ts';
import type { Addresses } from './parsing.ts';

export const folders = ['inbox', 'sent', 'trash'] as const;
export type Folder = (typeof folders)[number];

export interface Entry {
  readonly id: string;
  readonly folder: Folder;
  readonly state: 'here' | 'sending';
  readonly messageId: string;
  readonly subject: string;
  readonly addresses: Addresses;
  readonly snippet: string;
  readonly size: number;
  readonly attachments: number;
  readonly seen: boolean;
  /** What its sender should know of its delivery; else empty. */
  readonly problem: string;
  readonly at: Date;
}

const columns = `id, folder, state, message_id as "messageId", subject, addresses, snippet, size::float8 as size,
  attachments, seen, problem, received_at as at`;

export interface PageRequest {
  readonly folder: Folder;
  /** From 1. */
  readonly page: number;
  readonly pageSize: number;
  /** Empty: everything. */
  readonly search: string;
}

export interface Page {
  readonly entries: readonly Entry[];
  readonly total: number;
  /** The one shown: the last when there are fewer than was asked for. */
  readonly page: number;
  readonly pages: number;
}

/** Messages that hold all of these words, the last of which may be begun only; null when there is no word in it. */
export function searchQuery(search: string): string | null {
  const words = search.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.length === 0
    ? null
    : words
        .slice(0, 20)
        .map(word => `${word}:*`)
        .join(' & ');
}

export async function listPage(database: Database, accountId: string, wanted: PageRequest): Promise<Page> {
  const { folder, pageSize, search } = wanted;
  const query = searchQuery(search);
  const where = `account_id = $1 and folder = $2 and ($3::text is null or words @@ to_tsquery('simple', $3))`;
  const values = [accountId, folder, query];
  const [count] = await database.query<{ total: number }>(
    `select count(*)::int as total from messages where ${where}`,
    values,
  );
  const total = count!.total;
  const pages = Math.max(1, Math.ceil(total / pageSize));
  const page = Math.min(wanted.page, pages);
  const entries = await database.query<Entry>(
    `select ${columns} from messages where ${where} order by received_at desc, id desc limit $4 offset $5`,
    [...values, pageSize, (page - 1) * pageSize],
  );
  return { entries, total, page, pages };
}

export interface Counts {
  /** Not seen, in the inbox. */
  readonly unseen: number;
  readonly drafts: number;
}

export async function counts(database: Database, accountId: string): Promise<Counts> {
  const [row] = await database.query<{ unseen: number; drafts: number }>(
    `select (select count(*) from messages where account_id = $1 and folder = 'inbox' and not seen)::int as unseen,
       (select count(*) from drafts where account_id = $1 and state = 'open')::int as drafts`,
    [accountId],
  );
  return row!;
}

export async function entryById(
  database: Database,
  accountId: string,
  id: string,
): Promise<Entry | undefined> {
  const [row] = await database.query<Entry>(
    `select ${columns} from messages where account_id = $1 and id = $2`,
    [accountId, id],
  );
  return row;
}

/** The whole message; undefined when the account has none of this number. */
export async function rawById(
  database: Database,
  accountId: string,
  id: string,
): Promise<Buffer | undefined> {
  const [row] = await database.query<{ raw: Buffer }>(
    'select raw from contents join messages on content_id = contents.id where account_id = $1 and messages.id = $2',
    [accountId, id],
  );
  return row?.raw;
}

export interface Neighbours {
  readonly newer: string | undefined;
  readonly older: string | undefined;
}

/** The messages beside one in its folder. */
export async function neighbours(database: Database, accountId: string, entry: Entry): Promise<Neighbours> {
  const beside = (than: '<' | '>', order: 'asc' | 'desc') =>
    `(select id from messages where account_id = $1 and folder = $2 and (received_at, id) ${than}
       (select received_at, id from messages where id = $3) order by received_at ${order}, id ${order} limit 1)`;
  const [row] = await database.query<{ newer: string | null; older: string | null }>(
    `select ${beside('>', 'asc')} as newer, ${beside('<', 'desc')} as older`,
    [accountId, entry.folder, entry.id],
  );
  return { newer: row?.newer ?? undefined, older: row?.older ?? undefined };
}

/** Into the trash; what is being sent stays until that has ended. Returns how many. */
export async function discard(client: Client, accountId: string, ids: readonly string[]): Promise<number> {
  const { rowCount } = await client.query(
    `update messages set former_folder = folder, folder = 'trash'
     where account_id = $1 and id = any($2::bigint[]) and folder <> 'trash' and state = 'here'`,
    [accountId, ids],
  );
  return rowCount ?? 0;
}

export async function restore(client: Client, accountId: string, ids: readonly string[]): Promise<number> {
  const { rowCount } = await client.query(
    `update messages set folder = coalesce(former_folder, 'inbox'), former_folder = null
     where account_id = $1 and id = any($2::bigint[]) and folder = 'trash'`,
    [accountId, ids],
  );
  return rowCount ?? 0;
}

export async function mark(
  client: Client,
  accountId: string,
  ids: readonly string[],
  seen: boolean,
): Promise<number> {
  const { rowCount } = await client.query(
    'update messages set seen = $3 where account_id = $1 and id = any($2::bigint[]) and seen <> $3',
    [accountId, ids, seen],
  );
  return rowCount ?? 0;
}

/** For ever, and only what is in the trash; without ids, all of that. */
export async function purge(client: Client, accountId: string, ids?: readonly string[]): Promise<number> {
  const { rows } = await client.query<{ content_id: string }>(
    `delete from messages where account_id = $1 and folder = 'trash'
       and ($2::bigint[] is null or id = any($2::bigint[])) returning content_id`,
    [accountId, ids ?? null],
  );
  await dropContents(
    client,
    rows.map(row => row.content_id),
  );
  return rows.length;
}
