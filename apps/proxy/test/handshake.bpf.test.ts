import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  add,
  encodeOptions,
  hasValidChecksums,
  parseOptions,
  parsePacket,
  sumWords,
  TcpFlags,
  Verdict,
} from '@resplice/dataplane';
import fc from 'fast-check';
import * as layout from '../src/layout.generated.ts';
import { CLIENT, CONNECTION, KernelHalf, OFFER, segment, VIP } from './fixtures/kernel-half.ts';

const { ACK, FIN, PSH, SYN } = TcpFlags;
const SLOT_MS = 64_000;

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf();
});

afterEach(() => half.close());

test('a SYN is answered with a SYN-ACK that any client accepts', () => {
  const options = encodeOptions({ mss: 1460, sackPermitted: true, windowScale: 9 });
  const { ip, packet, verdict } = half.run(segment({ flags: SYN, seq: 0xffffffff, options }));
  assert.equal(verdict, Verdict.REDIRECT);
  const reply = parsePacket(ip)!;
  assert.ok(hasValidChecksums(ip));
  assert.deepEqual(
    { ...reply, seq: 0, optionsOffset: 0, payloadOffset: 0 },
    {
      src: VIP,
      dst: CLIENT,
      sport: 80,
      dport: 40_000,
      seq: 0,
      ack: 0,
      flags: SYN | ACK,
      window: 64_240,
      ttl: 64,
      optionsOffset: 0,
      optionsLength: 12,
      payloadOffset: 0,
      payloadLength: 0,
    },
  );
  const offered = parseOptions(ip, reply.optionsOffset, reply.optionsLength);
  assert.deepEqual([offered.mss, offered.sackPermitted, offered.windowScale], [1460, true, 7]);
  assert.deepEqual([...packet.subarray(0, 12)], [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], 'back to the sender');
  assert.equal(half.counters.read().front_syn_answered, 1);
  assert.equal(half.events().length, 0);
});

test('what the client did not offer is not granted', () => {
  const { ip } = half.run(segment({ flags: SYN, seq: 1 }));
  const reply = parsePacket(ip)!;
  assert.ok(hasValidChecksums(ip));
  const offered = parseOptions(ip, reply.optionsOffset, reply.optionsLength);
  assert.deepEqual([offered.mss, offered.sackPermitted, offered.windowScale], [1460, false, undefined]);
});

test('options of any length are replaced, and the checksums stay right', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 0xffffffff }), (words, isn) => {
      const { ip, verdict } = half.run(
        segment({ flags: SYN, seq: isn, options: new Uint8Array(words * 4).fill(1) }),
      );
      assert.equal(verdict, Verdict.REDIRECT);
      assert.ok(hasValidChecksums(ip));
      assert.equal(parsePacket(ip)!.ack, add(isn, 1));
    }),
  );
});

test("the handshake's ACK makes no state and no event", () => {
  const p0 = half.shake(1000);
  const { verdict } = half.run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1) }));
  assert.equal(verdict, Verdict.SHOT);
  assert.equal(half.counters.read().front_handshake_done, 1);
  assert.equal(half.events().length, 0);
});

test('the first data goes to user space with what the cookie says', () => {
  const p0 = half.shake(1000, encodeOptions({ mss: 1400, sackPermitted: true, windowScale: 9 }));
  const { verdict } = half.run(
    segment({ flags: ACK | PSH, seq: 1001, ack: add(p0, 1), payload: 'GET / HTTP/1.1\r\n\r\n' }),
  );
  assert.equal(verdict, Verdict.SHOT);
  const [{ event, payload } = assert.fail('no event')] = half.events();
  assert.equal(new TextDecoder().decode(payload), 'GET / HTTP/1.1\r\n\r\n');
  assert.deepEqual(
    { ...event, timeNs: 0n, sum: 0 },
    {
      type: layout.EventType.EVENT_SEGMENT,
      captured: 18,
      timeNs: 0n,
      connection: CONNECTION,
      sequence: 1001,
      acknowledgement: add(p0, 1),
      payload: 18,
      window: 5000,
      mss: 1400,
      windowScale: 9,
      sackPermitted: 1,
      flags: ACK | PSH,
      cookie: 1,
      sum: 0,
      checked: 1,
    },
  );
});

