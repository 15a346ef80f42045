// Drafts, under the key that their form carries: saving or sending a form twice is the same draft.

import type { Client, Database } from '@resplice/mailstore';

export interface DraftFields {
  readonly recipients: string;
  readonly cc: string;
  readonly bcc: string;
  readonly subject: string;
  readonly body: string;
  readonly inReplyTo: string;
  readonly references: string;
}

export interface DraftFile {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** Bytes. */
  readonly size: number;
}

export type DraftState = 'open' | 'sending' | 'sent' | 'discarded';

export interface Draft extends DraftFields {
  readonly id: string;
  readonly key: string;
  readonly state: DraftState;
  /** Grows with each save; the form carries it, and an older one does not overwrite a newer. */
  readonly edition: number;
  /** Why it could not be sent. */
  readonly problem: string;
  readonly at: Date;
  readonly files: readonly DraftFile[];
}

export interface NewFile {
  readonly name: string;
  readonly type: string;
  readonly bytes: Buffer;
}

export const emptyFields: DraftFields = {
  recipients: '',
  cc: '',
  bcc: '',
  subject: '',
  body: '',
  inReplyTo: '',
  references: '',
};

const columns = `id, key, state, version as edition, recipients, cc, bcc, subject, body, in_reply_to as "inReplyTo",
  "references", problem, updated_at as at,
  coalesce((select json_agg(json_build_object('id', f.id::text, 'name', f.name, 'type', f.type, 'size', f.size) order by f.id)
    from draft_files f where f.draft_id = drafts.id), '[]') as files`;

export async function draftByKey(
  database: Database,
  accountId: string,
  key: string,
): Promise<Draft | undefined> {
  const [row] = await database.query<Draft>(
    `select ${columns} from drafts where account_id = $1 and key = $2`,
    [accountId, key],
  );
  return row;
}

/** In a transaction, and nobody else changes it until that ends. */
export async function lockDraft(client: Client, accountId: string, key: string): Promise<Draft | undefined> {
  await client.query('select from drafts where account_id = $1 and key = $2 for update', [accountId, key]);
  const { rows } = await client.query<Draft>(
    `select ${columns} from drafts where account_id = $1 and key = $2`,
    [accountId, key],
  );
  return rows[0];
}

export interface DraftPage {
  readonly drafts: readonly Omit<Draft, 'body'>[];
  readonly total: number;
  readonly page: number;
  readonly pages: number;
}

export async function listDrafts(
  database: Database,
  accountId: string,
  wanted: { readonly page: number; readonly pageSize: number },
): Promise<DraftPage> {
  const where = `account_id = $1 and state = 'open'`;
  const [count] = await database.query<{ total: number }>(
    `select count(*)::int as total from drafts where ${where}`,
    [accountId],
  );
  const pages = Math.max(1, Math.ceil(count!.total / wanted.pageSize));
  const page = Math.min(wanted.page, pages);
  const drafts = await database.query<Draft>(
    `select ${columns.replace('body', 'left(body, 400) as body')} from drafts where ${where}
     order by updated_at desc, id desc limit $2 offset $3`,
    [accountId, wanted.pageSize, (page - 1) * wanted.pageSize],
  );
  return { drafts, total: count!.total, page, pages };
}

/** What became of a save: `closed` ones were sent or discarded before, `stale` ones come after a newer edition. */
export type Saved =
  | { readonly kind: 'saved'; readonly id: string }
  | { readonly kind: 'stale' }
  | { readonly kind: 'closed'; readonly state: DraftState };

export interface Save {
  readonly accountId: string;
  readonly key: string;
  readonly edition: number;
  readonly fields: DraftFields;
  readonly at: Date;
}

export async function saveDraft(
  client: Client,
  { accountId, key, edition, fields, at }: Save,
): Promise<Saved> {
  const { recipients, cc, bcc, subject, body, inReplyTo, references } = fields;
  const { rows } = await client.query<{ id: string }>(
    `insert into drafts as d (account_id, key, version, recipients, cc, bcc, subject, body, in_reply_to, "references",
       updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     on conflict (account_id, key) do update set version = $3, recipients = $4, cc = $5, bcc = $6, subject = $7, body = $8,
       in_reply_to = $9, "references" = $10, updated_at = $11, problem = ''
     where d.state = 'open' and d.version <= $3 returning id`,
    [accountId, key, edition, recipients, cc, bcc, subject, body, inReplyTo, references, at],
  );
  if (rows[0] !== undefined) return { kind: 'saved', id: rows[0].id };
  const found = await lockDraft(client, accountId, key);
  return found!.state === 'open' ? { kind: 'stale' } : { kind: 'closed', state: found!.state };
}

export async function addFiles(client: Client, draftId: string, files: readonly NewFile[]): Promise<void> {
  for (const { name, type, bytes } of files) {
    await client.query(
      'insert into draft_files (draft_id, name, type, size, bytes) values ($1, $2, $3, $4, $5)',
      [draftId, name, type, bytes.length, bytes],
    );
  }
}

export async function removeFile(client: Client, draftId: string, fileId: string): Promise<void> {
  await client.query('delete from draft_files where draft_id = $1 and id = $2', [draftId, fileId]);
}

/** Bytes of all the draft's files. */
export async function sizeOfFiles(client: Client, draftId: string): Promise<number> {
  const { rows } = await client.query<{ size: number }>(
    'select coalesce(sum(size), 0)::float8 as size from draft_files where draft_id = $1',
    [draftId],
  );
  return rows[0]!.size;
}

export async function filesOf(client: Client, draftId: string): Promise<readonly NewFile[]> {
  const { rows } = await client.query<NewFile>(
    'select name, type, bytes from draft_files where draft_id = $1 order by id',
    [draftId],
  );
  return rows;
}

export async function setState(
  client: Client,
  draftId: string,
  state: DraftState,
  problem = '',
): Promise<void> {
  await client.query('update drafts set state = $2, problem = $3 where id = $1', [draftId, state, problem]);
}

/** Leaves the tombstone, without its words and files. */
export async function bury(client: Client, draftId: string, state: 'sent' | 'discarded'): Promise<void> {
  await client.query(
    `update drafts set state = $2, recipients = '', cc = '', bcc = '', subject = '', body = '', in_reply_to = '',
       "references" = '', problem = '' where id = $1`,
    [draftId, state],
  );
  await client.query('delete from draft_files where draft_id = $1', [draftId]);
}
