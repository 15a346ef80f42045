import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Broken, composeFormOf } from '../src/storm/person.ts';
import { lettersOf, type StormFacts, verdictOf } from '../src/storm/verdict.ts';

const gust = { kind: 'crash', target: 'backend-1', point: null, at: 1, healthyAt: 2, underWay: 3 } as const;
const once = new Map([1, 2, 3].map(number => [number, 1] as const));
const well: StormFacts = {
  sends: 3,
  begun: 3,
  brokenSends: [],
  brokenPages: [],
  mailboxes: { delivered: once, kept: once, pending: 0 },
  people: 2,
  sessions: 2,
  logOuts: 0,
  gusts: [gust],
};

suite('the verdict of a storm', () => {
  test('is pass when every letter is where it belongs, once', () => {
    assert.equal(verdictOf(well), 'pass');
    assert.deepEqual(lettersOf(well), {
      begun: 3,
      confirmed: 3,
      lost: [],
      twice: [],
      unkept: [],
      unconfirmed: [],
    });
  });

  test('is inconclusive when nothing was struck while a letter was under way', () => {
    assert.equal(verdictOf({ ...well, gusts: [] }), 'inconclusive');
    assert.equal(verdictOf({ ...well, gusts: [{ ...gust, underWay: 0 }] }), 'inconclusive');
  });

  const without = new Map([1, 3].map(number => [number, 1] as const));
  const double = new Map([...once, [2, 2] as const]);
  const broken = [{ number: 2, outcome: 'broken', why: 'ECONNRESET' }] as const;
  for (const [what, facts, letters] of [
    ['lost', { mailboxes: { ...well.mailboxes, delivered: without } }, { lost: [2] }],
    ['delivered twice', { mailboxes: { ...well.mailboxes, delivered: double } }, { twice: [2] }],
    ['twice in Sent', { mailboxes: { ...well.mailboxes, kept: double } }, { twice: [2] }],
    ['not in Sent', { mailboxes: { ...well.mailboxes, kept: without } }, { unkept: [2] }],
    ['delivered, but its author was not told', { brokenSends: broken }, { unconfirmed: [2], confirmed: 2 }],
    [
      'neither confirmed nor delivered',
      { brokenSends: broken, mailboxes: { ...well.mailboxes, delivered: without, kept: without } },
      { lost: [], unconfirmed: [], confirmed: 2 },
    ],
  ] as const) {
    test(`is fail when a letter is ${what}`, () => {
      const found = { ...well, ...facts };
      assert.equal(verdictOf(found), 'fail');
      const told = lettersOf(found);
      for (const [name, value] of Object.entries(letters)) {
        assert.deepEqual(told[name as keyof typeof told], value, name);
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

test('a form is taken from its page as a browser would', () => {
  const page = `<form class="search"><input name="q" value="x"></form>
<form class="compose" id="compose" method="post" action="/draft/1-2">
  <input type="hidden" name="csrf" value="a&amp;b">
  <div><input id="subject" name="subject" value="&quot;Hi&quot;" maxlength="20"></div>
</form>`;
  assert.deepEqual(composeFormOf(page), { action: '/draft/1-2', fields: { csrf: 'a&b', subject: '"Hi"' } });
  assert.throws(() => composeFormOf('<p>Not found</p>'), Broken);
});
