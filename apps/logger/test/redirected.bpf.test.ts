/** What proxies still send to a back end that the connection has left. Numbers wrap around on their way. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { encodeSack, TcpFlags, Verdict } from '@resplice/dataplane';
import { ClientMode, ServerMode } from '../src/layout.generated.ts';
import {
  BACKEND,
  CLIENT,
  CLIENT_PORT,
  fromClient,
  fromServer,
  KernelHalf,
  OTHER_BACKEND,
  passed,
  type Segment,
  selectedBy,
  sentBy,
  VIP,
} from './fixtures/kernel-half.ts';

const { ACK } = TcpFlags;
const ISN = 0xffff_fff0;
const P0 = 0xffff_ff00;
const S0 = 70_000;
/** Client space: the first byte of each direction. */
const [C, S] = [ISN + 1, P0 + 1];

let half: KernelHalf;
let slot: number;

/** By a proxy that knows `BACKEND`: `at` counts from the client's first byte, `acked` is how many of the server's it has. */
function client(
  at: number,
  payload: string | Uint8Array,
  fields: Partial<Segment> & { acked?: number } = {},
) {
  const { acked = 0, ...others } = fields;
  return half.middle(fromClient({ seq: C + at, ack: S0 + 1 + acked, payload, ...others }));
}

const server = (at: number, payload: string) => half.back(fromServer({ seq: S + at, ack: C, payload }));
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const track = () => half.tracks.read(slot);
const u32 = (value: number) => value >>> 0;

beforeEach(() => {
  half = new KernelHalf();
  slot = half.connect({ isn: ISN, p0: P0, s0: S0 });
});

afterEach(() => half.close());

suite('moved to another back end', () => {
  const OTHER_S0 = 0x8000_0000;
  const delta = u32(P0 - OTHER_S0);
  const mac = [2, 0, 0, 0, 9, 9];

  const from = (address: number, clientPort = CLIENT_PORT) => ({
    client: CLIENT,
    clientPort,
    peer: address,
    peerPort: 8080,
  });

  beforeEach(() => {
    client(0, 'GET');
    server(0, '0123456789');
    half.told();
    half.flows.set(
      { ...from(OTHER_BACKEND), peerPort: 8081 },
      { slot, delta, mac, known: 1, formerDelta: 0, cameBack: 0 },
    );
    half.tracks.bind(slot, {
      address: OTHER_BACKEND,
      port: 8081,
      delta,
      mac,
      responseAt: u32(S),
      acked: u32(C),
    });
    // It has sent as much as the former one.
    half.tracks.setServerMode(slot, ServerMode.SERVER_PASSES);
    half.back(sentBy(mac, fromServer({ seq: S, ack: C + 3, payload: '0123456789' })));
    half.told();
    half.expect({ middle_logged: 1, back_steered: 2 });
  });

  test('what is addressed to the former one goes to the present one, in its numbers', () => {
    const result = client(3, 'more', {
      acked: 6,
      options: encodeSack([
        [S0 + 1 + 8, S0 + 1 + 9],
        [S0 + 1 + 10, S0 + 1 + 11],
      ]),
    });
    const { src, sport, dst, dport, seq, ack, flags } = passed(result);
    assert.deepEqual(
      { src, sport, dst, dport },
      { src: CLIENT, sport: CLIENT_PORT, dst: OTHER_BACKEND, dport: 8081 },
    );
    assert.deepEqual({ seq, ack, flags }, { seq: u32(C + 3), ack: u32(OTHER_S0 + 1 + 6), flags: ACK });
    assert.deepEqual(selectedBy(result), [
      [u32(OTHER_S0 + 1 + 8), u32(OTHER_S0 + 1 + 9)],
      [u32(OTHER_S0 + 1 + 10), u32(OTHER_S0 + 1 + 11)],
    ]);
    const [event] = half.told();
    assert.deepEqual(
      [event!.acknowledgement, event!.backend, text(event!.bytes)],
      [u32(S + 6), OTHER_BACKEND, 'more'],
    );
  });

  test('what is addressed to the present one is left as it is', () => {
    const bytes = fromClient({ seq: C + 3, ack: OTHER_S0 + 1 + 6, payload: 'more', backend: OTHER_BACKEND });
    bytes[14 + 20 + 3] = 8081 & 255;
    const result = half.middle(bytes);
    assert.deepEqual([result.verdict, result.packet], [Verdict.OK, bytes]);
  });

  test('nobody hears an acknowledgement of what it has not sent, unless its end has come', () => {
    half.tracks.bind(slot, {
      address: OTHER_BACKEND,
      port: 8081,
      delta,
      mac,
      responseAt: u32(S + 4),
      acked: u32(C),
    });
    assert.equal(passed(client(3, '', { acked: 10 })).ack, u32(OTHER_S0 + 1 + 4));
    assert.equal(track().clientAck, u32(S + 10), 'what the client has is known all the same');
    half.tracks.letEnd(slot, true);
    assert.equal(passed(client(3, '', { acked: 10 })).ack, u32(OTHER_S0 + 1 + 10));
  });

  test('while it moves, the former one’s numbers are understood', () => {
    half.tracks.setClientMode(slot, ClientMode.CLIENT_HELD);
    client(3, 'more', { acked: 10 });
    assert.deepEqual(
      half.told().map(each => [each.acknowledgement, each.held]),
      [[u32(S + 10), 1]],
    );
    assert.deepEqual([half.slotOf(VIP, 80), track().clientAck], [slot, u32(S + 10)]);
  });
});

suite('two proxies set one connection up, at two back ends', () => {
  const OTHER_S0 = 0x8000_0000;
  const viaOther = (at: number, payload: string) =>
    half.middle(fromClient({ seq: C + at, ack: OTHER_S0 + 1, payload, backend: OTHER_BACKEND }));
  const connectOther = () => {
    assert.equal(half.connect({ isn: ISN, p0: P0, s0: OTHER_S0, backend: OTHER_BACKEND }), slot);
  };

  for (const [when, first, second] of [
    ['before the first byte', connectOther, () => {}],
    ['after the first byte', () => {}, connectOther],
  ] as const)
    test(`both have answered ${when}: the first byte binds, and the request reaches one of them`, () => {
      first();
      assert.equal(passed(client(0, 'POST')).dst, BACKEND);
      half.told();
      half.expect({ middle_logged: 1 });
      second();
      const repeated = passed(viaOther(0, 'POST'));
      const { dst, seq, ack } = repeated;
      assert.deepEqual({ dst, seq, ack }, { dst: BACKEND, seq: u32(C), ack: S0 + 1 });
      const more = passed(viaOther(4, ' /'));
      assert.deepEqual([more.dst, half.told().map(each => text(each.bytes))], [BACKEND, [' /']]);
      half.expect({ middle_repeated: 1, middle_logged: 1 });
    });
});
