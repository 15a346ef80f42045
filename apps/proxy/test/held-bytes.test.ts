import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Budget, HeldBytes } from '../src/held-bytes.ts';

const budget = () => new Budget(1 << 20);
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (held: HeldBytes) => new TextDecoder().decode(held.contiguous);

test('segments in any order, cut anywhere and repeated, give the stream; also across the wrap of sequence numbers', () => {
  const piece = fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 120 }));
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0xffffffff }),
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      fc.array(piece, { maxLength: 30 }),
      (start, stream, pieces) => {
        const held = new HeldBytes(start, 65_536, budget());
        const has = new Array(stream.length).fill(false);
        for (const [at, size] of pieces) {
          const from = at % stream.length;
          const to = Math.min(stream.length, from + size);
          held.add((start + from) >>> 0, stream.subarray(from, to));
          has.fill(true, from, to);
        }
        const firstHole = has.indexOf(false);
        const expected = stream.subarray(0, firstHole < 0 ? stream.length : firstHole);
        assert.deepEqual([...held.contiguous], [...expected]);
        assert.equal(held.end, (start + expected.length) >>> 0);
      },
    ),
  );
});

test('of two segments that differ, the one that came first stays, whole and alone', () => {
  const held = new HeldBytes(100, 1000, budget());
  assert.equal(held.add(100, bytes('GET /public')), 'held');
  assert.equal(held.add(100, bytes('GET /secret HTTP/1.1')), 'differs');
  assert.equal(text(held), 'GET /public');
  assert.equal(held.add(104, bytes('/public HTTP/1.1')), 'held');
  assert.equal(text(held), 'GET /public HTTP/1.1');
});

test('nothing is kept beyond the limit, and what lies before the start is passed over', () => {
  const held = new HeldBytes(1000, 8, budget());
  held.add(997, bytes('xyzabcdefghij'));
  assert.equal(text(held), 'abcdefgh');
  assert.equal(held.full, true);
  held.add(1008, bytes('more'));
  assert.equal(text(held), 'abcdefgh');
});

test('a FIN counts only when everything before it has arrived', () => {
  const held = new HeldBytes(0, 100, budget());
  held.add(3, bytes('def'), true);
  assert.equal(held.finished, false);
  held.add(0, bytes('abc'));
  assert.equal(held.finished, true);
});

test('room is shared: who finds none keeps what it has, and what is released can be taken', () => {
  const shared = new Budget(1500);
  const one = new HeldBytes(0, 65_536, shared);
  const other = new HeldBytes(0, 65_536, shared);
  assert.equal(one.add(0, bytes('a'.repeat(1000))), 'held');
  assert.equal(other.add(0, bytes('b'.repeat(1000))), 'full');
  assert.equal(other.contiguous.length, 0);
  assert.equal(one.add(1000, bytes('a'.repeat(1000))), 'full');
  assert.equal(one.contiguous.length, 1000);
  one.release();
  assert.equal(shared.used, 0);
  assert.equal(other.add(0, bytes('b'.repeat(1000))), 'held');
});

test('whoever sends every second byte is stopped, and what fills the holes is still taken', () => {
  const held = new HeldBytes(0, 65_536, budget());
  let refused = 0;
  for (let at = 1; at < 400; at += 2) if (held.add(at, bytes('x')) === 'full') refused++;
  assert.equal(refused, 200 - 64);
  for (let at = 0; at < 128; at += 2) assert.equal(held.add(at, bytes('y')), 'held');
  assert.equal(text(held), 'yx'.repeat(64));
});

test('the first FIN counts', () => {
  const held = new HeldBytes(0, 100, budget());
  held.add(0, bytes('abc'), true);
  held.add(0, bytes('a'), true);
  assert.equal(held.finished, true);
});
