/** What kits and loggers must agree on: a transaction's ID, and a back end's alternate. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import {
  alternateOf,
  connectionName,
  type KitConnection,
  kitConnection,
  kitKeyOf,
  randomTransactionId,
  transactionId,
} from '../src/index.ts';

const tierKey = Uint8Array.from({ length: 32 }, (_, i) => i);
const kitKey = kitKeyOf(tierKey);
const connection: KitConnection = {
  client: '203.0.113.7',
  clientPort: 40_000,
  vip: '198.51.100.10',
  vipPort: 80,
  originalIsn: 0x01020304,
  p0: 0xfffefdfc,
};

suite('a transaction’s ID', () => {
  test('is the MAC of the packed connection and the number', () => {
    const packed = 'cb007107' + '9c40' + 'c633640a' + '0050' + '01020304' + 'fffefdfc' + '00000005';
    const mac = createHmac('sha256', kitKey)
      .update('transaction')
      .update(Buffer.from(packed, 'hex'))
      .digest();
    assert.equal(transactionId(kitKey, connection, 5), mac.subarray(0, 18).toString('base64url'));
  });

  test('differs with every part of it, and has 24 harmless characters', () => {
    const others: KitConnection[] = [
      { ...connection, client: '203.0.113.8' },
      { ...connection, clientPort: 40_001 },
      { ...connection, vip: '198.51.100.11' },
      { ...connection, vipPort: 81 },
      { ...connection, originalIsn: 5 },
      { ...connection, p0: 5 },
    ];
    const ids = [
      transactionId(kitKey, connection, 0),
      transactionId(kitKey, connection, 1),
      transactionId(kitKeyOf(tierKey.toReversed()), connection, 0),
      ...others.map(other => transactionId(kitKey, other, 0)),
      randomTransactionId(),
      randomTransactionId(),
    ];
    assert.equal(new Set(ids).size, ids.length);
    for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{24}$/);
    assert.equal(new Set([connection, ...others].map(connectionName)).size, 7);
  });

  test('is not made from what is no connection', () => {
    for (const wrong of [{ client: '::1' }, { clientPort: 65_536 }, { p0: -1 }, { originalIsn: 1.5 }]) {
      assert.equal(
        kitConnection.safeParse({ ...connection, ...wrong }).success,
        false,
        JSON.stringify(wrong),
      );
    }
  });
});

suite('the alternate', () => {
  const order = ['a', 'b', 'c'];
  const of = (self: string, up: string) => alternateOf(order, self, each => up.includes(each));

  test('is the next one that is up, after the last the first', () => {
    assert.deepEqual(
      ['a', 'b', 'c'].map(self => of(self, 'abc')),
      ['b', 'c', 'a'],
    );
    assert.equal(of('a', 'ac'), 'c');
    assert.equal(of('c', 'bc'), 'b');
    assert.equal(of('b', 'b'), undefined, 'never itself');
  });

  test('is nobody’s twice while all are up', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(), { minLength: 2, maxLength: 9 }), members => {
        const alternates = members.map(self => alternateOf(members, self, () => true));
        assert.deepEqual(new Set(alternates), new Set(members));
      }),
    );
  });
});
