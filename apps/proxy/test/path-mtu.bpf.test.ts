import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  buildFragmentationNeeded,
  buildPacket,
  checksum,
  frame,
  hasValidChecksums,
  parseIp,
  sub,
  TcpFlags,
  Verdict,
} from '@resplice/dataplane';
import fc from 'fast-check';
import { BACKEND, CLIENT, CONNECTION, KernelHalf, SPLICE, VIP } from './fixtures/kernel-half.ts';

const ROUTER = parseIp('192.0.2.1');
const ENTRY = { ...SPLICE, clientNext: 1_500, createdMs: 1n, seenNs: 2n };
/** Quoted bytes: IP header and the first eight of TCP, the least that a router may quote. */
const LEAST = 28;
const ICMP = 20;
const QUOTE = 28;

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf();
  half.splices.set(CONNECTION, ENTRY);
});

afterEach(() => half.close());

/** A segment of a response, as the client would have got it or as the back end's kernel sent it. */
function answer(from: { src: number; sport: number; seq: number }, payload = new Uint8Array(1400)) {
  return buildPacket({
    ...from,
    dst: CLIENT,
    dport: 40_000,
    ack: 1_500,
    flags: TcpFlags.ACK,
    window: 500,
    payload,
  });
}

const fromVip = (seq = 9, sport = 80) => answer({ src: VIP, sport, seq });

function tooBig(
  quoted: Uint8Array,
  change: { mtu?: number; type?: number; code?: number; dst?: number } = {},
) {
  return buildFragmentationNeeded({ src: ROUTER, dst: VIP, mtu: 1200, quoted, ...change });
}

function run(packet: Uint8Array) {
  return half.run(frame(packet));
}

const isWhole = (ip: Uint8Array) => checksum(ip, 0, ICMP) === 0 && checksum(ip, ICMP, ip.length - ICMP) === 0;

test('"fragmentation needed" reaches the back end as if it were about what the back end sent', () => {
  const number = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(
      number,
      number,
      fc.integer({ min: 0, max: 0xffff }),
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      fc.nat({ max: 100 }),
      (delta, seq, mtu, payload, cut) => {
        half.splices.set(CONNECTION, { ...SPLICE, delta });
        const seen = answer({ src: VIP, sport: 80, seq }, payload);
        const sent = answer({ src: BACKEND, sport: 8080, seq: sub(seq, delta) }, payload);
        const quoted = Math.max(LEAST, seen.length - cut);
        const { ip, verdict } = run(tooBig(seen.subarray(0, quoted), { mtu }));
        assert.equal(verdict, Verdict.OK);
        assert.ok(isWhole(ip));
        const wanted = tooBig(sent.subarray(0, quoted), { mtu, dst: BACKEND });
        assert.deepEqual(withoutTcpCheck(ip), withoutTcpCheck(wanted));
        if (quoted === seen.length) assert.ok(hasValidChecksums(ip, QUOTE), 'the quoted checksums');
      },
    ),
  );
});

/** Zero has two representations in a checksum, and the outer one covers it: they are compared by what they add up to. */
function withoutTcpCheck(ip: Uint8Array): Uint8Array {
  const bytes = ip.slice();
  bytes.fill(0, ICMP + 2, ICMP + 4);
  bytes.fill(0, QUOTE + 36, QUOTE + 38);
  return bytes;
}

test('sequence numbers wrap', () => {
  for (const [seq, delta, wanted] of [
    [5, 10, 0xfffffffb],
    [0, 1, 0xffffffff],
    [0xffffffff, 0xffffffff, 0],
  ] as const) {
    half.splices.set(CONNECTION, { ...SPLICE, delta });
    const { ip } = run(tooBig(fromVip(seq).subarray(0, LEAST)));
    assert.equal(new DataView(ip.buffer, ip.byteOffset).getUint32(QUOTE + 24), wanted);
    assert.ok(isWhole(ip));
  }
});

test('every length of a quotation keeps its checksums; the TCP checksum is mended where it is quoted', () => {
  const sent = answer({ src: BACKEND, sport: 8080, seq: sub(9, ENTRY.delta) });
  for (let quoted = LEAST; quoted <= 64; quoted++) {
    const { ip, verdict } = run(tooBig(fromVip().subarray(0, quoted)));
    assert.equal(verdict, Verdict.OK, `${quoted} bytes`);
    assert.ok(isWhole(ip), `${quoted} bytes`);
    const comparable = quoted === 37 ? 36 : quoted; // half a checksum cannot be mended
    assert.deepEqual(ip.subarray(QUOTE, QUOTE + comparable), sent.subarray(0, comparable), `${quoted} bytes`);
  }
});

