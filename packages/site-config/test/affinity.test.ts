import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { affinityKey, namedBackend, rendezvous } from '../src/affinity.ts';

const key = fc.string({ minLength: 1, maxLength: 40 });
const ids = fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 20 });

test("the key is the cookie's value, from text or bytes", () => {
  assert.equal(affinityKey('a=1; session=x=y ; b', 'session'), 'x=y');
  assert.equal(affinityKey(Buffer.from('session=caf\u00e9', 'latin1'), 'session'), 'caf\u00e9');
  for (const header of [undefined, '', 'session', 'session=', 'xsession=1', 'Session=1'])
    assert.equal(affinityKey(header, 'session'), undefined);
});

test('the choice does not depend on the order of the list', () => {
  fc.assert(
    fc.property(key, ids, (text, list) => {
      const chosen = rendezvous(text, list);
      assert.ok(list.includes(chosen!));
      assert.equal(rendezvous(text, list.toReversed()), chosen);
    }),
  );
  assert.equal(rendezvous('x', []), undefined);
});

test('when a back end goes only its keys move, when one comes keys move only to it', () => {
  fc.assert(
    fc.property(key, ids, fc.nat(), (text, list, at) => {
      const gone = list[at % list.length]!;
      const before = rendezvous(text, list);
      const after = rendezvous(
        text,
        list.filter(id => id !== gone),
      );
      if (before !== gone) assert.equal(after, before);
    }),
  );
});

test('keys spread evenly, and those of a lost back end over all others', () => {
  const count = 40_000;
  const list = [1, 2, 3, 4, 5];
  const share = new Map<number, number>();
  const inherited = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const chosen = rendezvous(`session-${i}`, list)!;
    share.set(chosen, (share.get(chosen) ?? 0) + 1);
    if (chosen !== 3) continue;
    const heir = rendezvous(`session-${i}`, [1, 2, 4, 5])!;
    inherited.set(heir, (inherited.get(heir) ?? 0) + 1);
  }
  for (const id of list) assert.ok(Math.abs(share.get(id)! / count - 0.2) < 0.01, `${id}: ${share.get(id)}`);
  for (const id of [1, 2, 4, 5])
    assert.ok(Math.abs(inherited.get(id)! / share.get(3)! - 0.25) < 0.02, `${id}: ${inherited.get(id)}`);
});

test('the hash is the same in every version: proxies of an upgrade agree', () => {
  assert.deepEqual(
    ['a', 'b', 'session-1', '5A7F', '\u00ff'].map(text => rendezvous(text, [1, 2, 3, 4, 5, 6, 7, 8])),
    [3, 3, 3, 2, 3],
  );
});

test('a key may name its back end', () => {
  const names = ['backend-1', 'backend-2'];
  assert.equal(namedBackend('backend-2', names), 'backend-2');
  assert.equal(namedBackend('5A7F.x.backend-1', names), 'backend-1');
  for (const text of ['', '5A7F', 'backend-3', 'xbackend-1', 'backend-1.5A7F', 'BACKEND-1'])
    assert.equal(namedBackend(text, names), undefined);
});
