/** Connections of listeners with rules for each request: nothing of the client's passes by itself (ARCHITECTURE §2.5). */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { BpfMap, TcpFlags, u32, Verdict } from '@resplice/dataplane';
import { ClientMode, LogType, listenerKey } from '../src/layout.generated.ts';
import {
  CLIENT,
  envelope,
  fromClient,
  fromServer,
  KernelHalf,
  passed,
  syn,
  VIP,
} from './fixtures/kernel-half.ts';

const { ACK, FIN, RST } = TcpFlags;
const ISN = 0xffff_fff0;
const P0 = 0xffff_fffa;
const S0 = 70_000;
const [C, S] = [ISN + 1, P0 + 1];
const { OK, REDIRECT, SHOT } = Verdict;
const SECOND = 1_000_000_000n;

let half: KernelHalf;
let slot: number;

beforeEach(() => {
  half = new KernelHalf({ events: 4096, slots: 2 });
  new BpfMap(half.object.map('guarded'), listenerKey, u32).set({ vip: VIP, port: 80 }, 1);
  half.configure({ guards: 1 });
  slot = half.connect({ isn: ISN, p0: P0, s0: S0 });
  half.told();
});
afterEach(() => half.close());

const client = (at: number, payload: string, flags: number = ACK, more = {}) =>
  half.middle(fromClient({ seq: C + at, ack: S0 + 1, payload, flags, ...more }));

suite('a guarded connection', () => {
  test('bytes and FIN are told as held, and go nowhere, from the first segment on', () => {
    assert.equal(half.tracks.read(slot).guarded, 1);
    assert.equal(client(0, 'GET /').verdict, SHOT);
    assert.equal(client(5, '', ACK | FIN).verdict, SHOT);
    const told = half.told();
    assert.deepEqual(
      told.map(each => [each.type, each.held, each.payload]),
      [
        [LogType.LOG_CLIENT, 1, 5],
        [LogType.LOG_CLIENT, 1, 0],
      ],
    );
    half.expect({ middle_held: 2 });
  });

  test('what comes again is told again: its acknowledgement may be lost', () => {
    client(0, 'GET /');
    client(0, 'GET /');
    assert.equal(half.told().length, 2);
  });

  test('bare acknowledgements and resets pass', () => {
    passed(client(0, ''), OK);
    passed(client(0, '', RST), OK);
  });

  test('a reset with bytes does not', () => {
    assert.equal(client(0, 'GET /', RST | ACK).verdict, SHOT);
  });

  test('answers pass, and each bare acknowledgement is told: it sets the pace', () => {
    client(0, '');
    half.told();
    passed(half.back(fromServer({ seq: S, ack: C + 5, payload: 'HTTP' })), REDIRECT);
    passed(half.back(fromServer({ seq: S + 4, ack: C + 9 })), REDIRECT);
    assert.deepEqual(
      half.told().map(each => [each.type, each.held, each.payload]),
      [
        [LogType.LOG_SERVER, 0, 4],
        [LogType.LOG_SERVER, 0, 0],
      ],
    );
  });

  test('the mode that lets others pass does not let it pass; the one for what is no HTTP does', () => {
    half.tracks.setClientMode(slot, ClientMode.CLIENT_PASSES);
    assert.equal(client(0, 'GET /').verdict, SHOT);
    half.tracks.setClientMode(slot, ClientMode.CLIENT_UNLOGGED);
    passed(client(0, 'GET /'), OK);
  });

  test('nobody reads the ring: its bytes are dropped when that is full, whatever the patience', () => {
    half.configure({ beatNs: process.hrtime.bigint() - 3n * SECOND, patienceNs: 2n * SECOND });
    for (let i = 0; i < 20; i++) assert.equal(client(i * 500, 'x'.repeat(500)).verdict, SHOT);
    assert.ok(half.counters.read().middle_ring_full! > 0);
    assert.equal(half.counters.read().middle_unattended, 0);
    assert.equal(half.tracks.read(slot).unattended, 0);
    assert.equal(half.middle(syn({ isn: 5000, p0: 6000, clientPort: 41_000 })).verdict, SHOT, 'a new one');
  });
});

suite('while a listener is guarded', () => {
  test('nothing passes of a connection that is not known, but for a reset', () => {
    assert.equal(client(0, 'GET /', ACK, { clientPort: 50_000 }).verdict, SHOT);
    assert.equal(client(0, '', ACK, { clientPort: 50_000 }).verdict, SHOT);
    half.expect({ middle_unjudged: 2 });
    assert.deepEqual(
      half.told().map(each => [each.type, each.client, each.clientPort, each.sequence, each.acknowledgement]),
      [1, 2].map(() => [LogType.LOG_STRAY, CLIENT, 50_000, C, S0 + 1]),
      'its end can be said',
    );
    passed(client(0, '', RST, { clientPort: 50_000 }), OK);
  });

  test('of many only some are told', () => {
    for (let i = 0; i < 200; i++) client(0, '', ACK, { clientPort: 50_000 });
    assert.equal(half.counters.read().middle_unjudged, 200);
    const { length } = half.told();
    assert.ok(length > 0 && length < 200, `${length} told`);
  });

  test('one for which there is no slot does not begin', () => {
    assert.equal(half.middle(syn({ isn: 5000, p0: 6000, clientPort: 41_000 })).verdict, OK);
    assert.equal(half.middle(syn({ isn: 5000, p0: 6000, clientPort: 42_000 })).verdict, SHOT);
    assert.equal(half.counters.read().middle_unjudged, 1);
  });

  test('connections of other listeners pass as ever', () => {
    new BpfMap(half.object.map('guarded'), listenerKey, u32).delete({ vip: VIP, port: 80 });
    half.middle(syn({ isn: 5000, p0: 6000, clientPort: 41_000 }));
    half.back(envelope({ seq: 9000, ack: 5001, clientPort: 41_000 }));
    const [seq, ack] = [5001, 9001];
    passed(half.middle(fromClient({ seq, ack, payload: 'GET /', clientPort: 41_000 })), OK);
  });
});
