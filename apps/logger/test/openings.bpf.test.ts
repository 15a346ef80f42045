/** SYNs that begin connections, and the answers to them. Numbers wrap around on their way. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { parseOptions, TcpFlags, Verdict } from '@resplice/dataplane';
import { LogType } from '../src/layout.generated.ts';
import {
  BACKEND,
  CLIENT,
  CLIENT_PORT,
  envelope,
  fromClient,
  KernelHalf,
  OTHER_BACKEND,
  SELF,
  sentBy,
  syn,
  VIP,
} from './fixtures/kernel-half.ts';

const { ACK, RST, SYN } = TcpFlags;
const ISN = 0xffff_fff0;
const P0 = 0xffff_ffff;
const S0 = 70_000;

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf();
});

afterEach(() => half.close());

suite('SYNs', () => {
  test('one with a valid identity takes a slot, and is told with its options', () => {
    assert.equal(half.middle(syn({ isn: ISN, p0: P0 })).verdict, Verdict.OK);
    half.expect({ middle_opened: 1 });
    const [event, ...others] = half.told();
    assert.deepEqual([event!.type, event!.slot, event!.generation, others], [LogType.LOG_OPENED, 0, 1, []]);
    assert.deepEqual([event!.sequence, event!.acknowledgement], [ISN, P0]);
    const { mss, sackPermitted, windowScale } = parseOptions(event!.bytes);
    assert.deepEqual({ mss, sackPermitted, windowScale }, { mss: 1460, sackPermitted: true, windowScale: 9 });
    const track = half.tracks.read(0);
    const { client, vip, clientPort, vipPort, isn, p0, bound, generation } = track;
    assert.deepEqual(
      { client, vip, clientPort, vipPort },
      { client: CLIENT, vip: VIP, clientPort: CLIENT_PORT, vipPort: 80 },
    );
    assert.deepEqual({ isn, p0, bound, generation }, { isn: ISN, p0: P0, bound: 0, generation: 1 });
    const { clientLogged, serverAcked, told, requestAt } = track;
    for (const each of [clientLogged, serverAcked, told, requestAt]) assert.equal(each, ISN + 1);
    const { clientAck, serverNext, serverLogged, serverSeen, responseAt } = track;
    for (const each of [clientAck, serverNext, serverLogged, serverSeen, responseAt]) assert.equal(each, 0);
    assert.deepEqual([half.slotOf(VIP, 80), half.slotOf(BACKEND, 8080)], [0, 0]);
  });

  test('the doubled one is the same connection, and not told', () => {
    half.middle(syn({ isn: ISN, p0: P0 }));
    assert.equal(half.told().length, 1);
    assert.equal(half.middle(syn({ isn: ISN, p0: P0 })).verdict, Verdict.OK);
    half.expect({ middle_opened: 2 });
    assert.deepEqual([half.told(), half.config.freeHead], [[], 1]);
  });

  test('one under another key is dropped, and takes nothing', () => {
    assert.equal(half.middle(syn({ isn: ISN, p0: P0, key: new Uint8Array(16) })).verdict, Verdict.SHOT);
    half.expect({ middle_forged: 1 });
    assert.deepEqual([half.told(), half.config.freeHead, half.slotOf(VIP, 80)], [[], 0, undefined]);
  });

  test('one whose identity is another connection’s is dropped', () => {
    const bytes = syn({ isn: ISN, p0: P0 });
    bytes[14 + 20 + 7]! ^= 1;
    assert.equal(half.middle(bytes).verdict, Verdict.SHOT);
    half.expect({ middle_forged: 1 });
  });

  test('one without an identity is nobody’s that is logged', () => {
    assert.equal(half.middle(fromClient({ seq: ISN, flags: SYN })).verdict, Verdict.OK);
    half.expect({ middle_plain: 1 });
    assert.deepEqual([half.told(), half.config.freeHead], [[], 0]);
  });

  test('to another back end: the same connection', () => {
    half.middle(syn({ isn: ISN, p0: P0 }));
    half.middle(syn({ isn: ISN, p0: P0, backend: OTHER_BACKEND }));
    assert.deepEqual([half.told().length, half.config.freeHead], [1, 1]);
    assert.deepEqual([half.slotOf(BACKEND, 8080), half.slotOf(OTHER_BACKEND, 8080)], [0, 0]);
  });

  test('with the addresses of a former connection: that one has ended', () => {
    half.middle(syn({ isn: ISN, p0: P0 }));
    half.told();
    for (const [isn, p0, slot] of [
      [77, P0, 1],
      [77, 88, 2],
    ] as const) {
      half.middle(syn({ isn, p0 }));
      const [ended, opened, ...others] = half.told();
      assert.deepEqual([ended!.type, ended!.slot, ended!.generation], [LogType.LOG_ENDED, slot - 1, 1]);
      assert.deepEqual([opened!.type, opened!.slot, opened!.generation], [LogType.LOG_OPENED, slot, 1]);
      assert.deepEqual(others, []);
      assert.deepEqual([half.slotOf(VIP, 80), half.slotOf(BACKEND, 8080)], [slot, slot]);
    }
  });

  test('without room it passes, and so does what follows, unlogged', () => {
    half.close();
    half = new KernelHalf({ slots: 2 });
    const ports = [1, 2, 3];
    for (const clientPort of ports)
      assert.equal(half.middle(syn({ isn: ISN, p0: P0, clientPort })).verdict, Verdict.OK);
    half.expect({ middle_opened: 2, middle_no_room: 1 });
    assert.deepEqual(
      half.told().map(each => each.slot),
      [0, 1],
    );
    assert.equal(half.middle(fromClient({ seq: ISN + 1, payload: 'x', clientPort: 3 })).verdict, Verdict.OK);
    half.expect({ middle_plain: 1 });
    half.free(1);
    half.middle(syn({ isn: ISN, p0: P0, clientPort: 3 }));
    const [opened] = half.told();
    assert.deepEqual([opened!.slot, opened!.generation], [1, 2], 'the slot’s second connection');
  });

  test('while the ring is full it is dropped; sent again, it is told', () => {
    half.close();
    half = new KernelHalf({ slots: 64, events: 4096 });
    let clientPort = 1;
    while (half.middle(syn({ isn: ISN, p0: P0, clientPort })).verdict === Verdict.OK) clientPort++;
    assert.equal(half.told().length, clientPort - 1);
    half.expect({ middle_opened: clientPort - 1, middle_ring_full: 1 });
    assert.equal(half.middle(syn({ isn: ISN, p0: P0, clientPort })).verdict, Verdict.OK);
    assert.deepEqual(
      half.told().map(each => [each.type, each.slot]),
      [[LogType.LOG_OPENED, clientPort - 1]],
    );
    assert.equal(half.config.freeHead, clientPort, 'it has its slot already');
  });
});

suite('answers', () => {
  test('a SYN-ACK to the proxy teaches the back end’s numbers and station', () => {
    half.middle(syn({ isn: ISN, p0: P0 }));
    const key = { client: CLIENT, clientPort: CLIENT_PORT, peer: BACKEND, peerPort: 8080 };
    assert.equal(half.flows.get(key)?.known, 0);
    for (const wrong of [
      envelope({ seq: S0, ack: ISN + 2 }),
      envelope({ seq: S0, ack: ISN + 1, flags: ACK }),
      envelope({ seq: S0, ack: ISN + 1, flags: RST | ACK }),
      envelope({ seq: S0, ack: ISN + 1, clientPort: 9 }),
    ]) {
      assert.equal(half.back(wrong).verdict, Verdict.OK);
      assert.equal(half.flows.get(key)?.known, 0);
    }
    const mac = [2, 0, 0, 0, 7, 7];
    const bytes = sentBy(mac, envelope({ seq: S0, ack: ISN + 1 }));
    const { verdict, packet } = half.back(bytes);
    assert.deepEqual([verdict, packet], [Verdict.OK, bytes], 'the proxy needs it');
    assert.deepEqual(half.flows.get(key), {
      slot: 0,
      delta: (P0 - S0) >>> 0,
      mac,
      known: 1,
      formerDelta: 0,
      cameBack: 0,
    });
    half.expect({ middle_opened: 1, back_plain: 5 });
  });

  test('a second answer of the same back end changes nothing once the connection is its', () => {
    half.connect({ isn: ISN, p0: P0, s0: S0 });
    half.middle(fromClient({ seq: ISN + 1, ack: S0 + 1, payload: 'GET' }));
    half.back(envelope({ seq: S0 + 999, ack: ISN + 1 }));
    const key = { client: CLIENT, clientPort: CLIENT_PORT, peer: BACKEND, peerPort: 8080 };
    assert.equal(half.flows.get(key)?.delta, (P0 - S0) >>> 0);
  });

  test('to a SYN of the logger’s own: told in the back end’s numbers, and kept', () => {
    const slot = half.connect({ isn: ISN, p0: P0, s0: S0 });
    const mac = [2, 0, 0, 0, 8, 8];
    const answers = [SYN | ACK, RST | ACK, ACK];
    for (const flags of answers) {
      const answer = envelope({ seq: 4_000_000_000, ack: 1234, flags, to: SELF });
      assert.equal(half.back(sentBy(mac, answer)).verdict, Verdict.SHOT);
    }
    const told = half.told();
    for (const [i, event] of told.entries()) {
      const { type, sequence, acknowledgement, backend, backendPort, client, clientPort } = event;
      assert.deepEqual(
        { type, flags: event.flags, mac: event.mac },
        { type: LogType.LOG_REPLY, flags: answers[i], mac },
      );
      assert.deepEqual({ sequence, acknowledgement }, { sequence: 4_000_000_000, acknowledgement: 1234 });
      assert.deepEqual(
        { backend, backendPort, client, clientPort },
        { backend: BACKEND, backendPort: 8080, client: CLIENT, clientPort: CLIENT_PORT },
      );
      assert.deepEqual([event.slot, event.generation], [slot, 1]);
      assert.equal(parseOptions(event.bytes).windowScale, 9);
    }
    half.expect({ back_reply: 3 });
    assert.deepEqual(
      half.tracks.read(slot).mac,
      [0, 0, 0, 0, 0, 0],
      'what it means is for user space to say',
    );
  });

  test('one that names another back end than its sender is believed by nobody', () => {
    half.connect({ isn: ISN, p0: P0, s0: S0 });
    const bytes = envelope({ seq: 1, ack: 2, to: SELF });
    bytes[14 + 20 + 15]! ^= 1;
    assert.equal(half.back(bytes).verdict, Verdict.OK);
    half.expect({ back_plain: 1 });
    assert.deepEqual(half.told(), []);
  });
});
