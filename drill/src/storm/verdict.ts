/** From what authors were told and what the mailboxes hold to a verdict: sent = delivered = in Sent, once each, word for word. */
import type { BrokenSend } from './crowd.ts';
import type { Copy, Mailboxes } from './ledger.ts';
import { digestOf, type Letter } from './letter.ts';
import type { Gust, Reached } from './weather.ts';

export interface Letters {
  /** Letters whose form was posted. */
  readonly begun: number;
  /** Of these: their authors were told that they are sent, or on their way. */
  readonly confirmed: number;
  /** Confirmed, and not in the inbox of each recipient. */
  readonly lost: readonly number[];
  /** More than once in an inbox, or in Sent. */
  readonly twice: readonly number[];
  /** In a folder of somebody to whom it was not written, or by whom. */
  readonly astray: readonly number[];
  /** Some copy has other people, words or files than were posted. */
  readonly altered: readonly number[];
  /** Confirmed and delivered, but not in Sent. */
  readonly unkept: readonly number[];
  /** Delivered although the author was told nothing, or that it failed. */
  readonly unconfirmed: readonly number[];
}

export interface StormFacts {
  /** Those whose form was posted. */
  readonly begun: readonly Letter[];
  readonly brokenSends: readonly BrokenSend[];
  readonly brokenPages: readonly string[];
  readonly mailboxes: Mailboxes;
  readonly people: number;
  /** People who are logged in in the end. */
  readonly sessions: number;
  readonly logOuts: number;
  readonly gusts: readonly Gust[];
  readonly points: Readonly<Record<string, Reached>>;
}

/** What became of one letter. */
interface Fate {
  readonly number: number;
  readonly isConfirmed: boolean;
  /** How many recipients have it. */
  readonly arrived: number;
  readonly hasAll: boolean;
  readonly isKept: boolean;
  readonly isTwice: boolean;
  readonly isAstray: boolean;
  readonly isAltered: boolean;
}

function fateOf(letter: Letter, copies: readonly Copy[], isConfirmed: boolean): Fate {
  const expected = digestOf(letter);
  const wanted = [
    ...[...letter.to, ...letter.cc].map(owner => `inbox ${owner}`),
    `sent ${letter.author}`,
  ] as const;
  const counts = new Map<string, number>();
  for (const { folder, owner } of copies) {
    const place = `${folder} ${owner}`;
    counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  const inboxes = wanted.slice(0, -1);
  const arrived = inboxes.filter(place => counts.has(place)).length;
  return {
    number: letter.number,
    isConfirmed,
    arrived,
    hasAll: arrived === inboxes.length,
    isKept: counts.has(wanted.at(-1)!),
    isTwice: [...counts.values()].some(count => count > 1),
    isAstray: [...counts.keys()].some(place => !wanted.includes(place)),
    isAltered: copies.some(({ digest }) => digest !== expected),
  };
}

export function lettersOf({ begun, brokenSends, mailboxes }: StormFacts): Letters {
  const broken = new Set(brokenSends.map(({ number }) => number));
  const copies = Map.groupBy(mailboxes.copies, ({ number }) => number);
  const fates = begun.map(letter =>
    fateOf(letter, copies.get(letter.number) ?? [], !broken.has(letter.number)),
  );
  const numbers = (of: (fate: Fate) => boolean): number[] => fates.filter(of).map(({ number }) => number);
  return {
    begun: begun.length,
    confirmed: fates.filter(({ isConfirmed }) => isConfirmed).length,
    lost: numbers(({ isConfirmed, hasAll }) => isConfirmed && !hasAll),
    twice: numbers(({ isTwice }) => isTwice),
    astray: numbers(({ isAstray }) => isAstray),
    altered: numbers(({ isAltered }) => isAltered),
    unkept: numbers(({ isConfirmed, hasAll, isKept }) => isConfirmed && hasAll && !isKept),
    unconfirmed: numbers(({ isConfirmed, arrived }) => !isConfirmed && arrived > 0),
  };
}

/** Points at which no letter was stopped. */
export function unreached(points: StormFacts['points']): string[] {
  return Object.entries(points).flatMap(([point, { reached }]) => (reached === 0 ? [point] : []));
}

/** `inconclusive`: all was well, but nothing was struck while a letter was under way, or never at one of the points. */
export function verdictOf(facts: StormFacts): 'pass' | 'fail' | 'inconclusive' {
  const { lost, twice, astray, altered, unkept } = lettersOf(facts);
  const { brokenSends, brokenPages, logOuts, people, sessions, mailboxes, gusts, points } = facts;
  const wrong =
    [lost, twice, astray, altered, unkept, brokenSends, brokenPages].some(each => each.length > 0) ||
    logOuts > 0 ||
    sessions < people ||
    mailboxes.pending > 0;
  if (wrong) return 'fail';
  const met = gusts.some(({ underWay }) => underWay > 0) && unreached(points).length === 0;
  return met ? 'pass' : 'inconclusive';
}
