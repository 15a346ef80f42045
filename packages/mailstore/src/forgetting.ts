// What makes things happen once is kept as long as anybody can ask for them again, and not for ever.

import type { Database } from './database.ts';

/** A request is run again while its client waits for the answer; its connection is gone long before that. Hours. */
const EFFECTS_HOURS = 24;
/** Servers give a message up after four to five days (RFC 5321 4.5.4.1); some are patient. Hours. */
const DELIVERIES_HOURS = 30 * 24;
/** Rows that are locked together at most. */
const BATCH = 1000;

const effects = `delete from effects where (transaction_id, step) in (
  select transaction_id, step from effects where at < now() - make_interval(hours => $1)
    order by at limit ${BATCH} for update skip locked)`;

// The outbox hands a message over until the answer is certain, however long that takes.
const deliveries = `delete from deliveries where (submitter, message_id, recipient) in (
  select d.submitter, d.message_id, d.recipient from deliveries d where d.at < now() - make_interval(hours => $1)
    and not exists (select from outgoing o join messages m on m.id = o.message_id
      where m.account_id = d.submitter and m.message_id = d.message_id)
    order by d.at limit ${BATCH} for update skip locked)`;

/**
 * Forgets effects and deliveries that nobody can ask for any more. Several programs may do it at once.
 * @returns how many
 * @throws DatabaseAwayError
 */
export async function forgetOld(database: Database): Promise<{ effects: number; deliveries: number }> {
  const all = async (text: string, hours: number): Promise<number> => {
    for (let sum = 0; ; ) {
      const { rowCount } = await database.repeat(client => client.query(text, [hours]));
      sum += rowCount ?? 0;
      if ((rowCount ?? 0) < BATCH) return sum;
    }
  };
  return { effects: await all(effects, EFFECTS_HOURS), deliveries: await all(deliveries, DELIVERIES_HOURS) };
}
