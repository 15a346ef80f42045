/** From what authors were told and what the mailboxes hold to a verdict: sent = delivered = in Sent, once each. */
import type { BrokenSend } from './crowd.ts';
import type { Mailboxes } from './ledger.ts';
import type { Gust } from './weather.ts';

export interface Letters {
  /** Letters whose form was posted. */
  readonly begun: number;
  /** Of these: their authors were told that they are sent, or on their way. */
  readonly confirmed: number;
  /** Confirmed, and in nobody's inbox. */
  readonly lost: readonly number[];
  /** More than once in an inbox, or in Sent. */
  readonly twice: readonly number[];
  /** Confirmed and delivered, but not in Sent. */
  readonly unkept: readonly number[];
  /** Delivered although the author was told nothing, or that it failed. */
  readonly unconfirmed: readonly number[];
}

export interface StormFacts {
  readonly sends: number;
  readonly begun: number;
  readonly brokenSends: readonly BrokenSend[];
  readonly brokenPages: readonly string[];
  readonly mailboxes: Mailboxes;
  readonly people: number;
  /** People who are logged in in the end. */
  readonly sessions: number;
  readonly logOuts: number;
  readonly gusts: readonly Gust[];
}

export function lettersOf({ sends, begun, brokenSends, mailboxes }: StormFacts): Letters {
  const { delivered, kept } = mailboxes;
  const broken = new Set(brokenSends.map(({ number }) => number));
  const numbers = Array.from({ length: sends }, (_, i) => i + 1);
  const confirmed = numbers.filter(each => !broken.has(each));
  const times = (of: ReadonlyMap<number, number>, number: number): number => of.get(number) ?? 0;
  return {
    begun,
    confirmed: confirmed.length,
    lost: confirmed.filter(each => times(delivered, each) === 0),
    twice: numbers.filter(each => times(delivered, each) > 1 || times(kept, each) > 1),
    unkept: confirmed.filter(each => times(delivered, each) > 0 && times(kept, each) === 0),
    unconfirmed: numbers.filter(each => broken.has(each) && times(delivered, each) > 0),
  };
}

/** `inconclusive`: all was well, but nothing was struck while a letter was under way. */
export function verdictOf(facts: StormFacts): 'pass' | 'fail' | 'inconclusive' {
  const { lost, twice, unkept } = lettersOf(facts);
  const { brokenSends, brokenPages, logOuts, people, sessions, mailboxes, gusts } = facts;
  const wrong =
    [lost, twice, unkept, brokenSends, brokenPages].some(each => each.length > 0) ||
    logOuts > 0 ||
    sessions < people ||
    mailboxes.pending > 0;
  if (wrong) return 'fail';
  return gusts.some(({ underWay }) => underWay > 0) ? 'pass' : 'inconclusive';
}
