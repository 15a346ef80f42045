/** What clients send through logger_middle: logged, held. Numbers wrap around on their way. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { SELF_MADE_TOS, TcpFlags, Verdict } from '@resplice/dataplane';
import { ClientMode, LogType, ServerMode } from '../src/layout.generated.ts';
import {
  BACKEND,
  fromClient,
  fromServer,
  KernelHalf,
  MAC,
  passed,
  type Segment,
} from './fixtures/kernel-half.ts';

const { ACK, FIN, PSH, RST } = TcpFlags;
const ISN = 0xffff_fff0;
const P0 = 0xffff_ff00;
const S0 = 70_000;
/** Client space: the first byte of each direction. */
const [C, S] = [ISN + 1, P0 + 1];

let half: KernelHalf;
let slot: number;

function connect(options?: ConstructorParameters<typeof KernelHalf>[0]): void {
  half = new KernelHalf(options);
  slot = half.connect({ isn: ISN, p0: P0, s0: S0 });
}

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

beforeEach(() => connect());
afterEach(() => half.close());

suite('log before forward', () => {
  test('bytes are told once, in client space, and forwarded unchanged', () => {
    const bytes = fromClient({ seq: C, ack: S0 + 1, payload: 'GET / HTTP/1.1\r\n', window: 77 });
    const result = half.middle(bytes);
    passed(result);
    assert.deepEqual(result.packet, bytes);
    half.expect({ middle_logged: 1 });
    const [event, ...others] = half.told();
    assert.deepEqual(others, []);
    const { type, sequence, acknowledgement, payload, window, flags, held } = event!;
    assert.deepEqual({ type, flags, held }, { type: LogType.LOG_CLIENT, flags: ACK, held: 0 });
    assert.deepEqual({ sequence, acknowledgement }, { sequence: u32(C), acknowledgement: u32(S) });
    assert.deepEqual(
      { payload, window, text: text(event!.bytes) },
      { payload: 16, window: 77, text: 'GET / HTTP/1.1\r\n' },
    );
    const { backend, backendPort, slot: toldSlot, generation } = event!;
    assert.deepEqual([backend, backendPort, toldSlot, generation], [BACKEND, 8080, slot, 1]);
    assert.deepEqual([track().clientLogged, track().clientWindow], [u32(C + 16), 77]);
    client(0, 'GET / HTTP/1.1\r\n');
    half.expect({ middle_repeated: 1 });
    assert.deepEqual(half.told(), []);
  });

  test('the first packet says which back end has the connection', () => {
    assert.equal(track().bound, 0);
    client(0, '');
    const { bound, backend, backendPort, delta, mac } = track();
    assert.deepEqual({ bound, backend, backendPort }, { bound: 1, backend: BACKEND, backendPort: 8080 });
    assert.deepEqual({ delta, mac }, { delta: u32(P0 - S0), mac: MAC });
    half.expect({ middle_repeated: 1 });
    assert.deepEqual(half.told(), [], 'a bare ACK is no news');
  });

  test('a repetition that brings more is told whole', () => {
    client(0, 'abc');
    client(0, 'abcdef');
    assert.deepEqual(
      half.told().map(each => text(each.bytes)),
      ['abc', 'abcdef'],
    );
    assert.equal(track().clientLogged, u32(C + 6));
  });

  test('behind a gap they are told each time they come, until user space has put them in order', () => {
    client(3, 'def');
    client(3, 'def');
    assert.equal(track().clientLogged, u32(C));
    client(0, 'abc');
    assert.equal(track().clientLogged, u32(C + 3));
    client(3, 'def');
    assert.deepEqual(
      half.told().map(each => text(each.bytes)),
      ['def', 'def', 'abc', 'def'],
    );
    half.expect({ middle_logged: 4 });
    client(3, 'def');
    half.expect({ middle_repeated: 1 });
  });

  test('filled by user space: what is in the log is not told again', () => {
    client(3, 'def');
    client(0, 'abc');
    half.tracks.setClientLogged(slot, u32(C + 6));
    half.told();
    client(3, 'def');
    assert.deepEqual([half.told(), track().clientLogged], [[], u32(C + 6)]);
  });

  for (const size of [1, 128, 129, 512, 513, 2048, 2049, 3600]) {
    test(`${size} bytes are told to the last one`, () => {
      const payload = Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) & 255);
      passed(client(0, payload));
      const [event] = half.told();
      assert.deepEqual(event!.bytes, payload);
    });
  }

  test('while the ring is full they are dropped, and nothing counts as logged', () => {
    half.close();
    connect({ events: 4096 });
    const block = 'x'.repeat(500);
    let sent = 0;
    while (client(sent * 500, block).verdict === Verdict.OK) sent++;
    assert.ok(sent > 0);
    assert.equal(track().clientLogged, u32(C + sent * 500));
    assert.equal(client(sent * 500, block, { flags: ACK | FIN }).verdict, Verdict.SHOT);
    assert.equal(track().clientEnded, 0);
    passed(client(0, block));
    half.expect({ middle_logged: sent, middle_ring_full: 2, middle_repeated: 1 });
    assert.equal(half.told().length, sent);
    passed(client(sent * 500, block));
    assert.equal(half.told().length, 1);
  });

  test('FIN and RST are told; a FIN that is repeated is not', () => {
    client(0, 'bye', { flags: ACK | PSH | FIN });
    client(0, 'bye', { flags: ACK | PSH | FIN });
    client(4, '', { flags: RST });
    const told = half.told();
    assert.deepEqual(
      told.map(each => each.flags),
      [ACK | PSH | FIN, RST],
    );
    assert.deepEqual(
      told.map(each => text(each.bytes)),
      ['bye', ''],
    );
    half.expect({ middle_logged: 2, middle_repeated: 1 });
  });

  test('a FIN that is none is no reason to miss the true one', () => {
    client(0, 'abc');
    client(7, '', { flags: ACK | FIN });
    client(7, '', { flags: ACK | FIN });
    client(1, '', { flags: ACK | FIN });
    client(0, 'ab', { flags: ACK | FIN });
    client(9, '', { flags: RST });
    client(3, 'd', { flags: ACK | FIN });
    client(3, 'd', { flags: ACK | FIN });
    const told = half.told().map(each => [each.flags, (each.sequence - C) | 0]);
    assert.deepEqual(told, [
      [ACK, 0],
      [ACK | FIN, 7],
      [ACK | FIN, 7],
      [RST, 9],
      [ACK | FIN, 3],
    ]);
    half.expect({ middle_logged: 5, middle_repeated: 3 });
  });

  test('a proxy’s own RST, against an old socket, is no word of the client’s', () => {
    const result = client(0, '', { flags: RST, tos: SELF_MADE_TOS });
    assert.equal(result.verdict, Verdict.OK);
    half.expect({ middle_plain: 1 });
    assert.deepEqual([half.told(), track().bound], [[], 0]);
  });

  test('nobody is woken for an event, unless user space sleeps', () => {
    half.configure({ sleeping: 1 });
    client(0, '');
    assert.equal(half.config.sleeping, 1, 'no event');
    client(0, 'x');
    assert.equal(half.config.sleeping, 0);
  });

  test('unlogged: it passes', () => {
    half.tracks.setClientMode(slot, ClientMode.CLIENT_UNLOGGED);
    passed(client(0, 'abc'));
    assert.deepEqual([half.told(), track().clientLogged], [[], u32(C)]);
    half.expect({ middle_repeated: 1 });
  });

  test('of a connection whose numbers nobody knows yet: it passes', () => {
    assert.equal(client(0, 'abc', { clientPort: 9 }).verdict, Verdict.OK);
    half.expect({ middle_plain: 1 });
  });
});

