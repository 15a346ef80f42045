// From draft to sent message. Own copy and delivery belong together: the copy is made first, marked as on its way, and
// either its delivery is confirmed or it becomes the draft again. What lies between is finished by whoever comes first:
// this request, its repetition elsewhere, or the outbox.

import type { Transaction } from '@resplice/backend-kit';
import {
  type Account,
  type Client,
  type Database,
  deliveredTo,
  digest,
  dropContents,
  place,
  storeContent,
  withhold,
} from '@resplice/mailstore';
import {
  bury,
  type DraftFields,
  type DraftState,
  filesOf,
  type NewFile,
  saveDraft,
  setState,
} from '../store/drafts.ts';
import { compose, type Envelope, envelopeOf, hiddenRecipients } from './composition.ts';
import type { Answer, Rejection, Submission } from './submission.ts';

export interface Patience {
  /** Nobody else hands over a message that somebody is handing over; longer than that takes, milliseconds. */
  readonly leaseMs: number;
  /** Until a message without a certain answer is handed over again, milliseconds; the last is used from then on. */
  readonly pausesMs: readonly number[];
}

const PATIENCE: Patience = { leaseMs: 45_000, pausesMs: [2000, 10_000, 30_000, 60_000, 300_000] };

export type SendOutcome =
  | { readonly kind: 'sent'; readonly messageId: string; readonly partly: boolean }
  | { readonly kind: 'sending'; readonly messageId: string }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'closed'; readonly state: DraftState }
  | { readonly kind: 'stale' };

type Prepared =
  | { readonly kind: 'ready'; readonly messageId: string }
  | { readonly kind: 'closed'; readonly state: DraftState }
  | { readonly kind: 'stale' };

export interface SendRequest {
  readonly account: Account;
  readonly key: string;
  readonly edition: number;
  readonly fields: DraftFields;
}

/** A message on its way. */
export interface Outgoing {
  readonly messageId: string;
  readonly draftId: string;
  readonly envelope: Envelope;
  readonly inDoubt: boolean;
  readonly attempts: number;
  readonly raw: Buffer;
}

export class Sending {
  readonly #database: Database;
  readonly #submission: Submission;
  readonly #patience: Patience;
  /** Called when a message has to be handed over again. */
  onWaiting: () => void = () => {};

  constructor(database: Database, submission: Submission, patience: Partial<Patience> = {}) {
    this.#database = database;
    this.#submission = submission;
    this.#patience = { ...PATIENCE, ...patience };
  }

