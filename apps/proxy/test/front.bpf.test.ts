import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { add, frame, TcpFlags, unframe, Verdict } from '@resplice/dataplane';
import { writeListeners } from '@resplice/service-kit';
import fc from 'fast-check';
import * as layout from '../src/layout.generated.ts';
import { BACKEND, CONNECTION, KernelHalf, SPLICE, segment } from './fixtures/kernel-half.ts';

const { ACK, FIN, RST, SYN } = TcpFlags;

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf();
});

afterEach(() => half.close());

test('a frame for another station is not touched: an answer would teach the bridge a lie', () => {
  const bytes = segment({ flags: SYN, seq: 1 });
  bytes[0] = 2;
  const result = half.run(bytes);
  assert.equal(result.verdict, Verdict.OK);
  assert.deepEqual(result.packet, bytes);
  assert.equal(half.counters.read().front_not_for_vip, 1);
});

test('in the middle of a connection that is not known here: to user space, which asks the peers', () => {
  assert.equal(half.run(segment({ flags: ACK, seq: 9, ack: 9 })).verdict, Verdict.SHOT);
  assert.deepEqual(
    half.events().map(({ event }) => [event.cookie, event.payload]),
    [[0, 0]],
  );
  assert.equal(half.run(segment({ flags: RST, seq: 9 })).verdict, Verdict.SHOT);
  assert.equal(half.counters.read().front_stray_rst, 1);
  assert.equal(half.events().length, 0);
});

test('a full ring drops, and counts', () => {
  const p0 = half.shake(1000);
  const payload = new Uint8Array(3000);
  const verdicts = [1, 2, 3].map(
    () => half.run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload })).verdict,
  );
  assert.deepEqual(verdicts, [Verdict.SHOT, Verdict.SHOT, Verdict.SHOT]);
  assert.ok(half.counters.read().front_ring_full! >= 1);
  assert.ok(half.events().length < 3);
});

const vips = (...ports: number[]) => ports.map(port => ({ address: '10.60.0.1', port }));

test('a listener that is removed takes no new connection; those that it has live on, and it may come back', () => {
  const listen = (...ports: number[]) => writeListeners(half.object, layout.listenerKey, vips(...ports));
  const answered = () => half.run(segment({ flags: SYN, seq: 5000 })).verdict === Verdict.REDIRECT;
  assert.ok(answered());
  const p0 = half.shake(1000);
  half.splices.set({ ...CONNECTION, clientPort: 40_001 }, { ...SPLICE, seenNs: 1n, clientNext: 1001 });
  listen(81);
  assert.equal(answered(), false);
  assert.equal(half.counters.read().front_closed_port, 1);
  const spliced = segment({ flags: ACK, seq: 1001, sport: 40_001, payload: 'x' });
  assert.equal(half.run(spliced).verdict, Verdict.OK);
  // A client whose handshake is done has a connection, though nobody but it knows of it.
  half.run(segment({ flags: ACK, seq: 1001, ack: add(p0, 1), payload: 'GET' }));
  assert.deepEqual(
    half.events().map(({ event }) => [event.cookie, event.payload]),
    [[1, 3]],
  );
  listen(80);
  assert.ok(answered());
});

test('more removed listeners than the map holds: the open ones always have their place', () => {
  const ports = (from: number) => Array.from({ length: 100 }, (_, i) => from + i);
  const open = (port: number) =>
    half.run(segment({ flags: SYN, seq: 1, dport: port })).verdict === Verdict.REDIRECT;
  for (const from of [1000, 2000, 3000, 4000]) {
    writeListeners(half.object, layout.listenerKey, vips(...ports(from)));
    assert.ok(ports(from).every(open), `from ${from}`);
    assert.ok(!open(from - 1000));
  }
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
  ['port 0', segment({ flags: SYN, seq: 1, dport: 0 }), Verdict.SHOT, 'front_closed_port'],
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
    assert.equal(half.run(bytes).verdict, verdict);
    assert.equal(half.counters.read()[counter], 1);
    assert.equal(half.events().length, 0);
  });
}

test('garbage never gets past as if it were spliced', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 200 }), bytes => {
      const packet = bytes.slice();
      packet[0] = 0x45;
      packet.set([10, 60, 0, 1], 16);
      assert.notEqual(half.run(frame(packet)).verdict, Verdict.OK);
    }),
  );
});
