import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  add,
  BpfMap,
  type BpfObject,
  buildPacket,
  Counters,
  encodeOptions,
  frame,
  hasValidChecksums,
  loadObject,
  mapMemory,
  parseIp,
  parseOptions,
  parsePacket,
  RingBuffer,
  sub,
  TcpFlags,
  testRun,
  u32,
  unframe,
  Verdict,
} from '@resplice/dataplane';
import fc from 'fast-check';
import { CookieClock } from '../src/cookie-clock.ts';
import * as layout from '../src/layout.generated.ts';

const { ACK, FIN, PSH, RST, SYN } = TcpFlags;
const OBJECT = new URL('../bpf/proxy.bpf.o', import.meta.url).pathname;
const CLIENT = parseIp('10.61.0.2');
const VIP = parseIp('10.60.0.1');
const BACKEND = parseIp('10.64.0.11');
const KEY = new Uint8Array(32).fill(7);
const SLOT_MS = 64_000;

let object: BpfObject;
let splices: BpfMap<layout.Connection, layout.Splice>;
let counters: Counters;
let ring: RingBuffer;
let memory: DataView;
let clock: CookieClock;

beforeEach(() => {
  object = loadObject(OBJECT, { maxEntries: { splices: 1024, events: 1 << 15 } });
  splices = new BpfMap(object.map('splices'), layout.connection, layout.splice);
  counters = new Counters(object.map('counters'), layout.proxyExitNames);
  ring = new RingBuffer(object.map('events'));
  memory = new DataView(mapMemory(object.map('proxy_config')));
  clock = new CookieClock(memory, KEY);
  setTime(Date.now());
  const listeners = new BpfMap(object.map('listeners'), layout.listenerKey, u32);
  for (const port of [0, 80]) listeners.set({ vip: VIP, port }, 1);
});

afterEach(() => {
  ring.close();
  object.close();
});

function setTime(nowMs: number): void {
  layout.proxyConfig.write(memory, 0, {
    clock: clock.value(nowMs),
    address: parseIp('10.63.0.11'),
    mss: 1460,
  });
}

function segment(fields: {
  flags: number;
  seq: number;
  ack?: number;
  payload?: string | Uint8Array;
  options?: Uint8Array | undefined;
  sport?: number;
  dport?: number;
  dst?: number;
}): Uint8Array {
  const { payload } = fields;
  return frame(
    buildPacket({
      src: CLIENT,
      dst: fields.dst ?? VIP,
      sport: fields.sport ?? 40_000,
      dport: fields.dport ?? 80,
      seq: fields.seq,
      ack: fields.ack ?? 0,
      flags: fields.flags,
      window: 5000,
      options: fields.options,
      payload: typeof payload === 'string' ? new TextEncoder().encode(payload) : payload,
    }),
  );
}

function run(bytes: Uint8Array, program = 'proxy_front') {
  const result = testRun(object.program(program), bytes);
  return { ...result, ip: unframe(result.packet) };
}

function events() {
  const seen: { event: layout.SegmentEvent; payload: Uint8Array }[] = [];
  ring.drain((view, offset) => {
    const event = layout.segmentEvent.read(view, offset);
    const at = view.byteOffset + offset + layout.segmentEvent.size;
    seen.push({ event, payload: new Uint8Array(view.buffer, at, event.captured).slice() });
  });
  return seen;
}

/** Opens a connection as a client would and returns p0. */
function shake(
  isn: number,
  options = encodeOptions({ mss: 1460, sackPermitted: true, windowScale: 9 }),
  sport = 40_000,
): number {
  const { ip, verdict } = run(segment({ flags: SYN, seq: isn, options, sport }));
  assert.equal(verdict, Verdict.REDIRECT);
  return parsePacket(ip)!.seq;
}

const SPLICE: layout.Splice = {
  backend: BACKEND,
  backendPort: 8080,
  backendId: 1,
  delta: 12_345,
  isn: 1000,
  p0: 77,
  clientNext: 0,
  challengeIsn: 0,
  owner: 1,
  flags: 0,
  createdMs: 0n,
  seenNs: 0n,
};
const CONNECTION: layout.Connection = { client: CLIENT, vip: VIP, clientPort: 40_000, vipPort: 80 };

test('a SYN is answered with a SYN-ACK that any client accepts', () => {
  const options = encodeOptions({ mss: 1460, sackPermitted: true, windowScale: 9 });
  const { ip, packet, verdict } = run(segment({ flags: SYN, seq: 0xffffffff, options }));
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
  assert.equal(counters.read().front_syn_answered, 1);
  assert.equal(events().length, 0);
});

