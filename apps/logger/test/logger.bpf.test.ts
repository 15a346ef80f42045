import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { BpfMap, buildPacket, frame, parseIp, SELF_MADE_TOS, TcpFlags, Verdict } from '@resplice/dataplane';
import * as layout from '../src/layout.generated.ts';
import { BACKEND, CLIENT, KernelHalf, MAC, passed, VIP } from './fixtures/kernel-half.ts';

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf();
});

afterEach(() => half.close());

/** What a back end sends to the client of a connection that nobody has logged. */
function answer(src: number, sport: number): Uint8Array {
  const tcp = { dst: CLIENT, dport: 40_000, seq: 1, ack: 2, flags: TcpFlags.ACK, window: 3 };
  return frame(buildPacket({ ...tcp, src, sport }));
}

suite('logger_back', () => {
  test("an answer takes the proxy that its connection's requests take", () => {
    half.steer(undefined);
    assert.equal(half.back(answer(VIP, 80)).verdict, Verdict.SHOT, 'no proxy in any slot');
    half.expect({ back_no_proxy: 1 });
    half.steer({ client: CLIENT, clientPort: 40_000, vip: VIP, vipPort: 80 });
    const bytes = answer(VIP, 80);
    const result = half.back(bytes);
    assert.equal(result.verdict, Verdict.REDIRECT);
    assert.deepEqual(result.packet, bytes);
    half.expect({ back_unlogged: 1 });
  });

  test('what does not speak for the VIP is left to the kernel', () => {
    assert.equal(half.back(answer(BACKEND, 8080)).verdict, Verdict.OK);
    assert.equal(half.back(frame(new Uint8Array(46), 0x0806)).verdict, Verdict.OK);
    half.expect({ back_plain: 2 });
  });

  test('a fragment in the VIP’s name goes nowhere', () => {
    const bytes = answer(VIP, 80);
    bytes[14 + 6] = 0x20;
    assert.equal(half.back(bytes).verdict, Verdict.SHOT);
    half.expect({ back_malformed: 1 });
  });
});

suite('fences in logger_middle', () => {
  const OWN = parseIp('10.63.0.12');
  const fence = (mac: readonly number[], sinceMs = 1000) => {
    new BpfMap(half.object.map('fences'), layout.station, layout.fence).set(
      { mac: [...mac] },
      {
        address: OWN,
        epoch: 1,
        generation: 1,
        proxy: 2,
        sinceNs: process.hrtime.bigint() - BigInt(sinceMs) * 1_000_000n,
      },
    );
    half.configure({ fences: 1 });
  };
  const pass = (bytes: Uint8Array) => half.middle(bytes).verdict;

  test('what a fenced proxy sends in a client’s name goes nowhere, whatever the protocol', () => {
    fence(MAC);
    assert.equal(pass(answer(CLIENT, 40_000)), Verdict.SHOT);
    const icmp = answer(CLIENT, 40_000);
    icmp[14 + 9] = 1;
    assert.equal(pass(icmp), Verdict.SHOT);
    half.expect({ middle_fenced: 2 });
  });

  test('while balancers turn away, what it relays passes; what it makes itself does not', () => {
    fence(MAC, 0);
    assert.equal(pass(answer(CLIENT, 40_000)), Verdict.OK);
    const made = { dst: BACKEND, dport: 8080, sport: 40_000, seq: 1, ack: 2, flags: TcpFlags.SYN, window: 3 };
    assert.equal(pass(frame(buildPacket({ ...made, src: CLIENT, tos: SELF_MADE_TOS }))), Verdict.SHOT);
    half.expect({ middle_plain: 1, middle_fenced: 1 });
  });

  test('what it says in its own name passes, and so does ARP', () => {
    fence(MAC);
    assert.equal(pass(answer(OWN, 7000)), Verdict.OK);
    assert.equal(pass(frame(new Uint8Array(46), 0x0806)), Verdict.OK);
    half.expect({ middle_plain: 2 });
  });

  test('the others’ packets pass', () => {
    fence([...MAC.slice(0, 5), MAC[5]! ^ 1]);
    assert.equal(pass(answer(CLIENT, 40_000)), Verdict.OK);
    half.expect({ middle_plain: 1 });
  });
});

suite('logger_out', () => {
  const said = (fields: { src?: number; tos?: number }) => {
    const tcp = { dst: CLIENT, dport: 40_000, sport: 80, seq: 1, ack: 2, flags: TcpFlags.ACK, window: 3 };
    const payload = new TextEncoder().encode('HTTP/1.1 502');
    return frame(buildPacket({ ...tcp, payload, src: VIP, tos: SELF_MADE_TOS, ...fields }));
  };

  test('what the logger says takes the proxy of its connection, and bears no mark any more', () => {
    half.steer(undefined);
    assert.equal(half.out(said({})).verdict, Verdict.SHOT, 'no proxy in any slot');
    half.expect({ out_no_proxy: 1 });
    half.steer({ client: CLIENT, clientPort: 40_000, vip: VIP, vipPort: 80 });
    const result = half.out(said({}));
    passed(result, Verdict.REDIRECT);
    assert.deepEqual(result.packet, said({ tos: 0 }));
    half.expect({ out_steered: 1 });
  });

  test('everything else is on its way already', () => {
    for (const bytes of [said({ tos: 0 }), said({ src: BACKEND }), frame(new Uint8Array(46), 0x0806)]) {
      const result = half.out(bytes);
      assert.deepEqual([result.verdict, result.packet], [Verdict.OK, bytes]);
    }
    half.expect({ out_plain: 3 });
  });
});
