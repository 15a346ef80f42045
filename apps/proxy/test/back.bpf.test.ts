import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  BpfMap,
  type BpfObject,
  buildPacket,
  Counters,
  encodeOptions,
  frame,
  loadObject,
  mapMemory,
  parseIp,
  RingBuffer,
  TcpFlags,
  testRun,
  u32,
  unframe,
  Verdict,
} from '@resplice/dataplane';
import { CookieClock } from '../src/cookie-clock.ts';
import { networkOrder } from '../src/datapath.ts';
import * as layout from '../src/layout.generated.ts';

const { ACK, FIN, SYN } = TcpFlags;
const OBJECT = new URL('../bpf/proxy.bpf.o', import.meta.url).pathname;
const CLIENT = parseIp('10.61.0.2');
const VIP = parseIp('10.60.0.1');
const SELF = parseIp('10.63.0.11');
const BACKEND = parseIp('10.64.0.11');

let object: BpfObject;
let counters: Counters;
let ring: RingBuffer;

beforeEach(() => {
  object = loadObject(OBJECT, { maxEntries: { splices: 1024, events: 1 << 15 } });
  counters = new Counters(object.map('counters'), layout.proxyExitNames);
  ring = new RingBuffer(object.map('events'));
  const memory = new DataView(mapMemory(object.map('proxy_config')));
  const clock = new CookieClock(memory, new Uint8Array(32));
  layout.proxyConfig.write(memory, 0, { clock: clock.value(), address: SELF, mss: 1460 });
  const listeners = new BpfMap(object.map('listeners'), layout.listenerKey, u32);
  for (const port of [0, 80]) listeners.set({ vip: VIP, port }, 1);
  new BpfMap(object.map('backends'), u32, u32).set(networkOrder(BACKEND), 1);
});

afterEach(() => {
  ring.close();
  object.close();
});

const TCP = { sport: 8080, dport: 40_000, seq: 5000, ack: 1001, flags: SYN | ACK, window: 65_160 };

function envelope(inner: Uint8Array, from = BACKEND, to = SELF): Uint8Array {
  const outer = new Uint8Array(20 + inner.length);
  const view = new DataView(outer.buffer);
  outer[0] = 0x45;
  view.setUint16(2, outer.length);
  outer[8] = 64;
  outer[9] = 4;
  view.setUint32(12, from);
  view.setUint32(16, to);
  outer.set(inner, 20);
  return outer;
}

function run(packet: Uint8Array) {
  return testRun(object.program('proxy_back'), frame(packet));
}

function replies(): layout.ReplyEvent[] {
  const seen: layout.ReplyEvent[] = [];
  ring.drain((view, offset) => seen.push(layout.replyEvent.read(view, offset)));
  return seen;
}

test("a back end's answer to our SYN is unpacked for user space", () => {
  const options = encodeOptions({ mss: 1460, sackPermitted: true, windowScale: 7 });
  const inner = buildPacket({ ...TCP, src: BACKEND, dst: CLIENT, options });
  assert.equal(run(envelope(inner)).verdict, Verdict.SHOT);
  const [reply = assert.fail('no event')] = replies();
  assert.deepEqual(
    { ...reply, timeNs: 0n, optionBytes: reply.optionBytes.slice(0, 12) },
    {
      type: layout.EventType.EVENT_REPLY,
      options: 12,
      timeNs: 0n,
      backend: BACKEND,
      client: CLIENT,
      backendPort: 8080,
      clientPort: 40_000,
      sequence: 5000,
      acknowledgement: 1001,
      window: 65_160,
      flags: SYN | ACK,
      optionBytes: [...options],
    },
  );
});

test('an envelope for another proxy, or from a stranger, is not opened', () => {
  const inner = buildPacket({ ...TCP, src: BACKEND, dst: CLIENT });
  run(envelope(inner, BACKEND, parseIp('10.63.0.12')));
  run(envelope(inner, parseIp('10.64.0.99')));
  assert.equal(replies().length, 0);
});

test('an envelope with a broken packet inside is counted, not believed', () => {
  const inner = buildPacket({ ...TCP, src: BACKEND, dst: CLIENT }).slice();
  inner[32] = 0x40; // a TCP header of 16 bytes
  assert.equal(run(envelope(inner)).verdict, Verdict.SHOT);
  assert.equal(run(envelope(inner.subarray(0, 30))).verdict, Verdict.SHOT);
  assert.equal(counters.read().back_malformed, 2);
  assert.equal(replies().length, 0);
});

test('translated answers pass untouched (P3.2)', () => {
  const packet = buildPacket({ ...TCP, src: VIP, dst: CLIENT, sport: 80, flags: ACK });
  const result = run(packet);
  assert.equal(result.verdict, Verdict.OK);
  assert.deepEqual(unframe(result.packet), packet);
});

test("a server's FIN is noted in the splice", () => {
  const splices = new BpfMap(object.map('splices'), layout.connection, layout.splice);
  const connection = { client: CLIENT, vip: VIP, clientPort: 40_000, vipPort: 80 };
  const fields = {
    backend: BACKEND,
    backendPort: 8080,
    backendId: 1,
    delta: 1,
    isn: 1,
    p0: 1,
    clientNext: 0,
  };
  splices.set(connection, { ...fields, challengeIsn: 0, owner: 1, flags: 0, createdMs: 0n, seenNs: 0n });
  run(buildPacket({ ...TCP, src: VIP, dst: CLIENT, sport: 80, flags: ACK }));
  assert.equal(splices.get(connection)!.flags, 0);
  assert.equal(
    run(buildPacket({ ...TCP, src: VIP, dst: CLIENT, sport: 80, flags: ACK | FIN })).verdict,
    Verdict.OK,
  );
  assert.equal(splices.get(connection)!.flags, layout.SpliceFlag.SPLICE_SERVER_CLOSED);
});

test('untranslated answers do not pass', () => {
  assert.equal(run(buildPacket({ ...TCP, src: BACKEND, dst: CLIENT, flags: ACK })).verdict, Verdict.SHOT);
  assert.equal(counters.read().back_untranslated, 1);
});

test('nothing to the VIP is routed on from here', () => {
  assert.equal(run(buildPacket({ ...TCP, src: CLIENT, dst: VIP })).verdict, Verdict.SHOT);
  assert.equal(counters.read().back_to_vip, 1);
});

test('what a back end says to this proxy itself passes: probes, records', () => {
  assert.equal(run(buildPacket({ ...TCP, src: BACKEND, dst: SELF, flags: ACK })).verdict, Verdict.OK);
});