test('with the sum of its headers goes what tells whether the payload is right', () => {
  const p0 = half.shake(1000);
  const bytes = segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload: 'odd', options: OFFER });
  half.run(bytes);
  const [{ event, payload } = assert.fail('no event')] = half.events();
  assert.equal(sumWords(payload, 0, payload.length, event.sum), 0xffff);
  bytes[bytes.length - 1]! ^= 1;
  half.run(bytes);
  const [damaged = assert.fail('no event')] = half.events();
  assert.notEqual(sumWords(damaged.payload, 0, 3, damaged.event.sum), 0xffff);
  // As a sender leaves it to hardware: only the pseudo header is summed up.
  const length = bytes.length - 34;
  const pseudo = sumWords(bytes, 26, 8, 6 + length);
  new DataView(bytes.buffer).setUint16(34 + 16, pseudo);
  half.run(bytes);
  assert.equal(half.events()[0]?.event.checked, 0);
});

test('a payload of any size arrives whole', () => {
  const p0 = half.shake(1000);
  for (const size of [1, 1460, 2048, 2049, 3500]) {
    const payload = Uint8Array.from({ length: size }, (_, i) => (i * 7) & 0xff);
    half.run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload }));
    assert.deepEqual(half.events()[0]?.payload, payload, `${size} bytes`);
  }
});

test('a cookie is good for one client, port and ISN; other ISNs of that client are told apart', () => {
  const { COOKIE_NONE, COOKIE_OTHER_ISN, COOKIE_VALID } = layout.CookieKind;
  // Four bits tell clients apart, so one in 16 is taken for another: at this time, none of those below.
  half.setTime(Date.UTC(2026, 0, 3));
  const p0 = half.shake(1000);
  const forge = (change: { seq?: number; sport?: number; ack?: number; src?: number }) => {
    half.run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload: 'x', ...change }));
    return half.events()[0]?.event.cookie;
  };
  assert.equal(forge({}), COOKIE_VALID);
  assert.equal(forge({ seq: 1002 }), COOKIE_OTHER_ISN);
  assert.equal(forge({ seq: 2461 }), COOKIE_OTHER_ISN, 'a later segment of a first flight');
  assert.equal(forge({ sport: 40_001, seq: 2461 }), COOKIE_NONE);
  assert.equal(forge({ src: CLIENT + 1, seq: 2461 }), COOKIE_NONE);
  for (let bit = 0; bit < 32; bit++) {
    const expected = bit >= 16 ? COOKIE_OTHER_ISN : COOKIE_NONE;
    assert.equal(forge({ ack: add(p0 ^ (1 << bit), 1) }), expected, `bit ${bit}`);
  }
});

test('a preconnect may wait five minutes, not for ever; keys change meanwhile', () => {
  const period = SLOT_MS * 64;
  // A little before the keys change.
  const start = Math.floor(Date.now() / period) * period + period - SLOT_MS;
  half.setTime(start);
  const p0 = half.shake(1000);
  const valid = (afterMs: number) => {
    half.setTime(start + afterMs);
    half.run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload: 'x' }));
    return half.events()[0]?.event.cookie === 1;
  };
  assert.equal(valid(0), true);
  assert.equal(valid(5 * 60_000), true);
  assert.equal(valid(-SLOT_MS), true, 'made by a proxy whose clock is ahead');
  assert.equal(valid(8 * SLOT_MS), false);
  assert.equal(valid(period * 5), false);
});

test('opened and closed without a byte: the FIN is answered', () => {
  const p0 = half.shake(1000);
  const { ip, verdict } = half.run(segment({ flags: FIN | ACK, seq: 1001, ack: add(p0, 1) }));
  assert.equal(verdict, Verdict.REDIRECT);
  assert.ok(hasValidChecksums(ip));
  const reply = parsePacket(ip)!;
  assert.deepEqual(
    [reply.flags, reply.seq, reply.ack, reply.optionsLength],
    [FIN | ACK, add(p0, 1), 1002, 0],
  );
});

test('closed unused: the ACK of our FIN makes no event', () => {
  const p0 = half.shake(1000);
  assert.equal(half.run(segment({ flags: ACK, seq: 1002, ack: add(p0, 2) })).verdict, Verdict.SHOT);
  assert.equal(half.events().length, 0);
});
