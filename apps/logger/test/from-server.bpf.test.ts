/** What back ends send through logger_back: told, kept from the client, steered. Numbers wrap around on their way. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { encodeSack, TcpFlags, Verdict } from '@resplice/dataplane';
import { ClientMode, LogType, ServerMode } from '../src/layout.generated.ts';
import {
  BACKEND,
  fromClient,
  fromServer,
  KernelHalf,
  passed,
  type Segment,
  selectedBy,
  sentBy,
} from './fixtures/kernel-half.ts';

const { ACK, FIN, PSH, RST } = TcpFlags;
const ISN = 0xffff_fff0;
const P0 = 0xffff_fffa;
const S0 = 70_000;
/** Client space: the first byte of each direction. */
const [C, S] = [ISN + 1, P0 + 1];

let half: KernelHalf;
let slot: number;

function connect(options?: ConstructorParameters<typeof KernelHalf>[0]): void {
  half = new KernelHalf(options);
  slot = half.connect({ isn: ISN, p0: P0, s0: S0 });
  half.middle(fromClient({ seq: C, ack: S0 + 1, payload: 'GET' }));
  half.told();
  half.expect({ middle_logged: 1 });
}

/** By the connection's back end: `at` counts from its first byte, `acked` is how many of the client's it has. */
function server(
  at: number,
  payload: string | Uint8Array,
  fields: Partial<Segment> & { acked?: number } = {},
) {
  const { acked = 3, ...others } = fields;
  return half.back(fromServer({ seq: S + at, ack: C + acked, payload, ...others }));
}

/** The client acknowledges so many of its bytes. */
const acknowledge = (count: number) => half.middle(fromClient({ seq: C + 3, ack: S0 + 1 + count }));
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const track = () => half.tracks.read(slot);
const u32 = (value: number) => value >>> 0;
const { REDIRECT, SHOT } = Verdict;

beforeEach(() => connect());
afterEach(() => half.close());

suite('what passes', () => {
  test('bytes are told once and steered unchanged, and how far they go is known', () => {
    const bytes = fromServer({ seq: S, ack: C + 3, payload: 'HTTP/1.1 200', flags: ACK | PSH, window: 99 });
    const result = half.back(bytes);
    passed(result, REDIRECT);
    assert.deepEqual(result.packet, bytes);
    const [event, ...others] = half.told();
    assert.deepEqual(others, []);
    const { type, sequence, acknowledgement, payload, window, flags, held, generation } = event!;
    assert.deepEqual({ type, flags, held }, { type: LogType.LOG_SERVER, flags: ACK | PSH, held: 0 });
    assert.deepEqual({ sequence, acknowledgement }, { sequence: u32(S), acknowledgement: u32(C + 3) });
    assert.deepEqual(
      { payload, window, text: text(event!.bytes) },
      { payload: 12, window: 99, text: 'HTTP/1.1 200' },
    );
    assert.deepEqual([event!.slot, generation, event!.backend], [slot, 1, BACKEND]);
    const { serverNext, serverLogged, serverSeen, serverAcked, told } = track();
    assert.deepEqual([serverNext, serverLogged, serverSeen], [u32(S + 12), u32(S + 12), u32(S + 12)]);
    assert.deepEqual([serverAcked, told], [u32(C + 3), u32(C + 3)]);
    passed(half.back(bytes), REDIRECT);
    half.expect({ back_steered: 2 });
    assert.deepEqual(half.told(), [], 'repeated');
  });

  test('behind a gap bytes are told each time they come', () => {
    server(3, 'def');
    server(3, 'def');
    server(0, 'abc');
    assert.deepEqual([track().serverLogged, track().serverNext], [u32(S + 3), u32(S + 6)]);
    server(3, 'def');
    assert.deepEqual(
      half.told().map(each => text(each.bytes)),
      ['def', 'def', 'abc', 'def'],
    );
    assert.equal(track().serverLogged, u32(S + 6));
  });

  test('what user space need not know is not told, but counts', () => {
    half.tracks.skipUntil(slot, u32(S + 8));
    server(0, 'abcd');
    server(4, 'efgh');
    assert.deepEqual(half.told(), []);
    assert.deepEqual([track().serverNext, track().serverLogged], [u32(S + 8), u32(S + 8)]);
    server(8, 'i');
    server(6, 'ghijk');
    assert.deepEqual(
      half.told().map(each => text(each.bytes)),
      ['i', 'ghijk'],
      'what ends behind it is told whole',
    );
    half.expect({ back_steered: 4 });
  });

  for (const size of [1, 128, 129, 512, 513, 2048, 2049, 3600]) {
    test(`${size} bytes are told to the last one`, () => {
      const payload = Uint8Array.from({ length: size }, (_, i) => (i * 5 + size) & 255);
      passed(server(0, payload), REDIRECT);
      assert.deepEqual(half.told()[0]!.bytes, payload);
    });
  }

  test('bare ACKs are told only while a request is delivered again: they set its pace', () => {
    server(0, '');
    assert.deepEqual(half.told(), []);
    half.tracks.setClientMode(slot, ClientMode.CLIENT_HELD);
    server(0, '');
    assert.deepEqual(
      half.told().map(each => [each.flags, each.acknowledgement]),
      [[ACK, u32(C + 3)]],
    );
    half.expect({ back_steered: 2 });
  });

  test('while the ring is full they are dropped, and count as nothing that the client may have heard', () => {
    half.close();
    connect({ events: 4096 });
    const block = 'x'.repeat(500);
    let sent = 0;
    while (server(sent * 500, block).verdict === REDIRECT) sent++;
    assert.ok(sent > 0);
    const { serverNext, serverLogged } = track();
    assert.deepEqual([serverNext, serverLogged], [u32(S + sent * 500), u32(S + sent * 500)]);
    half.expect({ back_steered: sent, back_ring_full: 1 });
    assert.equal(half.told().length, sent);
    passed(server(sent * 500, block), REDIRECT);
    assert.equal(half.told().length, 1);
  });

  test('of a connection that no client’s packet has bound yet: steered, not told', () => {
    half.connect({ isn: ISN, p0: P0, s0: S0, clientPort: 9 });
    passed(server(0, 'abc', { clientPort: 9 }), REDIRECT);
    half.expect({ back_unlogged: 1 });
    assert.deepEqual(half.told(), []);
  });
});

