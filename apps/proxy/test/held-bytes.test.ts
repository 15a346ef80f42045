import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeldBytes } from '../src/held-bytes.ts';

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
        const held = new HeldBytes(start, 65_536);
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

test('where two segments differ, the byte that came first stays', () => {
  const held = new HeldBytes(100, 1000);
  held.add(100, bytes('GET /public'));
  held.add(100, bytes('GET /secret HTTP/1.1'));
  assert.equal(text(held), 'GET /public HTTP/1.1');
});

test('nothing is kept beyond the limit, and what lies before the start is passed over', () => {
  const held = new HeldBytes(1000, 8);
  held.add(997, bytes('xyzabcdefghij'));
  assert.equal(text(held), 'abcdefgh');
  assert.equal(held.full, true);
  held.add(1008, bytes('more'));
  assert.equal(text(held), 'abcdefgh');
});

test('a FIN counts only when everything before it has arrived', () => {
  const held = new HeldBytes(0, 100);
  held.add(3, bytes('def'), true);
  assert.equal(held.finished, false);
  held.add(0, bytes('abc'));
  assert.equal(held.finished, true);
});
