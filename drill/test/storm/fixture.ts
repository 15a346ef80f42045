import type { Copy } from '../../src/storm/ledger.ts';
import { digestOf, type Letter, letterOf } from '../../src/storm/letter.ts';
import type { StormFacts } from '../../src/storm/verdict.ts';

export const people = ['ann', 'bob', 'cy'].map(name => ({ address: `${name}@resplice.example` }));
export const post = { people, mark: 'storm', seed: 7 };
export const letters = [1, 2, 3].map(number => letterOf(number, people[number % 3]!.address, post));

/** What there is of a letter when all is well: one in each inbox, and the author's own. */
export function copiesOf(letter: Letter): Copy[] {
  const { number, author, to, cc } = letter;
  const digest = digestOf(letter);
  return [
    ...[...to, ...cc].map(owner => ({ number, folder: 'inbox' as const, owner, digest })),
    { number, folder: 'sent', owner: author, digest },
  ];
}

export const gust = {
  kind: 'crash',
  target: 'backend-1',
  point: null,
  at: 1,
  healthyAt: 2,
  underWay: 3,
} as const;

export const well: StormFacts = {
  begun: letters,
  brokenSends: [],
  brokenPages: [],
  mailboxes: { copies: letters.flatMap(copiesOf), pending: 0 },
  people: 2,
  sessions: 2,
  logOuts: 0,
  gusts: [gust],
  points: { 'before-mail': { aimed: 2, reached: 1 }, 'inside-data': { aimed: 1, reached: 1 } },
};