test('what the client did not offer is not granted', () => {
  const { ip } = run(segment({ flags: SYN, seq: 1 }));
  const reply = parsePacket(ip)!;
  assert.ok(hasValidChecksums(ip));
  const offered = parseOptions(ip, reply.optionsOffset, reply.optionsLength);
  assert.deepEqual([offered.mss, offered.sackPermitted, offered.windowScale], [1460, false, undefined]);
});

test('options of any length are replaced, and the checksums stay right', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 0xffffffff }), (words, isn) => {
      const { ip, verdict } = run(
        segment({ flags: SYN, seq: isn, options: new Uint8Array(words * 4).fill(1) }),
      );
      assert.equal(verdict, Verdict.REDIRECT);
      assert.ok(hasValidChecksums(ip));
      assert.equal(parsePacket(ip)!.ack, add(isn, 1));
    }),
  );
});

test("the handshake's ACK makes no state and no event", () => {
  const p0 = shake(1000);
  const { verdict } = run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1) }));
  assert.equal(verdict, Verdict.SHOT);
  assert.equal(counters.read().front_handshake_done, 1);
  assert.equal(events().length, 0);
});

test('the first data goes to user space with what the cookie says', () => {
  const p0 = shake(1000, encodeOptions({ mss: 1400, sackPermitted: true, windowScale: 9 }));
  const { verdict } = run(
    segment({ flags: ACK | PSH, seq: 1001, ack: add(p0, 1), payload: 'GET / HTTP/1.1\r\n\r\n' }),
  );
  assert.equal(verdict, Verdict.SHOT);
  const [{ event, payload } = assert.fail('no event')] = events();
  assert.equal(new TextDecoder().decode(payload), 'GET / HTTP/1.1\r\n\r\n');
  assert.deepEqual(
    { ...event, timeNs: 0n },
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
    },
  );
});

test('a payload of any size arrives whole', () => {
  const p0 = shake(1000);
  for (const size of [1, 1460, 2048, 2049, 3500]) {
    const payload = Uint8Array.from({ length: size }, (_, i) => (i * 7) & 0xff);
    run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload }));
    assert.deepEqual(events()[0]?.payload, payload, `${size} bytes`);
  }
});

test('a cookie is good for one client, port and ISN', () => {
  const p0 = shake(1000);
  const forge = (change: { seq?: number; sport?: number; ack?: number }) => {
    run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload: 'x', ...change }));
    return events()[0]?.event.cookie;
  };
  assert.equal(forge({}), 1);
  assert.equal(forge({ seq: 1002 }), 0);
  assert.equal(forge({ sport: 40_001 }), 0);
  for (let bit = 0; bit < 32; bit++)
    assert.equal(forge({ ack: (add(p0, 1) ^ (1 << bit)) >>> 0 }), 0, `bit ${bit}`);
});

test('a preconnect may wait five minutes, not for ever; keys change meanwhile', () => {
  const period = SLOT_MS * 64;
  // A little before the keys change.
  const start = Math.floor(Date.now() / period) * period + period - SLOT_MS;
  setTime(start);
  const p0 = shake(1000);
  const valid = (afterMs: number) => {
    setTime(start + afterMs);
    run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload: 'x' }));
    return events()[0]?.event.cookie === 1;
  };
  assert.equal(valid(0), true);
  assert.equal(valid(5 * 60_000), true);
  assert.equal(valid(-SLOT_MS), true, 'made by a proxy whose clock is ahead');
  assert.equal(valid(8 * SLOT_MS), false);
  assert.equal(valid(period * 5), false);
});

test('opened and closed without a byte: the FIN is answered', () => {
  const p0 = shake(1000);
  const { ip, verdict } = run(segment({ flags: FIN | ACK, seq: 1001, ack: add(p0, 1) }));
  assert.equal(verdict, Verdict.REDIRECT);
  assert.ok(hasValidChecksums(ip));
  const reply = parsePacket(ip)!;
  assert.deepEqual(
    [reply.flags, reply.seq, reply.ack, reply.optionsLength],
    [FIN | ACK, add(p0, 1), 1002, 0],
  );
});

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
        splices.set(CONNECTION, { ...SPLICE, delta });
        const options = sackOption(blocks);
        const sent = segment({ flags: ACK, seq, ack, payload, options });
        const { ip, verdict } = run(sent);
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
  splices.set(CONNECTION, SPLICE);
  run(segment({ flags: ACK, seq: 1001, ack: 78, payload: 'abc' }));
  assert.equal(splices.get(CONNECTION)!.clientNext, 1004);
  assert.equal(run(segment({ flags: FIN | ACK, seq: 1004, ack: 78 })).verdict, Verdict.OK);
  assert.equal(splices.get(CONNECTION)!.flags, layout.SpliceFlag.SPLICE_CLOSED);
  assert.equal(events()[0]?.event.type, layout.EventType.EVENT_CLOSE);
});

