import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  BpfMap,
  type BpfObject,
  buildFragmentationNeeded,
  buildPacket,
  Counters,
  encodeOptions,
  flowHash,
  frame,
  hasValidChecksums,
  loadObject,
  mapMemory,
  parseIp,
  parsePacket,
  TcpFlags,
  testRun,
  u32,
  unframe,
  Verdict,
} from '@resplice/dataplane';
import fc from 'fast-check';
import * as layout from '../src/layout.generated.ts';

const OBJECT = new URL('../bpf/lb.bpf.o', import.meta.url).pathname;
const VIP = parseIp('10.60.0.1');
const CLIENT = parseIp('10.61.0.2');
const SEED = 0x5eed;
const SLOTS = 1024;
const NO_HOP = 0xffff;

let object: BpfObject;
let counters: Counters;
let table: DataView;

beforeEach(() => {
  object = loadObject(OBJECT);
  counters = new Counters(object.map('counters'), layout.lbExitNames);
  const listeners = new BpfMap(object.map('listeners'), layout.listenerKey, u32);
  for (const port of [0, 80]) listeners.set({ vip: VIP, port }, 1);
  // The loopback, so that the redirect has a device; what the neighbour would be is not asked in a test run.
  new BpfMap(object.map('next_hops'), u32, layout.nextHop).set(0, {
    address: parseIp('127.0.0.1'),
    ifindex: 1,
  });
  table = new DataView(mapMemory(object.map('steering')));
  table.setUint32(layout.steeringOffsets.seed, SEED, true);
  fill(0, () => 0);
  fill(1, () => NO_HOP);
});

afterEach(() => object.close());

function fill(half: 0 | 1, hop: (slot: number) => number): void {
  for (let slot = 0; slot < SLOTS; slot++) {
    table.setUint16(layout.steeringOffsets.slots + (half * SLOTS + slot) * 2, hop(slot), true);
  }
}

function segment(src: number, sport: number, dst = VIP, dport = 80): Uint8Array {
  return frame(buildPacket({ src, dst, sport, dport, seq: 1, ack: 2, flags: TcpFlags.ACK, window: 3 }));
}

const verdictOf = (bytes: Uint8Array) => testRun(object.program('lb_wan'), bytes).verdict;

test('the kernel half picks the slot that flowHash names, for any client', () => {
  const address = fc.integer({ min: 0x01000000, max: 0x7effffff });
  fc.assert(
    fc.property(address, fc.integer({ min: 1, max: 65_535 }), (client, port) => {
      const wanted = flowHash(client, port, VIP, 80, SEED) & (SLOTS - 1);
      fill(0, slot => (slot === wanted ? 0 : NO_HOP));
      assert.equal(verdictOf(segment(client, port)), Verdict.REDIRECT);
      fill(0, slot => (slot === wanted ? NO_HOP : 0));
      assert.equal(verdictOf(segment(client, port)), Verdict.SHOT);
    }),
    { numRuns: 50 },
  );
});

test('one store swaps the table', () => {
  const bytes = segment(parseIp('10.61.0.2'), 40_000);
  assert.equal(verdictOf(bytes), Verdict.REDIRECT);
  table.setUint32(layout.steeringOffsets.active, 1, true);
  assert.equal(verdictOf(bytes), Verdict.SHOT);
  assert.equal(counters.read().no_proxy, 1);
});

test('a steered packet is not changed', () => {
  const bytes = segment(parseIp('10.61.0.2'), 40_000);
  assert.deepEqual(testRun(object.program('lb_wan'), bytes).packet, bytes);
});

const udp = unframe(segment(CLIENT, 1)).slice();
udp[9] = 17;
for (const [name, bytes, verdict, exit] of [
  ['ARP', frame(new Uint8Array(46), 0x0806), Verdict.OK, 'not_for_vip'],
  ['another address', segment(CLIENT, 1, parseIp('10.62.0.11')), Verdict.OK, 'not_for_vip'],
  ['a port that is not served', segment(CLIENT, 1, VIP, 22), Verdict.SHOT, 'closed_port'],
  ['UDP to the VIP', frame(udp), Verdict.SHOT, 'other_protocol'],
  ['LAND: from the VIP to the VIP', segment(VIP, 80), Verdict.SHOT, 'bogus_source'],
  ['from this network', segment(parseIp('0.0.0.1'), 1), Verdict.SHOT, 'bogus_source'],
  ['from a loopback', segment(parseIp('127.0.0.1'), 1), Verdict.SHOT, 'bogus_source'],
  ['from a multicast group', segment(parseIp('224.0.0.1'), 1), Verdict.SHOT, 'bogus_source'],
  ['from the broadcast address', segment(parseIp('255.255.255.255'), 1), Verdict.SHOT, 'bogus_source'],
  ['from port 0', segment(CLIENT, 0), Verdict.SHOT, 'malformed'],
  ['half a TCP header', frame(unframe(segment(CLIENT, 1)).slice(0, 30)), Verdict.SHOT, 'malformed'],
] as const) {
  test(`${name}: ${exit}`, () => {
    assert.equal(verdictOf(bytes), verdict);
    assert.equal(counters.read()[exit], 1);
  });
}

function knock(fields: { flags?: number; payload?: Uint8Array; options?: Uint8Array } = {}): Uint8Array {
  const { flags = TcpFlags.SYN, ...rest } = fields;
  const tcp = { src: CLIENT, dst: VIP, sport: 40_000, dport: 22, seq: 4711, ack: 0, flags, window: 3 };
  return frame(buildPacket({ ...tcp, ...rest }));
}

