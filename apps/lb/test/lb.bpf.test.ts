import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  BpfMap,
  type BpfObject,
  buildPacket,
  Counters,
  flowHash,
  frame,
  loadObject,
  mapMemory,
  parseIp,
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
  const address = fc.integer({ min: 1, max: 0xffffffff });
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

const udp = unframe(segment(1, 1)).slice();
udp[9] = 17;
for (const [name, bytes, verdict, exit] of [
  ['ARP', frame(new Uint8Array(46), 0x0806), Verdict.OK, 'not_for_vip'],
  ['another address', segment(1, 1, parseIp('10.62.0.11')), Verdict.OK, 'not_for_vip'],
  ['a port that is not served', segment(1, 1, VIP, 22), Verdict.SHOT, 'closed_port'],
  ['UDP to the VIP', frame(udp), Verdict.SHOT, 'other_protocol'],
  ['half a TCP header', frame(unframe(segment(1, 1)).slice(0, 30)), Verdict.SHOT, 'malformed'],
] as const) {
  test(`${name}: ${exit}`, () => {
    assert.equal(verdictOf(bytes), verdict);
    assert.equal(counters.read()[exit], 1);
  });
}