test("what lies behind the message, a short frame's padding, is not taken for a quotation", () => {
  const packet = tooBig(fromVip().subarray(0, LEAST));
  const padded = new Uint8Array(packet.length + 40).fill(0xa5);
  padded.set(packet);
  const { ip, verdict } = run(padded);
  assert.equal(verdict, Verdict.OK);
  assert.ok(isWhole(ip.subarray(0, packet.length)));
  assert.deepEqual(ip.subarray(packet.length), padded.subarray(packet.length));
});

test('a wrong ICMP checksum stays wrong, for the kernel of the back end to refuse', () => {
  const packet = tooBig(fromVip().subarray(0, 548));
  packet[ICMP + 7]! ^= 1;
  const { ip } = run(packet);
  assert.equal(checksum(ip, 0, ICMP), 0);
  assert.notEqual(checksum(ip, ICMP, ip.length - ICMP), 0);
});

test('the entry is left as it is: anybody can send such a message', () => {
  run(tooBig(fromVip()));
  assert.deepEqual(half.splices.get(CONNECTION), ENTRY);
  assert.equal(half.counters.read().front_path_mtu, 1);
});

function changed(offset: number, ...values: number[]): Uint8Array {
  const quoted = fromVip();
  quoted.set(values, offset);
  return tooBig(quoted);
}

const elsewhere = fromVip();
elsewhere[23] = 7; // another client port
for (const [name, packet, verdict, exit] of [
  ['about a connection that is not known', tooBig(elsewhere), Verdict.SHOT, 'front_path_mtu_stray'],
  ['about a port that is not served', tooBig(fromVip(9, 81)), Verdict.SHOT, 'front_closed_port'],
  ['an echo request', tooBig(fromVip(), { type: 8, code: 0 }), Verdict.SHOT, 'front_other_protocol'],
  ['host unreachable', tooBig(fromVip(), { code: 1 }), Verdict.SHOT, 'front_other_protocol'],
  ['time exceeded', tooBig(fromVip(), { type: 11, code: 0 }), Verdict.SHOT, 'front_other_protocol'],
  ['no body', tooBig(fromVip()).slice(0, ICMP), Verdict.SHOT, 'front_other_protocol'],
  ['nothing quoted', tooBig(new Uint8Array(0)), Verdict.SHOT, 'front_malformed'],
  ['one byte too few quoted', tooBig(fromVip().subarray(0, LEAST - 1)), Verdict.SHOT, 'front_malformed'],
  ['cut off on its way', tooBig(fromVip()).slice(0, -1), Verdict.SHOT, 'front_malformed'],
  ['UDP quoted', changed(9, 17), Verdict.SHOT, 'front_malformed'],
  ['a first fragment quoted', changed(6, 0x20, 0), Verdict.SHOT, 'front_malformed'],
  ['a later fragment quoted', changed(6, 0, 1), Verdict.SHOT, 'front_malformed'],
  ['IP options quoted', changed(0, 0x46), Verdict.SHOT, 'front_malformed'],
  ['another version quoted', changed(0, 0x65), Verdict.SHOT, 'front_malformed'],
  ['a packet quoted that holds no TCP header', changed(2, 0, 39), Verdict.SHOT, 'front_malformed'],
  ['somebody else’s packet quoted', changed(12, 10, 60, 0, 2), Verdict.SHOT, 'front_malformed'],
  ['to the proxy itself', tooBig(fromVip(), { dst: BACKEND }), Verdict.OK, 'front_not_for_vip'],
] as const) {
  test(`ICMP, ${name}: ${exit}`, () => {
    const result = run(packet);
    assert.equal(result.verdict, verdict);
    assert.deepEqual(result.ip, packet, 'untouched');
    assert.equal(half.counters.read()[exit], 1);
  });
}

test('a GSO packet quoted: its length is far beyond the quotation', () => {
  const { ip, verdict } = run(changed(2, 0xff, 0xf0));
  assert.equal(verdict, Verdict.OK);
  assert.ok(isWhole(ip));
});

test('garbage in a quotation never gets past as if it were spliced', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (quoted, plausible) => {
      const bytes = quoted.slice();
      if (plausible) {
        const start = fromVip().subarray(0, Math.min(bytes.length, 20));
        bytes.set(start);
        // The client's port never matches.
        if (bytes.length > 23) bytes[23] = 1;
      }
      assert.equal(run(tooBig(bytes)).verdict, Verdict.SHOT);
    }),
  );
});
