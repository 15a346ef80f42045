import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksum, sumWords, updateChecksum } from '../src/index.ts';

const evenBytes = fc.uint8Array({ maxLength: 200 }).map(b => b.subarray(0, b.length & ~1));

test('the example of RFC 1071 §3', () => {
  const bytes = Uint8Array.from([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
  assert.equal(sumWords(bytes, 0, 8), 0xddf2);
  assert.equal(checksum(bytes, 0, 8), 0x220d);
});

test('an odd last byte counts as the high half of a word', () => {
  assert.equal(sumWords(Uint8Array.from([1, 2, 3]), 0, 3), 0x0102 + 0x0300);
});

test('the largest packet does not overflow the sum', () => {
  assert.equal(sumWords(new Uint8Array(65534).fill(0xff), 0, 65534), 0xffff);
});

test('a message that holds its checksum sums to zero, and a sum may be made in pieces', () => {
  fc.assert(
    fc.property(evenBytes, fc.nat({ max: 100 }), (bytes, cut) => {
      const whole = new Uint8Array(bytes.length + 2);
      whole.set(bytes);
      new DataView(whole.buffer).setUint16(bytes.length, checksum(bytes, 0, bytes.length));
      assert.equal(checksum(whole, 0, whole.length), 0);
      const at = Math.min(cut * 2, bytes.length);
      const pieces = sumWords(bytes, at, bytes.length - at, sumWords(bytes, 0, at));
      assert.equal(pieces, sumWords(bytes, 0, bytes.length));
    }),
  );
});

test('an incremental update equals a new computation', () => {
  const words = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 2, maxLength: 30 });
  fc.assert(
    fc.property(words, fc.integer({ min: 0, max: 0xffff }), (message, to) => {
      // A real header's other words are never all zero; there the two zeros of one's complement differ.
      const bytes = new Uint8Array(message.length * 2 + 2);
      const view = new DataView(bytes.buffer);
      for (const [i, value] of message.entries()) view.setUint16(i * 2, value);
      view.setUint16(message.length * 2, 0x4500);
      const old = checksum(bytes, 0, bytes.length);
      view.setUint16(0, to);
      assert.equal(updateChecksum(old, message[0]!, to), checksum(bytes, 0, bytes.length));
    }),
  );
});