test('an RST closes only at the exact sequence number (RFC 5961)', () => {
  splices.set(CONNECTION, SPLICE);
  run(segment({ flags: ACK, seq: 1001, ack: 78, payload: 'abc' }));
  for (const seq of [1003, 1005, 1001]) run(segment({ flags: RST, seq }));
  assert.equal(splices.get(CONNECTION)!.flags, 0);
  assert.equal(events().length, 0);
  run(segment({ flags: RST, seq: 1004 }));
  assert.equal(splices.get(CONNECTION)!.flags, layout.SpliceFlag.SPLICE_CLOSED);
});

test('a port that is used again: the old entry serves until the new cookie is acknowledged', () => {
  splices.set(CONNECTION, SPLICE);
  const p0 = shake(500_000);
  assert.equal(splices.get(CONNECTION)!.challengeIsn, 500_000);
  assert.equal(run(segment({ flags: ACK, seq: 1001, ack: 78, payload: 'old' })).verdict, Verdict.OK);
  // A forger who does not see p0 cannot take the entry away.
  assert.equal(run(segment({ flags: ACK, seq: 500_001, ack: 4711, payload: 'forged' })).verdict, Verdict.OK);
  assert.equal(
    run(segment({ flags: ACK, seq: 500_001, ack: add(p0, 1), payload: 'new' })).verdict,
    Verdict.SHOT,
  );
  const [{ event, payload } = assert.fail('no event')] = events();
  assert.deepEqual([event.cookie, new TextDecoder().decode(payload)], [1, 'new']);
});

test('a port that is used again, its SYN answered by another proxy: the cookie tells', () => {
  const seen = { seenNs: 1n, clientNext: 1004 };
  for (const [name, entry, isn] of [
    ['far from the old connection', seen, 900_000_000],
    ['close to it, but that one is closed', { ...seen, flags: layout.SpliceFlag.SPLICE_CLOSED }, 50_000],
    ['the old one was never seen here', {}, 50_000],
  ] as const) {
    const p0 = shake(isn); // without an entry: no challenge is noted
    splices.set(CONNECTION, { ...SPLICE, ...entry });
    const { verdict } = run(segment({ flags: ACK, seq: isn + 1, ack: add(p0, 1), payload: 'new' }));
    assert.equal(verdict, Verdict.SHOT, name);
    assert.equal(events()[0]?.event.cookie, 1, name);
    splices.delete(CONNECTION);
  }
});

test("a request's further segments do not slip into the port's former connection", () => {
  splices.set(CONNECTION, {
    ...SPLICE,
    seenNs: 1n,
    clientNext: 1004,
    flags: layout.SpliceFlag.SPLICE_CLOSED,
  });
  const p0 = shake(1_050);
  for (const seq of [1_051, 2_511, 3_971]) {
    assert.equal(run(segment({ flags: ACK, seq, ack: add(p0, 1), payload: 'part' })).verdict, Verdict.SHOT);
  }
  assert.deepEqual(
    events().map(({ event }) => [event.sequence, event.cookie]),
    [
      [1_051, 1],
      [2_511, 0],
      [3_971, 0],
    ],
  );
});

test('what is far from where the client was is for user space to judge, and changes nothing', () => {
  splices.set(CONNECTION, { ...SPLICE, seenNs: 1n, clientNext: 1004 });
  for (const flags of [ACK, FIN | ACK]) run(segment({ flags, seq: 800_000_000, ack: 78, payload: 'x' }));
  assert.equal(events().length, 2);
  run(segment({ flags: RST, seq: 800_000_000 }));
  assert.equal(counters.read().front_stray_rst, 1);
  const { clientNext, flags } = splices.get(CONNECTION)!;
  assert.deepEqual([clientNext, flags], [1004, 0]);
});