suite('who speaks', () => {
  test('another station’s words for the connection go nowhere, and change nothing', () => {
    const before = track();
    const bytes = fromServer({ seq: S, ack: C + 3, payload: 'forged' });
    assert.equal(half.back(sentBy([2, 0, 0, 0, 0, 2], bytes)).verdict, SHOT);
    half.expect({ back_former: 1 });
    assert.deepEqual([half.told(), track()], [[], before]);
  });

  test('unbound: nobody’s count', () => {
    half.tracks.unbind(slot);
    assert.equal(server(0, 'late').verdict, SHOT);
    half.expect({ back_former: 1 });
    assert.deepEqual(half.told(), []);
  });
});

suite('ends', () => {
  test('an RST is told, and kept', () => {
    assert.equal(server(0, '', { flags: RST | ACK }).verdict, SHOT);
    half.expect({ back_ended: 1 });
    assert.deepEqual(
      half.told().map(each => [each.type, each.flags, each.sequence]),
      [[LogType.LOG_SERVER, RST | ACK, u32(S)]],
    );
    assert.equal(track().serverNext, u32(S));
  });

  test('a FIN is told and taken off; its bytes pass', () => {
    const { flags, payloadLength } = passed(server(0, 'bye', { flags: ACK | PSH | FIN }), REDIRECT);
    assert.deepEqual([flags, payloadLength], [ACK | PSH, 3]);
    assert.deepEqual(
      half.told().map(each => [each.flags, text(each.bytes)]),
      [[ACK | PSH | FIN, 'bye']],
    );
    half.expect({ back_steered: 1 });
  });

  test('a FIN that is the connection’s passes', () => {
    half.tracks.letEnd(slot, true);
    assert.equal(passed(server(0, '', { flags: ACK | FIN }), REDIRECT).flags, ACK | FIN);
  });

  test('a FIN behind bytes that are not told is told without them', () => {
    half.tracks.skipUntil(slot, u32(S + 100));
    server(0, 'abc', { flags: ACK | FIN });
    assert.deepEqual(
      half.told().map(each => [each.flags, each.payload, each.captured]),
      [[ACK | FIN, 3, 0]],
    );
  });
});

