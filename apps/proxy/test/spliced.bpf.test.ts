import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  add,
  hasValidChecksums,
  parseOptions,
  parsePacket,
  sub,
  TcpFlags,
  unframe,
  Verdict,
} from '@resplice/dataplane';
import fc from 'fast-check';
import * as layout from '../src/layout.generated.ts';
import { BACKEND, CONNECTION, KernelHalf, SPLICE, segment } from './fixtures/kernel-half.ts';

const { ACK, FIN, RST } = TcpFlags;

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf();
});

afterEach(() => half.close());

test('spliced: only destination, acknowledgement and SACK blocks change (P2.1)', () => {
  const number = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(
      number,
      number,
      number,
      fc.array(fc.tuple(number, number), { maxLength: 4 }),
      fc.uint8Array({ maxLength: 64 }),
      (delta, seq, ack, blocks, payload) => {
        half.splices.set(CONNECTION, { ...SPLICE, delta });
        const options = sackOption(blocks);
        const sent = segment({ flags: ACK, seq, ack, payload, options });
        const { ip, verdict } = half.run(sent);
        assert.equal(verdict, Verdict.OK);
        assert.ok(hasValidChecksums(ip));
        const got = parsePacket(ip)!;
        const expected = { ...parsePacket(unframe(sent))!, dst: BACKEND, dport: 8080, ack: sub(ack, delta) };
        assert.deepEqual(got, expected);
        assert.deepEqual(
          parseOptions(ip, got.optionsOffset, got.optionsLength).sackBlocks,
          blocks.map(([left, right]) => [sub(left, delta), sub(right, delta)]),
        );
        assert.deepEqual(ip.subarray(got.payloadOffset), payload);
      },
    ),
  );
});

test("a spliced client's FIN marks the entry and is told to user space", () => {
  half.splices.set(CONNECTION, SPLICE);
  half.run(segment({ flags: ACK, seq: 1001, ack: 78, payload: 'abc' }));
  assert.equal(half.splices.get(CONNECTION)!.clientNext, 1004);
  assert.equal(half.run(segment({ flags: FIN | ACK, seq: 1004, ack: 78 })).verdict, Verdict.OK);
  assert.equal(half.splices.get(CONNECTION)!.flags, layout.SpliceFlag.SPLICE_CLOSED);
  assert.equal(half.events()[0]?.event.type, layout.EventType.EVENT_CLOSE);
});

test('an RST closes only at the exact sequence number (RFC 5961)', () => {
  half.splices.set(CONNECTION, SPLICE);
  half.run(segment({ flags: ACK, seq: 1001, ack: 78, payload: 'abc' }));
  for (const seq of [1003, 1005, 1001]) half.run(segment({ flags: RST, seq }));
  assert.equal(half.splices.get(CONNECTION)!.flags, 0);
  assert.equal(half.events().length, 0);
  half.run(segment({ flags: RST, seq: 1004 }));
  assert.equal(half.splices.get(CONNECTION)!.flags, layout.SpliceFlag.SPLICE_CLOSED);
});

test('the last packets of a closed connection still reach its server', () => {
  half.splices.set(CONNECTION, {
    ...SPLICE,
    seenNs: 1n,
    clientNext: 1004,
    flags: layout.SpliceFlag.SPLICE_CLOSED,
  });
  assert.equal(half.run(segment({ flags: ACK, seq: 1004, ack: 90 })).verdict, Verdict.OK);
  assert.equal(half.run(segment({ flags: FIN | ACK, seq: 1003, ack: 90 })).verdict, Verdict.OK);
  assert.equal(
    half.run(segment({ flags: ACK, seq: 1001, ack: 90, payload: 'ab' })).verdict,
    Verdict.OK,
    'sent again',
  );
});

test('what is far from where the client was is for user space to judge, and changes nothing', () => {
  half.splices.set(CONNECTION, { ...SPLICE, seenNs: 1n, clientNext: 1004 });
  for (const flags of [ACK, FIN | ACK]) half.run(segment({ flags, seq: 800_000_000, ack: 78, payload: 'x' }));
  assert.equal(half.events().length, 2);
  half.run(segment({ flags: RST, seq: 800_000_000 }));
  assert.equal(half.counters.read().front_stray_rst, 1);
  const { clientNext, flags } = half.splices.get(CONNECTION)!;
  assert.deepEqual([clientNext, flags], [1004, 0]);
});

test('a port that is used again: the old entry serves until the new cookie is acknowledged', () => {
  half.splices.set(CONNECTION, SPLICE);
  const p0 = half.shake(500_000);
  assert.equal(half.splices.get(CONNECTION)!.challengeIsn, 500_000);
  assert.equal(half.run(segment({ flags: ACK, seq: 1001, ack: 78, payload: 'old' })).verdict, Verdict.OK);
  // A forger who does not see p0 cannot take the entry away.
  assert.equal(
    half.run(segment({ flags: ACK, seq: 500_001, ack: 4711, payload: 'forged' })).verdict,
    Verdict.OK,
  );
  assert.equal(
    half.run(segment({ flags: ACK, seq: 500_001, ack: add(p0, 1), payload: 'new' })).verdict,
    Verdict.SHOT,
  );
  const [{ event, payload } = assert.fail('no event')] = half.events();
  assert.deepEqual([event.cookie, new TextDecoder().decode(payload)], [1, 'new']);
});

test('a port that is used again, its SYN answered by another proxy: the cookie tells', () => {
  const seen = { seenNs: 1n, clientNext: 1004 };
  for (const [name, entry, isn] of [
    ['far from the old connection', seen, 900_000_000],
    ['close to it, but that one is closed', { ...seen, flags: layout.SpliceFlag.SPLICE_CLOSED }, 50_000],
    ['the old one was never seen here', {}, 50_000],
  ] as const) {
    const p0 = half.shake(isn); // without an entry: no challenge is noted
    half.splices.set(CONNECTION, { ...SPLICE, ...entry });
    const { verdict } = half.run(segment({ flags: ACK, seq: isn + 1, ack: add(p0, 1), payload: 'new' }));
    assert.equal(verdict, Verdict.SHOT, name);
    assert.equal(half.events()[0]?.event.cookie, 1, name);
    half.splices.delete(CONNECTION);
  }
});

test("a request's further segments do not slip into the port's former connection", () => {
  half.splices.set(CONNECTION, {
    ...SPLICE,
    seenNs: 1n,
    clientNext: 1004,
    flags: layout.SpliceFlag.SPLICE_CLOSED,
  });
  const p0 = half.shake(1_050);
  for (const seq of [1_051, 2_511, 3_971]) {
    assert.equal(
      half.run(segment({ flags: ACK, seq, ack: add(p0, 1), payload: 'part' })).verdict,
      Verdict.SHOT,
    );
  }
  assert.deepEqual(
    half.events().map(({ event }) => [event.sequence, event.cookie]),
    [
      [1_051, 1],
      [2_511, layout.CookieKind.COOKIE_OTHER_ISN],
      [3_971, layout.CookieKind.COOKIE_OTHER_ISN],
    ],
  );
});

function sackOption(blocks: readonly (readonly [number, number])[]): Uint8Array | undefined {
  if (blocks.length === 0) return undefined;
  const bytes = new Uint8Array(4 + blocks.length * 8).fill(1);
  const view = new DataView(bytes.buffer);
  bytes.set([1, 1, 5, 2 + blocks.length * 8]);
  for (const [i, [left, right]] of blocks.entries()) {
    view.setUint32(4 + i * 8, left);
    view.setUint32(8 + i * 8, right);
  }
  return bytes;
}
