import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deriveKey, FRESH_MS, Opener, REPLAY_WINDOW, SEAL_OVERHEAD, Sealer } from '../src/sealed.ts';

const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const otherKey = Uint8Array.from({ length: 32 }, (_, i) => i * 7 + 1);
const payload = Buffer.from('proxy-1 owns this one');

function pair({ purpose = 'control', epoch = 1000, at = 1_800_000_000_000 } = {}) {
  const clock = { at };
  const now = () => clock.at;
  return {
    clock,
    sealer: new Sealer({ key, purpose, sender: 7, epoch, now }),
    opener: new Opener({ key, purpose, now }),
  };
}

test('what was sealed opens, with its sender and epoch', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000 }),
      fc.nat({ max: 0xffff }),
      fc.nat({ max: 0xffffffff }),
      (bytes, sender, epoch) => {
        const datagram = new Sealer({ key, purpose: 'x', sender, epoch }).seal(bytes);
        assert.equal(datagram.length, bytes.length + SEAL_OVERHEAD);
        const opened = new Opener({ key, purpose: 'x' }).open(datagram);
        assert.ok(opened.refused === undefined);
        assert.deepEqual({ ...opened, payload: [...opened.payload] }, { sender, epoch, payload: [...bytes] });
      },
    ),
    { numRuns: 200 },
  );
});

test('a change in any byte is refused, and does not keep the true one from opening', () => {
  const { sealer, opener } = pair();
  const datagram = sealer.seal(payload);
  for (let i = 0; i < datagram.length; i++) {
    for (const flip of [1, 0x80, 0xff]) {
      const changed = Buffer.from(datagram);
      changed[i]! ^= flip;
      assert.equal(opener.open(changed).refused, i < 3 ? 'magic' : 'mac', `byte ${i} ^ ${flip}`);
    }
  }
  assert.equal(opener.open(datagram).refused, undefined);
});

test('a datagram cut short or lengthened is refused', () => {
  const { sealer, opener } = pair();
  const datagram = sealer.seal(payload);
  for (let length = 0; length < datagram.length; length++) {
    assert.equal(opener.open(datagram.subarray(0, length)).refused, length < SEAL_OVERHEAD ? 'short' : 'mac');
  }
  assert.equal(opener.open(Buffer.concat([datagram, Buffer.alloc(1)])).refused, 'mac');
});

test('the same datagram twice is a replay', () => {
  const { sealer, opener } = pair();
  const datagrams = Array.from({ length: 3 }, () => sealer.seal(payload));
  for (const datagram of datagrams) assert.equal(opener.open(datagram).refused, undefined);
  for (const datagram of datagrams) assert.deepEqual(opener.open(datagram), { refused: 'replay' });
});

test('any order within the window opens, each datagram once', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(
        Array.from({ length: 200 }, (_, i) => i),
        { minLength: 1 },
      ),
      order => {
        const { sealer, opener } = pair();
        const datagrams = Array.from({ length: 200 }, () => sealer.seal(payload));
        for (const i of order) assert.equal(opener.open(datagrams[i]!).refused, undefined);
        for (const i of order) assert.equal(opener.open(datagrams[i]!).refused, 'replay');
      },
    ),
    { numRuns: 30 },
  );
});

test('the window is exactly REPLAY_WINDOW numbers wide, and slides', () => {
  const { sealer, opener } = pair();
  const datagrams = Array.from({ length: 3 * REPLAY_WINDOW }, () => sealer.seal(payload));
  assert.equal(opener.open(datagrams[0]!).refused, undefined);
  assert.equal(opener.open(datagrams[REPLAY_WINDOW]!).refused, undefined);
  assert.equal(opener.open(datagrams[0]!).refused, 'replay');
  assert.equal(opener.open(datagrams[1]!).refused, undefined); // the oldest that can still be told apart
  assert.equal(opener.open(datagrams[1]!).refused, 'replay');
  // A jump by more than the window forgets the old marks: 1025 shares its bit with 1, 2049 with both.
  assert.equal(opener.open(datagrams[2 * REPLAY_WINDOW + 1]!).refused, undefined);
  assert.equal(opener.open(datagrams[REPLAY_WINDOW + 2]!).refused, undefined);
  assert.equal(opener.open(datagrams[REPLAY_WINDOW + 1]!).refused, 'replay'); // too old to tell
});

