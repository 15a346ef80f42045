// Putting messages into mailboxes.

import type { Client } from './database.ts';
import type { Digest } from './digest.ts';

/** Stores a message's bytes; returns their id. */
export async function storeContent(client: Client, raw: Buffer): Promise<string> {
  const { rows } = await client.query<{ id: string }>('insert into contents (raw) values ($1) returning id', [
    raw,
  ]);
  return rows[0]!.id;
}

export interface Placement {
  readonly accountId: string;
  readonly folder: 'inbox' | 'sent';
  readonly state?: 'here' | 'sending';
  readonly seen?: boolean;
  readonly contentId: string;
  readonly digest: Digest;
  readonly at: Date;
}

/** Puts a message into a folder; returns its id there. */
export async function place(client: Client, placement: Placement): Promise<string> {
  const { accountId, folder, state = 'here', seen = false, contentId, digest, at } = placement;
  const { rows } = await client.query<{ id: string }>(
    `insert into messages (account_id, folder, state, seen, content_id, message_id, subject, addresses, snippet, size,
       attachments, received_at, words)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, to_tsvector('simple', $13)) returning id`,
    [
      accountId,
      folder,
      state,
      seen,
      contentId,
      digest.messageId,
      digest.subject,
      JSON.stringify(digest.addresses),
      digest.snippet,
      digest.size,
      digest.attachments,
      at,
      digest.words,
    ],
  );
  return rows[0]!.id;
}

/**
 * Claims the deliveries that were not made yet, in the caller's transaction.
 * @param submitter account id of who submitted the message: nobody can suppress another's
 * @returns those of the recipients that are still to be delivered to
 */
export async function claimDeliveries(
  client: Client,
  submitter: string,
  messageId: string,
  recipients: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ recipient: string }>(
    `insert into deliveries (submitter, message_id, recipient)
     select $1, $2, unnest($3::text[]) on conflict do nothing returning recipient`,
    // In one order, or two that deliver the same message would wait for each other.
    [submitter, messageId, [...new Set(recipients)].sort()],
  );
  return new Set(rows.map(({ recipient }) => recipient));
}

/**
 * Of whom it is certain that a message in a folder of its author's was delivered to them, or queued for them: the SMTP server keeps its
 * deliveries in this database.
 *
 * @param id of the author's copy
 */
export async function deliveredTo(client: Client, id: string): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ recipient: string }>(
    `select d.recipient from messages m
       join deliveries d on d.submitter = m.account_id and d.message_id = m.message_id where m.id = $1`,
    [id],
  );
  return new Set(rows.map(({ recipient }) => recipient.toLowerCase()));
}

/**
 * Claims a message's deliveries in the SMTP server's place, so that it makes none from now on. Waits for those that it is making.
 *
 * @param id of the author's copy
 * @returns those of the recipients that it was delivered to, or queued for
 */
export async function withhold(
  client: Client,
  id: string,
  recipients: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ accountId: string; address: string; messageId: string }>(
    `select m.account_id as "accountId", a.address, m.message_id as "messageId"
       from messages m join accounts a on a.id = m.account_id where m.id = $1`,
    [id],
  );
  if (rows[0] === undefined) return new Set();
  const { accountId, address, messageId } = rows[0];
  const domain = address.slice(address.indexOf('@'));
  // As the SMTP server writes them: our own addresses in lower case.
  const written = (each: string): string => (each.toLowerCase().endsWith(domain) ? each.toLowerCase() : each);
  const due = await claimDeliveries(client, accountId, messageId, recipients.map(written));
  return new Set(recipients.filter(each => !due.has(written(each))));
}

/** Deletes bytes that no mailbox and no queue holds any longer. */
export async function dropContents(client: Client, ids: readonly string[]): Promise<void> {
  await client.query(
    `delete from contents c where c.id = any($1::bigint[])
       and not exists (select from messages m where m.content_id = c.id)
       and not exists (select from relays r where r.content_id = c.id)`,
    [ids],
  );
}
