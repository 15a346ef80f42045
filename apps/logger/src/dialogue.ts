import type { Backend } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { Journals } from './kits.ts';
import type { LoggerTally } from './tally.ts';
import type { Timeline } from './timeline.ts';
import type { Transaction } from './transaction.ts';

export interface DialogueDeps {
  kits: Journals;
  tally: LoggerTally;
  timeline: Timeline;
}

/**
 * What a successor has to be asked about before it is given a connection: the transactions whose application keeps a journal, as far as
 * nothing in front of them ends the delivery anyway.
 */
export function subjectsOf({ transactions }: Conversation): Transaction[] {
  const end = transactions.findIndex((each, index) => index > 0 && !each.isRepeatable && !each.isJournaled);
  return transactions.slice(0, end < 0 ? undefined : end).filter(each => each.isJournaled);
}

/**
 * Tells a back end's kit of the transactions that it is to go on with, and notes what it says of each (P12.1, P12.3).
 *
 * @param from name of the back end that had them
 */
export async function ask(
  { kits, tally, timeline }: DialogueDeps,
  conversation: Conversation,
  backend: Backend,
  from: string,
): Promise<void> {
  for (const each of conversation.transactions) each.recovered = undefined;
  await Promise.all(
    subjectsOf(conversation).map(async transaction => {
      transaction.attempts++;
      tally.recoveriesAsked++;
      const asked = transaction.attempts;
      const answer = await kits.recover(backend, conversation, transaction, from);
      // Another one has been asked meanwhile.
      if (asked !== transaction.attempts) return;
      transaction.recovered = answer;
      const name = `transaction ${kits.idOf(conversation, transaction)}`;
      if (!answer) {
        tally.recoveriesUnanswered++;
        timeline.note(conversation, `${name}: the kit of ${backend.name} does not answer`);
        return;
      }
      const { stored, lastStored, lastApplied, runs } = answer;
      if (stored !== 'none') tally.journalsFound++;
      const found = stored === 'none' ? (runs ? 'nothing, runs it' : 'nothing, does not run it') : stored;
      const last = `last stored ${lastStored ?? 'none'}, applied ${lastApplied ?? 'none'}`;
      timeline.note(conversation, `${name}: ${backend.name} has ${found} (${last})`);
    }),
  );
}