test('the last ACK is the highest of what the client can have heard', () => {
  client(0, 'GET');
  server(0, '0123456789');
  client(3, '', { acked: 4 });
  assert.equal(track().clientAck, u32(S + 4));
  client(3, '', { acked: 2 });
  assert.equal(track().clientAck, u32(S + 4), 'overtaken');
  client(3, '', { acked: 11 });
  assert.equal(track().clientAck, u32(S + 4), 'never sent');
  client(3, '', { acked: 10 });
  assert.equal(track().clientAck, u32(S + 10));
});

suite('held', () => {
  beforeEach(() => {
    client(0, 'abc');
    half.told();
    half.expect({ middle_logged: 1 });
    half.tracks.setClientMode(slot, ClientMode.CLIENT_HELD);
  });

  test('bytes are told and kept, again each time they come: the client may miss an answer', () => {
    for (let i = 0; i < 2; i++) assert.equal(client(3, 'def').verdict, Verdict.SHOT);
    assert.equal(client(0, 'abc').verdict, Verdict.SHOT);
    half.expect({ middle_held: 3 });
    assert.deepEqual(
      half.told().map(each => [text(each.bytes), each.held]),
      [
        ['def', 1],
        ['def', 1],
        ['abc', 1],
      ],
    );
    assert.equal(track().clientLogged, u32(C + 6));
  });

  test('a FIN is kept, even one that has been told', () => {
    for (let i = 0; i < 2; i++) assert.equal(client(3, '', { flags: ACK | FIN }).verdict, Verdict.SHOT);
    half.expect({ middle_held: 2 });
    assert.deepEqual(
      half.told().map(each => [each.flags, each.held]),
      [[ACK | FIN, 1]],
    );
  });

  test('a bare ACK passes as soon as the server’s bytes do', () => {
    passed(client(3, ''));
    half.expect({ middle_repeated: 1 });
    half.tracks.setServerMode(slot, ServerMode.SERVER_DIVERTED);
    assert.equal(client(3, '').verdict, Verdict.SHOT);
    half.expect({ middle_held: 1 });
    half.tracks.setServerMode(slot, ServerMode.SERVER_SKIPPED);
    passed(client(3, ''));
    assert.deepEqual(half.told(), []);
  });

  test('an RST ends it whatever goes on', () => {
    passed(client(3, '', { flags: RST }));
    assert.deepEqual(
      half.told().map(each => [each.flags, each.held]),
      [[RST, 0]],
    );
  });
});

