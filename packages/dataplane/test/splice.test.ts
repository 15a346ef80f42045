import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { add, deltaOf, rescaleWindow, sub, toClientSeq, toServerAck } from '../src/index.ts';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const shift = fc.integer({ min: 0, max: 14 });

test('what the server says and what the client acknowledges are translated inversely', () => {
  fc.assert(
    fc.property(u32, u32, u32, (p0, s0, n) => {
      const delta = deltaOf(p0, s0);
      assert.equal(toClientSeq(s0, delta), p0);
      assert.equal(toServerAck(toClientSeq(n, delta), delta), n);
      assert.equal(toClientSeq(toServerAck(n, delta), delta), n);
    }),
  );
});

test('a byte keeps its client-side number when the connection moves to another back end', () => {
  fc.assert(
    fc.property(u32, u32, u32, u32, u32, (p0, s1, s2, sent, resumed) => {
      // The second server starts where the client stands: its cookie field says "byte number `resumed` comes first".
      const first = deltaOf(p0, s1);
      const second = deltaOf(add(p0, resumed), s2);
      const onFirst = toClientSeq(add(s1, add(resumed, sent)), first);
      assert.equal(toClientSeq(add(s2, sent), second), onFirst);
      assert.equal(sub(toServerAck(onFirst, second), s2), sent);
    }),
  );
});

test('a rescaled window never offers more than the receiver has, and loses less than one unit', () => {
  fc.assert(
    fc.property(u16, shift, shift, (window, from, to) => {
      const result = rescaleWindow(window, from, to);
      const real = window * 2 ** from;
      assert.ok(Number.isInteger(result) && result >= 0 && result <= 0xffff);
      assert.ok(result * 2 ** to <= real);
      assert.ok(result === 0xffff || real - result * 2 ** to < 2 ** to);
    }),
  );
});

test('a window is unchanged under equal shifts and saturates under a smaller one', () => {
  fc.assert(fc.property(u16, shift, (window, s) => rescaleWindow(window, s, s) === window));
  assert.equal(rescaleWindow(512, 7, 0), 0xffff);
  assert.equal(rescaleWindow(0xffff, 14, 0), 0xffff);
  assert.equal(rescaleWindow(127, 0, 7), 0);
});