test('the last packets of a closed connection still reach its server', () => {
  splices.set(CONNECTION, {
    ...SPLICE,
    seenNs: 1n,
    clientNext: 1004,
    flags: layout.SpliceFlag.SPLICE_CLOSED,
  });
  assert.equal(run(segment({ flags: ACK, seq: 1004, ack: 90 })).verdict, Verdict.OK);
  assert.equal(run(segment({ flags: FIN | ACK, seq: 1003, ack: 90 })).verdict, Verdict.OK);
  assert.equal(
    run(segment({ flags: ACK, seq: 1001, ack: 90, payload: 'ab' })).verdict,
    Verdict.OK,
    'sent again',
  );
});

test('a frame for another station is not touched: an answer would teach the bridge a lie', () => {
  const bytes = segment({ flags: SYN, seq: 1 });
  bytes[0] = 2;
  const result = run(bytes);
  assert.equal(result.verdict, Verdict.OK);
  assert.deepEqual(result.packet, bytes);
  assert.equal(counters.read().front_not_for_vip, 1);
});

test('closed unused: the ACK of our FIN makes no event', () => {
  const p0 = shake(1000);
  assert.equal(run(segment({ flags: ACK, seq: 1002, ack: add(p0, 2) })).verdict, Verdict.SHOT);
  assert.equal(events().length, 0);
});

test('in the middle of a connection that is not known here: to user space, which asks the peers', () => {
  assert.equal(run(segment({ flags: ACK, seq: 9, ack: 9 })).verdict, Verdict.SHOT);
  assert.deepEqual(
    events().map(({ event }) => [event.cookie, event.payload]),
    [[0, 0]],
  );
  assert.equal(run(segment({ flags: RST, seq: 9 })).verdict, Verdict.SHOT);
  assert.equal(counters.read().front_stray_rst, 1);
  assert.equal(events().length, 0);
});

test('a full ring drops, and counts', () => {
  const p0 = shake(1000);
  const payload = new Uint8Array(3000);
  const verdicts = [1, 2, 3].map(
    () => run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload })).verdict,
  );
  assert.deepEqual(verdicts, [Verdict.SHOT, Verdict.SHOT, Verdict.SHOT]);
  assert.ok(counters.read().front_ring_full! >= 1);
  assert.ok(events().length < 3);
});

const udp = unframe(segment({ flags: ACK, seq: 1 })).slice();
udp[9] = 17;
const fragment = unframe(segment({ flags: ACK, seq: 1 })).slice();
fragment[6] = 0x20;
const long = unframe(segment({ flags: ACK, seq: 1 })).slice();
long[2] = 0xff;
for (const [name, bytes, verdict, counter] of [
  ['another address', segment({ flags: SYN, seq: 1, dst: BACKEND }), Verdict.OK, 'front_not_for_vip'],
  ['ARP', frame(new Uint8Array(46), 0x0806), Verdict.OK, 'front_not_for_vip'],
  ['another port', segment({ flags: SYN, seq: 1, dport: 81 }), Verdict.SHOT, 'front_closed_port'],
  ['UDP to the VIP', frame(udp), Verdict.SHOT, 'front_other_protocol'],
  ['a fragment', frame(fragment), Verdict.SHOT, 'front_malformed'],
  ['a length beyond the frame', frame(long), Verdict.SHOT, 'front_malformed'],
  ['SYN and FIN', segment({ flags: SYN | FIN, seq: 1 }), Verdict.SHOT, 'front_malformed'],
  ['SYN and RST', segment({ flags: SYN | RST, seq: 1 }), Verdict.SHOT, 'front_malformed'],
  ['a SYN with data', segment({ flags: SYN, seq: 1, payload: 'x' }), Verdict.SHOT, 'front_syn_with_data'],
  [
    'an option longer than the header',
    segment({ flags: SYN, seq: 1, options: Uint8Array.of(8, 40, 1, 1) }),
    Verdict.SHOT,
    'front_malformed',
  ],
] as const) {
  test(`${name}: ${counter}`, () => {
    assert.equal(run(bytes).verdict, verdict);
    assert.equal(counters.read()[counter], 1);
    assert.equal(events().length, 0);
  });
}

test('garbage never gets past as if it were spliced', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 200 }), bytes => {
      const packet = bytes.slice();
      packet[0] = 0x45;
      packet.set([10, 60, 0, 1], 16);
      assert.notEqual(run(frame(packet)).verdict, Verdict.OK);
    }),
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
