import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
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
  SELF_MADE_TOS,
  TcpFlags,
  testRun,
  u32,
  Verdict,
} from '@resplice/dataplane';
import * as layout from '../src/layout.generated.ts';

const OBJECT = new URL('../bpf/router.bpf.o', import.meta.url).pathname;
const VIP = parseIp('10.60.0.1');
const CLIENT = parseIp('10.61.0.2');
const BACKEND = parseIp('10.64.0.11');
const SEED = 99;

let object: BpfObject;
let counters: Counters;
let table: DataView;

beforeEach(() => {
  object = loadObject(OBJECT);
  counters = new Counters(object.map('counters'), layout.routerExitNames);
  const listeners = new BpfMap(object.map('listeners'), layout.listenerKey, u32);
  for (const port of [0, 80]) listeners.set({ vip: VIP, port }, 1);
  new BpfMap(object.map('next_hops'), u32, layout.nextHop).set(0, {
    address: parseIp('127.0.0.1'),
    ifindex: 1,
  });
  table = new DataView(mapMemory(object.map('steering')));
  table.setUint32(layout.steeringOffsets.seed, SEED, true);
  for (let i = 0; i < 2048; i++) table.setUint16(layout.steeringOffsets.slots + i * 2, 0xffff, true);
});

afterEach(() => object.close());

function answer(src: number, sport: number): Uint8Array {
  const tcp = { dst: CLIENT, dport: 40_000, seq: 1, ack: 2, flags: TcpFlags.ACK, window: 3 };
  return frame(buildPacket({ ...tcp, src, sport }));
}

const run = (bytes: Uint8Array) => testRun(object.program('router_back'), bytes);

test("an answer takes the proxy that its connection's requests take", () => {
  assert.equal(run(answer(VIP, 80)).verdict, Verdict.SHOT, 'no proxy in any slot');
  assert.equal(counters.read().no_proxy, 1);
  const slot = flowHash(CLIENT, 40_000, VIP, 80, SEED) & 1023;
  table.setUint16(layout.steeringOffsets.slots + slot * 2, 0, true);
  const bytes = answer(VIP, 80);
  const result = run(bytes);
  assert.equal(result.verdict, Verdict.REDIRECT);
  assert.deepEqual(result.packet, bytes);
});

test('what does not speak for the VIP is left to the kernel', () => {
  assert.equal(run(answer(BACKEND, 8080)).verdict, Verdict.OK);
  assert.equal(run(frame(new Uint8Array(46), 0x0806)).verdict, Verdict.OK);
  assert.equal(counters.read().plain, 2);
});

test('a fragment in the VIP’s name goes nowhere', () => {
  const bytes = answer(VIP, 80);
  bytes[14 + 6] = 0x20;
  assert.equal(run(bytes).verdict, Verdict.SHOT);
  assert.equal(counters.read().malformed, 1);
});

suite('router_middle', () => {
  // As `frame` makes them.
  const MAC = [...answer(VIP, 80).subarray(6, 12)];
  const OWN = parseIp('10.63.0.12');
  const fence = (mac: number[], sinceMs = 1000) =>
    new BpfMap(object.map('fences'), layout.station, layout.fence).set(
      { mac },
      {
        address: OWN,
        epoch: 1,
        generation: 1,
        proxy: 2,
        sinceNs: process.hrtime.bigint() - BigInt(sinceMs) * 1_000_000n,
      },
    );
  const pass = (bytes: Uint8Array) => testRun(object.program('router_middle'), bytes).verdict;

  test('what a fenced proxy sends in a client’s name goes nowhere, whatever the protocol', () => {
    fence(MAC);
    assert.equal(pass(answer(CLIENT, 40_000)), Verdict.SHOT);
    const icmp = answer(CLIENT, 40_000);
    icmp[14 + 9] = 1;
    assert.equal(pass(icmp), Verdict.SHOT);
    assert.equal(counters.read().fenced, 2);
  });

  test('while balancers turn away, what it relays passes; what it makes itself does not', () => {
    fence(MAC, 0);
    assert.equal(pass(answer(CLIENT, 40_000)), Verdict.OK);
    const made = { dst: BACKEND, dport: 8080, sport: 40_000, seq: 1, ack: 2, flags: TcpFlags.SYN, window: 3 };
    assert.equal(pass(frame(buildPacket({ ...made, src: CLIENT, tos: SELF_MADE_TOS }))), Verdict.SHOT);
    assert.deepEqual([counters.read().fenced_yet, counters.read().fenced], [1, 1]);
  });

  test('what it says in its own name passes, and so does ARP', () => {
    fence(MAC);
    assert.equal(pass(answer(OWN, 7000)), Verdict.OK);
    assert.equal(pass(frame(new Uint8Array(46), 0x0806)), Verdict.OK);
    assert.equal(counters.read().unfenced, 2);
  });

  test('the others’ packets pass', () => {
    fence([...MAC.slice(0, 5), MAC[5]! ^ 1]);
    assert.equal(pass(answer(CLIENT, 40_000)), Verdict.OK);
    assert.equal(counters.read().unfenced, 1);
  });
});
