import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { add, parseOptions, parsePacket, TcpFlags, Verdict } from '@resplice/dataplane';
import { until } from '@resplice/service-kit/testing';
import * as layout from '../src/layout.generated.ts';
import { StrayAllowance } from '../src/stray-allowance.ts';
import { CLIENT, KernelHalf, OFFER, segment } from './fixtures/kernel-half.ts';

const { ACK, FIN, PSH, SYN } = TcpFlags;
/** As in strays.h. */
const SOURCE_BURST = 512;
const SOURCE_PER_MS = 0.25;
const BURST = 1024;
const PER_MS = 1;
const NOW = Date.UTC(2026, 0, 1);
/** Acknowledges a cookie of ten slots ago: none is right by chance, or looks like a first flight's. */
const OLD_ACK = add(Math.floor(NOW / 64_000) - 10, 1) & 15;

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf(1 << 22);
  half.setTime(NOW);
});

afterEach(() => half.close());

/** Sends `count` segments of connections that nobody knows; each has its port, and its source if `source` says so. */
function guess(count: number, source: (i: number) => number = () => CLIENT): void {
  for (let i = 0; i < count; i++) {
    half.run(segment({ flags: ACK, seq: 5, ack: OLD_ACK, sport: 1024 + (i % 60_000), src: source(i) }));
  }
}

function counted() {
  const { front_to_user, front_stray_limited } = half.counters.read();
  return { asked: front_to_user!, limited: front_stray_limited! };
}

test('one sender is asked for until its allowance is used up, and others as before', () => {
  const started = performance.now();
  guess(2000);
  const earned = Math.ceil((performance.now() - started) * SOURCE_PER_MS);
  const { asked, limited } = counted();
  assert.equal(asked + limited, 2000);
  assert.ok(asked >= SOURCE_BURST && asked <= SOURCE_BURST + earned, `${asked} asked`);
  half.run(segment({ flags: ACK, seq: 5, ack: OLD_ACK, src: CLIENT + 1 }));
  assert.equal(counted().asked, asked + 1);
});

test('many senders share one allowance', () => {
  const started = performance.now();
  guess(6000, i => CLIENT + 1 + i);
  const earned = Math.ceil((performance.now() - started) * PER_MS);
  const { asked, limited } = counted();
  assert.equal(asked + limited, 6000);
  assert.ok(asked >= BURST && asked <= BURST + earned, `${asked} asked`);
});

test('whose connection a peer knew is no guesser', () => {
  const strays = new StrayAllowance(half.object);
  guess(2000);
  const before = counted().asked;
  strays.giveBack(CLIENT, SOURCE_BURST);
  guess(500);
  assert.equal(counted().asked, before + 500);
});

test('more than was taken is not given back: whoever comes next is asked for', () => {
  const strays = new StrayAllowance(half.object);
  strays.giveBack(CLIENT, 1);
  guess(10);
  assert.deepEqual(counted(), { asked: 10, limited: 0 });
  strays.giveBack(CLIENT, 1_000_000);
  guess(10, i => CLIENT + 1 + i);
  assert.deepEqual(counted(), { asked: 20, limited: 0 });
});

test('guesses do not stand in the way of a first flight, neither its first segment nor the later ones', () => {
  guess(2000);
  const { asked } = counted();
  const p0 = half.shake(1000);
  for (const seq of [1001, 2461, 3921]) {
    const { verdict } = half.run(segment({ flags: ACK | PSH, seq, ack: add(p0, 1), payload: 'part' }));
    assert.equal(verdict, Verdict.SHOT);
  }
  assert.equal(counted().asked, asked + 3);
});

test('in whose name somebody guesses, gets a cookie that is harder to guess, and only such are believed', async () => {
  const { COOKIE_OTHER_ISN, COOKIE_VALID } = layout.CookieKind;
  const cookieOf = (p0: number, sport: number) => {
    half.run(segment({ flags: ACK | PSH, seq: 1001, ack: add(p0, 1), payload: 'x', sport }));
    return half.events().at(-1)?.event;
  };
  const before = half.shake(1000, OFFER, 40_001);
  guess(400);
  half.events();
  const { ip } = half.run(segment({ flags: SYN, seq: 1000, options: OFFER, sport: 40_002 }));
  const reply = parsePacket(ip)!;
  const { mss, sackPermitted, windowScale } = parseOptions(ip, reply.optionsOffset, reply.optionsLength);
  assert.deepEqual([mss, sackPermitted, windowScale], [1460, false, undefined], 'nothing is granted');
  assert.equal(cookieOf(before, 40_001)?.cookie, COOKIE_OTHER_ISN, 'waits');
  const strict = cookieOf(reply.seq, 40_002)!;
  const { cookie, mss: least, windowScale: none, sackPermitted: no } = strict;
  assert.deepEqual([cookie, least, none, no], [COOKIE_VALID, 536, 15, 0]);
  // Any bit of it that is wrong is noticed, those in the offer's place too.
  for (let bit = 4; bit < 32; bit++) {
    assert.notEqual(cookieOf((reply.seq ^ (1 << bit)) >>> 0, 40_002)?.cookie, COOKIE_VALID, `bit ${bit}`);
  }
  // When it is over, all is as ever.
  await until('the first cookie is believed', () => cookieOf(before, 40_001)?.cookie === COOKIE_VALID);
  assert.equal(cookieOf(reply.seq, 40_002)?.cookie, COOKIE_VALID, 'and so is the strict one');
});

for (const flags of [0, PSH, FIN, FIN | PSH | 0x20]) {
  test(`flags ${flags}: no client leaves ACK out`, () => {
    assert.equal(half.run(segment({ flags, seq: 5, payload: 'x' })).verdict, Verdict.SHOT);
    assert.equal(half.counters.read().front_malformed, 1);
    assert.equal(half.events().length, 0);
  });
}
