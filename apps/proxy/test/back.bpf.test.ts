import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { buildPacket, encodeOptions, frame, parseIp, TcpFlags, unframe, Verdict } from '@resplice/dataplane';
import * as layout from '../src/layout.generated.ts';
import { BACKEND, CLIENT, CONNECTION, KernelHalf, SELF, SPLICE, VIP } from './fixtures/kernel-half.ts';

const { ACK, FIN, SYN } = TcpFlags;

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf();
});

afterEach(() => half.close());

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
  return half.run(frame(packet), 'proxy_back');
}

test("a back end's answer to our SYN is unpacked for user space", () => {
  const options = encodeOptions({ mss: 1460, sackPermitted: true, windowScale: 7 });
  const inner = buildPacket({ ...TCP, src: BACKEND, dst: CLIENT, options });
  assert.equal(run(envelope(inner)).verdict, Verdict.SHOT);
  const [reply = assert.fail('no event')] = half.replies();
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
  assert.equal(half.replies().length, 0);
});

test('an envelope with a broken packet inside is counted, not believed', () => {
  const inner = buildPacket({ ...TCP, src: BACKEND, dst: CLIENT }).slice();
  inner[32] = 0x40; // a TCP header of 16 bytes
  assert.equal(run(envelope(inner)).verdict, Verdict.SHOT);
  assert.equal(run(envelope(inner.subarray(0, 30))).verdict, Verdict.SHOT);
  assert.equal(half.counters.read().back_malformed, 2);
  assert.equal(half.replies().length, 0);
});

test('translated answers pass untouched (P3.2)', () => {
  const packet = buildPacket({ ...TCP, src: VIP, dst: CLIENT, sport: 80, flags: ACK });
  const result = run(packet);
  assert.equal(result.verdict, Verdict.OK);
  assert.deepEqual(unframe(result.packet), packet);
});

test("a server's FIN is noted in the splice", () => {
  half.splices.set(CONNECTION, SPLICE);
  run(buildPacket({ ...TCP, src: VIP, dst: CLIENT, sport: 80, flags: ACK }));
  assert.equal(half.splices.get(CONNECTION)!.flags, layout.SpliceFlag.SPLICE_ANCHORED);
  assert.equal(
    run(buildPacket({ ...TCP, src: VIP, dst: CLIENT, sport: 80, flags: ACK | FIN })).verdict,
    Verdict.OK,
  );
  const { SPLICE_ANCHORED, SPLICE_SERVER_CLOSED } = layout.SpliceFlag;
  assert.equal(half.splices.get(CONNECTION)!.flags, SPLICE_ANCHORED | SPLICE_SERVER_CLOSED);
});

test('untranslated answers do not pass', () => {
  assert.equal(run(buildPacket({ ...TCP, src: BACKEND, dst: CLIENT, flags: ACK })).verdict, Verdict.SHOT);
  assert.equal(half.counters.read().back_untranslated, 1);
});

test('nothing to the VIP is routed on from here', () => {
  assert.equal(run(buildPacket({ ...TCP, src: CLIENT, dst: VIP })).verdict, Verdict.SHOT);
  assert.equal(half.counters.read().back_to_vip, 1);
});

test('what a back end says to this proxy itself passes: probes, records', () => {
  assert.equal(run(buildPacket({ ...TCP, src: BACKEND, dst: SELF, flags: ACK })).verdict, Verdict.OK);
});
