// Everything that is said on a channel, checked where it arrives.

import { z } from 'zod';
import { kitConnection } from './transaction-id.ts';

const transaction = z.string().regex(/^[A-Za-z0-9_-]{24}$/);
const number = z.int().min(0).max(65_535);
/** How often the transaction had been taken over when it was run; 0: never. */
const attempt = z.int().min(0).max(65_535);
const name = z.string().min(1).max(128);

/** A session as somebody changed it. */
export const sessionChange = z.object({
  id: z.string().min(1).max(512),
  version: z.int().min(1),
  /** Back end that made this version; decides between two with one number. */
  origin: name,
  /** When it may be forgotten, epoch milliseconds. */
  until: z.number(),
  /** JSON; null: it was destroyed, and nothing brings it back. */
  data: z.string().nullable(),
});

/** A transaction's record at the alternate (P9.2). A response's body is the frame's. */
export const journalRecord = z.object({
  transaction,
  connection: kitConnection,
  number,
  attempt,
  /** Back end that ran it. */
  origin: name,
  strategy: z.enum(['response', 'state']),
  response: z
    .object({
      status: z.int().min(100).max(999),
      reason: z.string(),
      /** Names and values in turn, as they are written. */
      headers: z.array(z.string()),
      trailers: z.array(z.string()),
    })
    .optional(),
  state: z
    .object({
      /** The transaction's instant, epoch milliseconds. */
      now: z.number(),
      keepAlive: z.boolean(),
      inputs: z.record(z.string(), z.unknown()),
    })
    .optional(),
  sessions: z.array(sessionChange),
});

/** What is asked. `sessions`, `journal` → `stored` or `refused`; `resync` → parts; `commit` is not answered. */
export const request = z.discriminatedUnion('type', [
  z.object({ type: z.literal('journal'), record: journalRecord }),
  z.object({ type: z.literal('sessions'), changes: z.array(sessionChange) }),
  z.object({ type: z.literal('resync') }),
  z.object({ type: z.literal('lookup'), transaction, attempt }),
  z.object({
    type: z.literal('recover'),
    connection: kitConnection,
    transaction,
    number,
    attempt: attempt.min(1),
    /** Back end that had it. */
    from: name,
  }),
  z.object({ type: z.literal('commit'), transactions: z.array(transaction).max(100_000) }),
  z.object({ type: z.literal('status') }),
]);

/** To `recover` (P12.3). Numbers are of this connection's transactions; null: none is known. */
export const recoverAnswer = z.object({
  type: z.literal('recovered'),
  stored: z.enum(['none', 'response', 'state']),
  lastStored: number.nullable(),
  /** Up to here session changes have been applied. */
  lastApplied: number.nullable(),
  /** Whether this kit can run the transaction. */
  runs: z.boolean(),
});

/** What is answered. */
export const answer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('stored') }),
  /** A later attempt of the transaction is known: whoever asks must not answer his client. */
  z.object({ type: z.literal('refused') }),
  z.object({ type: z.literal('found'), record: journalRecord }),
  z.object({ type: z.literal('none') }),
  /** One of several answers to `resync`. */
  z.object({ type: z.literal('part'), sessions: z.array(sessionChange), record: journalRecord.optional() }),
  z.object({ type: z.literal('synced') }),
  recoverAnswer,
  z.object({ type: z.literal('status'), status: z.record(z.string(), z.unknown()) }),
]);

export type SessionChange = z.output<typeof sessionChange>;
export type JournalRecord = z.output<typeof journalRecord>;
export type Request = z.output<typeof request>;
export type RecoverAnswer = z.output<typeof recoverAnswer>;
export type Fields = z.output<typeof answer>;
/** An answer with its frame's body. */
export type Answer = Fields & { readonly body: Buffer };
