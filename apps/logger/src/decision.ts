import type { Conversation } from './conversation.ts';
import { type Answer, failure } from './refusal.ts';
import type { Transaction } from './transaction.ts';

/** So many back ends may end a connection at the same byte of the same response; then nobody else is given that request. */
const MOST_FAILURES = 8;

/** What the client of a connection that has lost its back end needs next (P7.2). */
export type Decision =
  /** Another back end. */
  | { kind: 'bind' }
  /** Nobody: its next request finds somebody. */
  | { kind: 'rest' }
  /** An end: it has closed, or nobody reads what it sends, and it has everything. */
  | { kind: 'finish' }
  /** A judgement that is not there yet. */
  | { kind: 'wait' }
  /** What it has not acknowledged of a response that was heard as a whole. */
  | { kind: 'retransmit'; transaction: Transaction }
  /** An answer in the back end's place. */
  | { kind: 'refuse'; transaction: Transaction; answer: Answer }
  /** Only its former back end could go on with it. */
  | { kind: 'giveUp'; why: string }
  /** There is no honest way on. */
  | { kind: 'reset'; why: string };

/**
 * Decides from what is known; changes nothing.
 *
 * @param heard offset behind the last byte that the client may have heard: T
 * @param mayRest whether an idle connection needs no back end before its next request
 * @param hopeless transaction that no kit goes on with: as if its application kept no journal
 */
export function decide(
  conversation: Conversation,
  heard: number,
  mayRest: boolean,
  hopeless?: Transaction,
): Decision {
  const { transactions, requests, guard, clientEnd, closes } = conversation;
  const [transaction] = transactions;
  if (transaction) {
    const hasJournal = transaction.isJournaled && transaction !== hopeless;
    return decideFor(conversation, transaction, heard, hasJournal);
  }
  if (!requests.isKeeping) return { kind: 'reset', why: 'a request that is not kept' };
  if (requests.size > 0 && !guard) return { kind: 'bind' };
  if (clientEnd !== undefined || closes) return { kind: 'finish' };
  return { kind: mayRest || guard ? 'rest' : 'bind' };
}

/** @param transaction the oldest unfinished one */
function decideFor(
  conversation: Conversation,
  transaction: Transaction,
  heard: number,
  hasJournal: boolean,
): Decision {
  const { requestEnd, responseEnd, isRepeatable, treatment, record } = transaction;
  const verdict = transaction.delivered ? undefined : transaction.verdict;
  const isUnanswered = transaction.isUnanswered(heard);
  if (responseEnd !== undefined && heard >= responseEnd && record.isWhole) {
    // An answer to a request that nobody reads to its end.
    if (requestEnd === undefined && conversation.acknowledged >= responseEnd) return { kind: 'finish' };
    // All of it has been heard but for what was lost on the way.
    return { kind: 'retransmit', transaction };
  }
  if (verdict === 'pending') return { kind: 'wait' };
  if (verdict?.kind === 'refused') return { kind: 'refuse', transaction, answer: verdict };
  // Nobody would take the rest of the request; or nobody could go on with the response.
  if (transaction.isLost && (requestEnd === undefined || !isUnanswered))
    return { kind: 'reset', why: 'a request that is not kept' };
  const isTolerable = conversation.failures <= MOST_FAILURES;
  if (hasJournal && isTolerable) return { kind: 'bind' };
  if (isRepeatable && isTolerable) {
    if (treatment.deterministic === 'no' && !isUnanswered)
      return { kind: 'giveUp', why: 'a response that no other back end would give' };
    return { kind: 'bind' };
  }
  if (isUnanswered) return { kind: 'refuse', transaction, answer: failure(502) };
  const why = isRepeatable ? 'a response that nobody completes' : 'an update that was cut in its response';
  return { kind: 'giveUp', why };
}