test('old or future datagrams are stale, at the exact limit they are not', () => {
  for (const [age, refused] of [
    [FRESH_MS, undefined],
    [FRESH_MS + 1, 'stale'],
    [-FRESH_MS, undefined],
    [-FRESH_MS - 1, 'stale'],
  ] as const) {
    const { clock, sealer, opener } = pair();
    const datagram = sealer.seal(payload);
    clock.at += age;
    assert.equal(opener.open(datagram).refused, refused, `${age} ms`);
  }
});

test('another key or another purpose is refused', () => {
  const { clock, sealer } = pair();
  const now = () => clock.at;
  assert.equal(
    new Opener({ key: otherKey, purpose: 'control', now }).open(sealer.seal(payload)).refused,
    'mac',
  );
  assert.equal(new Opener({ key, purpose: 'liveness', now }).open(sealer.seal(payload)).refused, 'mac');
});

test('a restarted sender is heard at once, its former self no longer', () => {
  const { clock, sealer, opener } = pair({ epoch: 1000 });
  const reborn = new Sealer({ key, purpose: 'control', sender: 7, epoch: 1001, now: () => clock.at });
  const late = sealer.seal(payload);
  for (let i = 0; i < 50; i++) assert.equal(opener.open(sealer.seal(payload)).refused, undefined);
  assert.equal(opener.open(reborn.seal(payload)).refused, undefined);
  assert.equal(opener.open(late).refused, 'stale');
  assert.equal(opener.open(sealer.seal(payload)).refused, 'stale');
});

test('a sender restarted within the same second is heard too', () => {
  const { clock, opener } = pair();
  const epoch = clock.at / 1000;
  const born = () => new Sealer({ key, purpose: 'control', sender: 7, epoch, now: () => clock.at });
  for (const _restart of [1, 2, 3]) {
    const sealer = born();
    for (let i = 0; i < 2000; i++) assert.equal(opener.open(sealer.seal(payload)).refused, undefined);
    clock.at += 300;
  }
});

test('senders do not share a window', () => {
  const { clock, opener } = pair();
  const now = () => clock.at;
  for (const sender of [0, 1, 0xffff]) {
    const sealer = new Sealer({ key, purpose: 'control', sender, epoch: 5, now });
    assert.equal(opener.open(sealer.seal(payload)).refused, undefined);
  }
});

test('garbage of any length never throws and never opens', () => {
  const { sealer, opener } = pair();
  const genuine = sealer.seal(payload);
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    // a true header with anything behind it
    fc.uint8Array({ maxLength: 200 }).map(tail => Buffer.concat([genuine.subarray(0, 24), tail])),
    // a view in the middle of a larger buffer
    fc.uint8Array({ minLength: 1, maxLength: 200 }).map(bytes => bytes.subarray(1)),
  );
  fc.assert(
    fc.property(garbage, bytes => assert.notEqual(opener.open(bytes).refused, undefined)),
    { numRuns: 2000 },
  );
  assert.equal(opener.open(genuine).refused, undefined);
});

test('derived keys differ by key and purpose and repeat', () => {
  const hex = (k: Uint8Array, purpose: string) => Buffer.from(deriveKey(k, purpose, 16)).toString('hex');
  assert.equal(hex(key, 'a'), hex(key, 'a'));
  assert.equal(new Set([hex(key, 'a'), hex(key, 'b'), hex(otherKey, 'a'), hex(key, '')]).size, 4);
  assert.throws(() => deriveKey(key.subarray(1), 'a', 16), RangeError);
});

test('a sender or epoch out of range is refused at construction', () => {
  for (const bad of [-1, 65536, 1.5]) {
    assert.throws(() => new Sealer({ key, purpose: 'x', sender: bad, epoch: 1 }), RangeError);
  }
  assert.throws(() => new Sealer({ key, purpose: 'x', sender: 1, epoch: 2 ** 32 }), RangeError);
});
