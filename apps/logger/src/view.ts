import { formatIp } from '@resplice/dataplane';
import type { Conversation } from './conversation.ts';
import type { Journals } from './kits.ts';

/** A connection as /status shows it. */
export interface ConversationView {
  /** `address:port` */
  client: string;
  vip: string;
  backend: string | null;
  /** Of the oldest unfinished transaction: its number within the connection, its method, and how far it is. */
  transaction: string | null;
  /** The transaction's ID (P4.6); null where there is none, or nobody knows its number. */
  transactionId: string | null;
  state: 'passing' | 'moving' | 'resting' | 'unprotected';
  /** Why it is unprotected. */
  reason: string | null;
  failovers: number;
  ageMs: number;
}

export function stateOf(
  { unprotected, backend }: Conversation,
  isMoving: boolean,
): ConversationView['state'] {
  if (unprotected !== undefined) return 'unprotected';
  if (isMoving) return 'moving';
  return backend ? 'passing' : 'resting';
}

/** @param names gives transactions their IDs; none have any if absent */
export function viewOf(
  conversation: Conversation,
  isMoving: boolean,
  names?: Pick<Journals, 'idOf'>,
): ConversationView {
  const { id, backend, unprotected, failovers, openedMs } = conversation;
  const [transaction] = conversation.transactions;
  return {
    client: `${formatIp(id.client)}:${id.clientPort}`,
    vip: `${formatIp(id.vip)}:${id.vipPort}`,
    backend: backend?.name ?? null,
    transaction: transaction
      ? `${transaction.number} ${transaction.method} ${transaction.responseEnd !== undefined ? 'tail' : transaction.answered ? 'response' : transaction.requestEnd === undefined ? 'upload' : 'waiting'}`
      : null,
    transactionId: (transaction && names?.idOf(conversation, transaction)) ?? null,
    state: stateOf(conversation, isMoving),
    reason: unprotected ?? null,
    failovers,
    ageMs: Date.now() - openedMs,
  };
}
