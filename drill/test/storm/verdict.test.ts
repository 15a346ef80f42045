import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Copy } from '../../src/storm/ledger.ts';
import { lettersOf, type StormFacts, unreached, verdictOf } from '../../src/storm/verdict.ts';
import { gust, letters, well } from './fixture.ts';

const [, second] = letters;
const isInbox = ({ number, folder }: Copy): boolean => number === 2 && folder === 'inbox';
const isSent = ({ number, folder }: Copy): boolean => number === 2 && folder === 'sent';
const { copies } = well.mailboxes;
const inbox = copies.find(isInbox)!;
const stranger = { ...inbox, owner: 'nobody@resplice.example' };

/** All that is in the mailboxes but, of the second letter, this. */
function boxes(change: (copies: readonly Copy[]) => Copy[]): Pick<StormFacts, 'mailboxes'> {
  return { mailboxes: { copies: change(copies), pending: 0 } };
}

suite('the verdict of a storm', () => {
  test('is pass when every letter is where it belongs, once, word for word', () => {
    assert.equal(verdictOf(well), 'pass');
    assert.deepEqual(lettersOf(well), {
      ...{ begun: 3, confirmed: 3 },
      ...{ lost: [], twice: [], astray: [], altered: [], unkept: [], unconfirmed: [] },
    });
  });

  test('is inconclusive when nothing was struck while a letter was under way', () => {
    assert.equal(verdictOf({ ...well, gusts: [] }), 'inconclusive');
    assert.equal(verdictOf({ ...well, gusts: [{ ...gust, underWay: 0 }] }), 'inconclusive');
  });

  test('is inconclusive when no letter was stopped at one of the points', () => {
    const points = { ...well.points, 'after-dot': { aimed: 3, reached: 0 } };
    assert.deepEqual(unreached(points), ['after-dot']);
    assert.equal(verdictOf({ ...well, points }), 'inconclusive');
    assert.equal(verdictOf({ ...well, points, logOuts: 1 }), 'fail');
  });

  const broken = [{ number: 2, outcome: 'broken', why: 'ECONNRESET' }] as const;
  for (const [what, facts, told] of [
    ['lost', boxes(all => all.filter(each => !isInbox(each))), { lost: [2] }],
    [
      'lost to one of its recipients',
      { begun: [{ ...second!, cc: [...second!.cc, 'dan@resplice.example'] }], mailboxes: well.mailboxes },
      { lost: [2] },
    ],
    ['delivered twice', boxes(all => [...all, inbox]), { twice: [2] }],
    ['twice in Sent', boxes(all => [...all, ...all.filter(isSent)]), { twice: [2] }],
    ['not in Sent', boxes(all => all.filter(each => !isSent(each))), { unkept: [2] }],
    ['in a stranger’s inbox', boxes(all => [...all, stranger]), { astray: [2], lost: [] }],
    [
      'in Sent with other words than were posted',
      boxes(all => all.map(each => (isSent(each) ? { ...each, digest: 'other' } : each))),
      { altered: [2], unkept: [] },
    ],
    ['delivered, but its author was not told', { brokenSends: broken }, { unconfirmed: [2], confirmed: 2 }],
    [
      'neither confirmed nor delivered',
      { brokenSends: broken, ...boxes(all => all.filter(({ number }) => number !== 2)) },
      { lost: [], unconfirmed: [], confirmed: 2 },
    ],
  ] as const) {
    test(`is fail when a letter is ${what}`, () => {
      const found: StormFacts = { ...well, ...facts };
      assert.equal(verdictOf(found), 'fail');
      const counted = lettersOf(found);
      for (const [name, value] of Object.entries(told)) {
        assert.deepEqual(counted[name as keyof typeof counted], value, name);
      }
    });
  }

  for (const [what, facts] of [
    ['a page was broken', { brokenPages: ['/mail/inbox came without its end'] }],
    ['somebody is logged out', { sessions: 1 }],
    ['somebody was logged out meanwhile', { logOuts: 1 }],
    ['something is still on its way', { mailboxes: { ...well.mailboxes, pending: 1 } }],
  ] as const) {
    test(`is fail when ${what}`, () => assert.equal(verdictOf({ ...well, ...facts }), 'fail'));
  }
});