  /**
   * Saves and sends. Running the same transaction again sends nothing twice, and neither does the same draft in another.
   * @throws DatabaseAwayError
   */
  async send(request: SendRequest, transaction: Transaction): Promise<SendOutcome> {
    const prepared = await this.#database.once(transaction.id, 'send', client =>
      this.#prepare(client, request, transaction),
    );
    if (prepared.kind !== 'ready') return prepared;
    const { messageId } = prepared;
    const outgoing = await this.#outgoing(messageId);
    if (outgoing !== undefined) await this.handOver(outgoing, transaction);
    return await this.#outcome(request.account, messageId, request.key);
  }

  async #prepare(
    client: Client,
    { account, key, edition, fields }: SendRequest,
    { id, now }: Transaction,
  ): Promise<Prepared> {
    const saved = await saveDraft(client, { accountId: account.id, key, edition, fields, at: now });
    if (saved.kind !== 'saved') return saved;
    // Locked by the save: the files are those that the author sees.
    const files: readonly NewFile[] = await filesOf(client, saved.id);
    const raw = await compose({ account, fields, files, id, at: now });
    const summary = await digest(raw);
    const hidden = hiddenRecipients(fields);
    const contentId = await storeContent(client, raw);
    const messageId = await place(client, {
      accountId: account.id,
      folder: 'sent',
      state: 'sending',
      seen: true,
      contentId,
      digest: { ...summary, addresses: { ...summary.addresses, bcc: hidden } },
      at: now,
    });
    const { sender, recipients } = envelopeOf({ account, fields });
    await client.query(
      'insert into outgoing (message_id, draft_id, sender, recipients, next_at) values ($1, $2, $3, $4, $5)',
      [messageId, saved.id, sender, recipients, new Date(now.getTime() + this.#patience.leaseMs)],
    );
    await setState(client, saved.id, 'sending');
    return { kind: 'ready', messageId };
  }

  async #outgoing(messageId: string): Promise<Outgoing | undefined> {
    const [row] = await this.#database.query<Row>(`${outgoingQuery} where o.message_id = $1`, [messageId]);
    return row === undefined ? undefined : outgoingOf(row);
  }

  /** The next message whose time has come, ours alone for a while. */
  async take(now: Date): Promise<Outgoing | undefined> {
    return await this.#database.repeat(async client => {
      const { rows } = await client.query<{ id: string }>(
        `update outgoing set next_at = $2 where message_id =
           (select message_id from outgoing where next_at <= $1 order by next_at limit 1 for update skip locked)
         returning message_id as id`,
        [now, new Date(now.getTime() + this.#patience.leaseMs)],
      );
      if (rows[0] === undefined) return undefined;
      const found = await client.query<Row>(`${outgoingQuery} where o.message_id = $1`, [rows[0].id]);
      return outgoingOf(found.rows[0]!);
    });
  }

  /** Milliseconds until the next message's time has come; undefined when none waits. */
  async untilNext(now: Date): Promise<number | undefined> {
    const [row] = await this.#database.query<{ at: Date | null }>('select min(next_at) as at from outgoing');
    return row?.at == null ? undefined : Math.max(0, row.at.getTime() - now.getTime());
  }

  /**
   * One dialogue with the SMTP server, and what follows from its answer.
   * @param transaction whose dialogue it is; absent: nobody's, when no request waits for it
   */
  async handOver(outgoing: Outgoing, transaction?: Transaction): Promise<void> {
    const answer = await this.#submission.submit(outgoing.envelope, outgoing.raw, transaction);
    const settled = await this.#database.repeat(
      client => this.#settle(client, outgoing, answer),
      transaction?.id,
    );
    if (transaction !== undefined) this.#submission.breakpoints.pass('before-response');
    if (!settled) this.onWaiting();
  }

  /** False: there is no certain answer yet. */
  async #settle(client: Client, outgoing: Outgoing, answer: Answer): Promise<boolean> {
    const { messageId, draftId, attempts, envelope } = outgoing;
    const { rows } = await client.query<{ inDoubt: boolean }>(
      'select in_doubt as "inDoubt" from outgoing where message_id = $1 for update',
      [messageId],
    );
    // Somebody else had the answer first.
    if (rows[0] === undefined) return true;
    const { inDoubt } = rows[0];
    if (answer.kind === 'accepted') {
      await confirm(client, messageId, draftId, answer.rejected);
      return true;
    }
    // Once an answer was lost, only a certain one counts: "later" says nothing about the first attempt.
    const isRefused = answer.kind === 'refused' && (answer.permanent || !inDoubt);
    // It may have been accepted before, with an answer that nobody heard or lived to note. One who looks and then acts can be
    // overtaken by a delivery that is being made: first it is made sure that there will be none.
    const delivered =
      isRefused || (await deliveredTo(client, messageId)).size > 0
        ? await withhold(client, messageId, envelope.recipients)
        : new Set();
    if (delivered.size > 0) {
      const rest = envelope.recipients.filter(each => !delivered.has(each));
      const rejected = rest.map(address => ({ address, reason: 'The mail server did not take it.' }));
      await confirm(client, messageId, draftId, rejected);
      return true;
    }
    if (isRefused) {
      const doubt = inDoubt ? ' (An earlier attempt had no answer: it may have arrived all the same.)' : '';
      await takeBack(client, messageId, draftId, `${answer.reason}${doubt}`);
      return true;
    }
    const { pausesMs } = this.#patience;
    const pause = pausesMs[Math.min(attempts, pausesMs.length - 1)]!;
    await client.query(
      `update outgoing set attempts = attempts + 1, next_at = $2, in_doubt = true where message_id = $1`,
      [messageId, new Date(Date.now() + pause)],
    );
    return false;
  }

  /** What has become of it by now. */
  async #outcome(account: Account, messageId: string, key: string): Promise<SendOutcome> {
    const [message] = await this.#database.query<{ state: 'here' | 'sending'; problem: string }>(
      'select state, problem from messages where account_id = $1 and id = $2',
      [account.id, messageId],
    );
    if (message?.state === 'sending') return { kind: 'sending', messageId };
    if (message !== undefined) return { kind: 'sent', messageId, partly: message.problem !== '' };
    const [draft] = await this.#database.query<{ state: DraftState; problem: string }>(
      'select state, problem from drafts where account_id = $1 and key = $2',
      [account.id, key],
    );
    if (draft?.state === 'open') return { kind: 'refused', reason: draft.problem };
    return { kind: 'closed', state: draft?.state ?? 'discarded' };
  }
}

interface Row {
  readonly messageId: string;
  readonly draftId: string;
  readonly sender: string;
  readonly recipients: string[];
  readonly inDoubt: boolean;
  readonly attempts: number;
  readonly raw: Buffer;
}

const outgoingQuery = `select o.message_id as "messageId", o.draft_id as "draftId", o.sender, o.recipients,
    o.in_doubt as "inDoubt", o.attempts, c.raw
  from outgoing o join messages m on m.id = o.message_id join contents c on c.id = m.content_id`;

function outgoingOf({ sender, recipients, ...rest }: Row): Outgoing {
  return { ...rest, envelope: { sender, recipients } };
}

async function confirm(
  client: Client,
  messageId: string,
  draftId: string,
  rejected: readonly Rejection[],
): Promise<void> {
  const problem = rejected.map(({ address, reason }) => `Not delivered to ${address}: ${reason}`).join('\n');
  await client.query('delete from outgoing where message_id = $1', [messageId]);
  await client.query(`update messages set state = 'here', problem = $2 where id = $1`, [messageId, problem]);
  await bury(client, draftId, 'sent');
}

/** Nothing was delivered: the copy goes, the draft is as it was, and says why. */
async function takeBack(client: Client, messageId: string, draftId: string, reason: string): Promise<void> {
  const { rows } = await client.query<{ content_id: string }>(
    'delete from messages where id = $1 returning content_id',
    [messageId],
  );
  await dropContents(
    client,
    rows.map(row => row.content_id),
  );
  await setState(client, draftId, 'open', reason);
}
