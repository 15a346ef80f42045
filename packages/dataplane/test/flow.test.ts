import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildSlots, flowHash, fmix32, formatIp, NO_PROXY, parseIp, SLOT_COUNT } from '../src/index.ts';

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 0xffff }), { minLength: 1, maxLength: 12 });

test('the finalizer gives the known values of MurmurHash3', () => {
  assert.equal(fmix32(0), 0);
  assert.equal(fmix32(1), 0x514e28b7);
  assert.equal(fmix32(0xffffffff), 0x81f16f39);
});

test('flows spread over the slots', () => {
  const hits = new Uint16Array(SLOT_COUNT);
  for (let port = 32768; port < 32768 + 16 * SLOT_COUNT; port++) {
    const slot = flowHash(parseIp('10.61.0.2'), port, parseIp('10.60.0.1'), 80, 7) & (SLOT_COUNT - 1);
    hits[slot] = hits[slot]! + 1;
  }
  // 16 a slot on average: a Poisson variable that leaves 1…40 with a probability below one in a million per slot.
  assert.ok(hits.every(n => n >= 1 && n <= 40));
});

test('every argument of the flow hash matters', () => {
  const base = [0x0a3d0002, 40000, 0x0a3c0001, 80, 1] as const;
  for (let i = 0; i < base.length; i++) {
    const other = base.map((value, at) => (at === i ? value + 1 : value));
    assert.notEqual(flowHash(...(other as unknown as typeof base)), flowHash(...base));
  }
});

test("only a dead proxy's slots move, and it gets exactly these back", () => {
  fc.assert(
    fc.property(ids, fc.nat(), (proxies, pick) => {
      const dead = pick % proxies.length;
      const before = buildSlots(proxies, new Set(proxies), 256);
      const during = buildSlots(proxies, new Set(proxies.filter((_, i) => i !== dead)), 256);
      for (let slot = 0; slot < 256; slot++) {
        if (before[slot] === dead) assert.equal(during[slot] === NO_PROXY, proxies.length === 1);
        else assert.equal(during[slot], before[slot]);
        assert.notEqual(during[slot], dead);
      }
    }),
    { numRuns: 40 },
  );
});

test('the order of the list is of no importance, and the load is even', () => {
  const forth = buildSlots([1, 2, 3], new Set([1, 2, 3]));
  const back = buildSlots([3, 2, 1], new Set([1, 2, 3]));
  const load = [0, 0, 0];
  for (const [slot, index] of forth.entries()) {
    assert.equal(2 - back[slot]!, index);
    load[index]!++;
  }
  assert.ok(
    load.every(n => n > 270 && n < 410),
    `uneven: ${load}`,
  );
});

test('no live proxy leaves every slot empty', () => {
  assert.ok(buildSlots([1, 2], new Set()).every(slot => slot === NO_PROXY));
});

test('addresses are read and written in host order', () => {
  assert.equal(parseIp('10.60.0.1'), 0x0a3c0001);
  assert.equal(parseIp('255.255.255.255'), 0xffffffff);
  fc.assert(fc.property(fc.ipV4(), text => formatIp(parseIp(text)) === text));
});

test('what is not an address is refused by name', () => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.4 ',
    '1.2.3.',
    '-1.2.3.4',
    '0x1.2.3.4',
  ]) {
    assert.throws(() => parseIp(text), { name: 'RangeError', message: `'${text}' is not an IPv4 address` });
  }
});