test('a SYN for a port that is not served is refused, as any server does it', () => {
  const { verdict, packet } = testRun(
    object.program('lb_wan'),
    knock({ options: encodeOptions({ mss: 1460, sackPermitted: true, windowScale: 7 }) }),
  );
  assert.equal(verdict, Verdict.REDIRECT);
  assert.ok(hasValidChecksums(unframe(packet)));
  const { src, dst, sport, dport, flags, seq, ack, optionsLength } = parsePacket(unframe(packet))!;
  assert.deepEqual([src, dst, sport, dport], [VIP, CLIENT, 22, 40_000]);
  assert.deepEqual([flags, seq, ack, optionsLength], [TcpFlags.RST | TcpFlags.ACK, 0, 4712, 0]);
  assert.equal(counters.read().refused, 1);
});

test('what is no plain SYN is not refused: connections outlive their listener', () => {
  const { ACK, FIN, RST, SYN } = TcpFlags;
  for (const flags of [ACK, FIN | ACK, RST, SYN | ACK, SYN | FIN, 0]) {
    assert.equal(verdictOf(knock({ flags })), Verdict.SHOT);
  }
  assert.equal(verdictOf(knock({ payload: new Uint8Array(3) })), Verdict.SHOT);
  assert.equal(counters.read().closed_port, 7);
});

test('refusals are bounded', () => {
  const started = performance.now();
  for (let i = 0; i < 1000; i++) verdictOf(knock());
  const earned = Math.ceil(performance.now() - started);
  const { refused, closed_port } = counters.read();
  assert.equal(refused! + closed_port!, 1000);
  assert.ok(refused! >= 200 && refused! <= 200 + earned, `${refused} refused`);
});

const ROUTER = parseIp('192.0.2.1');

/** What a router says about an answer from the VIP, whose bytes may be changed. */
function tooBig(
  fields: { type?: number; code?: number; sport?: number; client?: number; port?: number; dst?: number } = {},
  quote = (answer: Uint8Array) => answer.subarray(0, 28),
): Uint8Array {
  const answer = buildPacket({
    src: VIP,
    dst: fields.client ?? CLIENT,
    sport: fields.sport ?? 80,
    dport: fields.port ?? 40_000,
    seq: 1,
    ack: 2,
    flags: TcpFlags.ACK,
    window: 3,
    payload: new Uint8Array(1400),
  });
  const { type, code, dst = VIP } = fields;
  return frame(buildFragmentationNeeded({ src: ROUTER, dst, mtu: 1200, quoted: quote(answer), type, code }));
}

test('"fragmentation needed" goes, unchanged, where the quoted connection goes', () => {
  const address = fc.integer({ min: 1, max: 0xffffffff });
  fc.assert(
    fc.property(address, fc.integer({ min: 1, max: 65_535 }), (client, port) => {
      const wanted = flowHash(client, port, VIP, 80, SEED) & (SLOTS - 1);
      const bytes = tooBig({ client, port });
      fill(0, slot => (slot === wanted ? 0 : NO_HOP));
      const result = testRun(object.program('lb_wan'), bytes);
      assert.equal(result.verdict, Verdict.REDIRECT);
      assert.deepEqual(result.packet, bytes);
      fill(0, slot => (slot === wanted ? NO_HOP : 0));
      assert.equal(verdictOf(bytes), Verdict.SHOT);
    }),
    { numRuns: 50 },
  );
  const { path_mtu, no_proxy, steered } = counters.read();
  assert.deepEqual([path_mtu, no_proxy, steered], [50, 50, 0]);
});

const changed = (offset: number, ...values: number[]) =>
  tooBig({}, answer => {
    answer.set(values, offset);
    return answer.subarray(0, 28);
  });
for (const [name, bytes, verdict, exit] of [
  ['of another type, an echo', tooBig({ type: 8, code: 0 }), Verdict.SHOT, 'other_protocol'],
  ['of another code, port unreachable', tooBig({ code: 3 }), Verdict.SHOT, 'other_protocol'],
  ['without a body', frame(unframe(tooBig()).slice(0, 20)), Verdict.SHOT, 'other_protocol'],
  ['to another address', tooBig({ dst: parseIp('10.62.0.11') }), Verdict.OK, 'not_for_vip'],
  ['about a port that is not served', tooBig({ sport: 22 }), Verdict.SHOT, 'closed_port'],
  ['that quotes 27 bytes', tooBig({}, answer => answer.subarray(0, 27)), Verdict.SHOT, 'malformed'],
  ['cut off on its way', tooBig().slice(0, -1), Verdict.SHOT, 'malformed'],
  ['that quotes UDP', changed(9, 17), Verdict.SHOT, 'malformed'],
  ['that quotes a fragment', changed(6, 0x20, 1), Verdict.SHOT, 'malformed'],
  ['that quotes IP options', changed(0, 0x46), Verdict.SHOT, 'malformed'],
  ['that quotes IPv6', changed(0, 0x65), Verdict.SHOT, 'malformed'],
  ['that quotes less than a TCP header', changed(2, 0, 39), Verdict.SHOT, 'malformed'],
  ['that quotes another source', changed(12, 10, 60, 0, 2), Verdict.SHOT, 'malformed'],
] as const) {
  test(`ICMP ${name}: ${exit}`, () => {
    assert.equal(verdictOf(bytes), verdict);
    assert.equal(counters.read()[exit], 1);
  });
}