suite('somebody who guesses', () => {
  const asLoggedAs = (acked: number, flags: number, payload = 'forged') => {
    client(0, '');
    server(0, 'x'.repeat(1000));
    client(0, '', { acked: 1000 });
    half.told();
    const before = track();
    const { verdict } = client(0, payload, { acked, flags });
    const { clientLogged, clientAck, clientEnded } = track();
    assert.deepEqual([clientLogged, clientEnded], [before.clientLogged, 0]);
    assert.equal(clientAck, before.clientAck);
    assert.deepEqual(half.told(), []);
    return verdict;
  };

  for (const [what, acked] of [
    ['what was never sent', 1002],
    ['what is far from being sent', 1 << 30],
    ['what was acknowledged long ago', 1000 - (4 << 20)],
  ] as const)
    for (const [kind, flags, payload] of [
      ['bytes', ACK | PSH, 'forged'],
      ['a FIN', ACK | FIN, ''],
      ['an ACK', ACK, ''],
    ] as const)
      test(`${kind} acknowledging ${what}: dropped, and in no log`, () => {
        assert.equal(asLoggedAs(acked, flags, payload), Verdict.SHOT);
        half.expect({ back_steered: 1, middle_implausible: 1, middle_repeated: 2 });
      });

  test('the end of what was sent, and its FIN, may be acknowledged', () => {
    client(0, '');
    server(0, 'x'.repeat(1000));
    for (const acked of [1000, 1001]) passed(client(0, '', { acked }));
    half.expect({ back_steered: 1, middle_repeated: 3 });
  });

  test('an RST need not acknowledge', () => {
    client(0, '');
    client(0, '', { acked: 5000, flags: RST | ACK });
    half.expect({ middle_repeated: 1, middle_logged: 1 });
  });
});