suite('while a connection moves', () => {
  test('diverted: told with their bytes and kept; what the client may have heard stays', () => {
    server(0, 'abc');
    half.told();
    half.tracks.setServerMode(slot, ServerMode.SERVER_DIVERTED);
    for (const at of [0, 3]) assert.equal(server(at, 'xyz').verdict, SHOT);
    assert.equal(server(6, '').verdict, SHOT);
    assert.deepEqual(
      half.told().map(each => [each.held, text(each.bytes)]),
      [
        [1, 'xyz'],
        [1, 'xyz'],
        [1, ''],
      ],
    );
    half.expect({ back_steered: 1, back_diverted: 3 });
    const { serverNext, serverSeen, serverLogged } = track();
    assert.deepEqual([serverNext, serverSeen, serverLogged], [u32(S + 3), u32(S + 6), u32(S + 3)]);
  });

  test('an RST while it is diverted is told as such', () => {
    half.tracks.setServerMode(slot, ServerMode.SERVER_DIVERTED);
    assert.equal(server(0, '', { flags: RST }).verdict, SHOT);
    half.expect({ back_ended: 1 });
    assert.deepEqual(
      half.told().map(each => [each.held, each.flags]),
      [[1, RST]],
    );
  });

  test('skipped: what the client has acknowledged is told without its bytes and kept; what is new to it passes', () => {
    server(0, 'abcdef');
    acknowledge(6);
    half.told();
    half.tracks.setServerMode(slot, ServerMode.SERVER_SKIPPED);
    assert.equal(server(0, 'abc').verdict, SHOT);
    assert.equal(server(3, 'def').verdict, SHOT);
    passed(server(3, 'defgh'), REDIRECT);
    passed(server(6, ''), REDIRECT);
    assert.deepEqual(
      half.told().map(each => [each.held, each.payload, text(each.bytes)]),
      [
        [1, 3, ''],
        [1, 3, ''],
        [0, 5, 'defgh'],
      ],
    );
    half.expect({ back_steered: 3, middle_repeated: 1, back_diverted: 2 });
  });

  test('an alternate that has less of the request acknowledges what the client was told long ago', () => {
    half.middle(fromClient({ seq: C + 3, ack: S0 + 1, payload: ' /a HTTP' }));
    server(0, '', { acked: 11 });
    half.expect({ middle_logged: 1, back_steered: 1 });
    half.tracks.bind(slot, {
      ...{ address: BACKEND, port: 8080, delta: u32(P0 - S0), mac: [2, 0, 0, 0, 0, 1] },
      ...{ responseAt: u32(S), acked: u32(C) },
    });
    assert.equal(passed(server(0, 'x', { acked: 4 }), REDIRECT).ack, u32(C + 11));
    assert.equal(track().serverAcked, u32(C + 4), 'how far the replay has got');
    assert.equal(passed(server(1, 'y', { acked: 13 }), REDIRECT).ack, u32(C + 13));
    assert.equal(track().told, u32(C + 13));
  });

  test('what an alternate has selected of the request is no news: its blocks are taken out', () => {
    half.middle(fromClient({ seq: C + 3, ack: S0 + 1, payload: ' /a HTTP' }));
    server(0, '', { acked: 11 });
    half.tracks.bind(slot, {
      ...{ address: BACKEND, port: 8080, delta: u32(P0 - S0), mac: [2, 0, 0, 0, 0, 1] },
      ...{ responseAt: u32(S), acked: u32(C) },
    });
    const options = encodeSack([
      [u32(C + 6), u32(C + 7)],
      [u32(C + 9), u32(C + 10)],
    ]);
    const result = server(0, 'x', { acked: 4, options });
    assert.equal(passed(result, REDIRECT).ack, u32(C + 11));
    assert.deepEqual(selectedBy(result, REDIRECT), []);
  });

  test('an acknowledgement that a later one has overtaken goes on as it is, with its blocks', () => {
    half.middle(fromClient({ seq: C + 3, ack: S0 + 1, payload: ' /a HTTP' }));
    server(0, '', { acked: 11 });
    const blocks = [[u32(C + 6), u32(C + 9)] as const];
    const result = server(0, '', { acked: 4, options: encodeSack(blocks) });
    assert.equal(passed(result, REDIRECT).ack, u32(C + 4));
    assert.deepEqual(selectedBy(result, REDIRECT), blocks);
    assert.equal(track().told, u32(C + 11));
  });
});
