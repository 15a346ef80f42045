import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { TcpFlags } from '@resplice/dataplane';
import type { Entry } from '@resplice/protocol';
import { type Backend, Backends, type ClientBytes } from '@resplice/splice';
import { EventType, type ReplyEvent } from '../src/layout.generated.ts';
import { Replayer } from '../src/replayer.ts';
import { Tally } from '../src/tally.ts';

const { ACK, RST, SYN } = TcpFlags;
const OFFER = { mss: 1460, windowScale: 7, sackPermitted: true };
/** The first byte's sequence number is 0xfffffff0: it wraps around soon. */
const ENTRY: Entry = {
  client: 1,
  vip: 2,
  clientPort: 40_000,
  vipPort: 80,
  isn: 0xffffffef,
  p0: 77,
  delta: 5,
  backend: 1,
  owner: 1,
  createdMs: 0,
};
const BYTES = Uint8Array.from({ length: 100 }, (_, i) => i);

let backend: Backend;
let sent: { from: number; length: number }[];
let syns: number[];
let ended: number;
let tally: Tally;
let replayer: Replayer;

afterEach(() => mock.timers.reset());

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const backends = new Backends([{ name: 'backend-1', id: 1, address: '10.64.0.11', port: 8080 }]);
  backend = backends.byId(1)!;
  sent = [];
  syns = [];
  ended = 0;
  tally = new Tally();
  const wire = {
    deliver: (_to: Backend, _entry: Entry, { sequence, payload }: ClientBytes) =>
      sent.push({ from: (sequence - 0xfffffff0) >>> 0, length: payload.length }),
    syn: (_to: Backend, _id: unknown, _p0: number, _offer: unknown, owed: number) => syns.push(owed),
  };
  replayer = new Replayer(wire as never, backends, tally, () => ended++);
});

function reply(acknowledged: number, flags: number = ACK): ReplyEvent {
  return {
    type: EventType.EVENT_REPLY,
    options: 0,
    timeNs: 0n,
    backend: backend.address,
    client: ENTRY.client,
    backendPort: 8080,
    clientPort: ENTRY.clientPort,
    sequence: 1,
    acknowledgement: (0xfffffff0 + acknowledged) >>> 0,
    window: 100,
    flags,
    optionBytes: new Array(40).fill(0),
  };
}

test('bytes are sent again until they are acknowledged, from where the back end stands', () => {
  replayer.start(ENTRY, OFFER, BYTES);
  assert.deepEqual(sent, []); // they have just been sent
  mock.timers.tick(20);
  assert.deepEqual(sent, [{ from: 0, length: 100 }]);
  assert.equal(replayer.receive(reply(60)), true);
  assert.deepEqual(sent.slice(1), [{ from: 60, length: 40 }]);
  replayer.receive(reply(60)); // a duplicate says nothing new
  replayer.receive(reply(30)); // one that was overtaken even less
  assert.equal(sent.length, 2);
  replayer.receive(reply(100));
  assert.deepEqual([ended, replayer.size, tally.owedDelivered], [1, 0, 1]);
  mock.timers.tick(60_000);
  assert.equal(sent.length, 2);
});

test('when nothing is heard, the back end is asked, for its last word may have been lost', () => {
  replayer.start(ENTRY, OFFER, BYTES);
  mock.timers.tick(20);
  mock.timers.tick(40);
  assert.deepEqual(syns, [100]);
  replayer.receive(reply(100));
  assert.equal(ended, 1);
});

test('a successor asks first and sends what is lacking', () => {
  replayer.takeOver(ENTRY, OFFER, BYTES);
  assert.deepEqual([syns, sent], [[100], []]);
  replayer.receive(reply(70));
  assert.deepEqual(sent, [{ from: 70, length: 30 }]);
  replayer.receive(reply(100));
  assert.deepEqual([ended, tally.owedTakenOver], [1, 1]);
});

test('a SYN-ACK says that the handshake was not complete: data completes it', () => {
  replayer.takeOver(ENTRY, OFFER, BYTES);
  replayer.receive(reply(0, SYN | ACK));
  assert.deepEqual(sent, [{ from: 0, length: 100 }]);
});

test('what is longer than a burst goes in several, each when the one before has arrived', () => {
  replayer.takeOver(ENTRY, OFFER, new Uint8Array(65_000));
  replayer.receive(reply(0, SYN | ACK));
  replayer.receive(reply(32_768));
  replayer.receive(reply(65_000));
  assert.deepEqual(sent, [
    { from: 0, length: 32_768 },
    { from: 32_768, length: 65_000 - 32_768 },
  ]);
  assert.equal(ended, 1);
});

test('a back end that refuses ends it', () => {
  replayer.start(ENTRY, OFFER, BYTES);
  replayer.receive(reply(0, RST | ACK));
  assert.deepEqual([ended, tally.owedRefused, replayer.size], [1, 1, 0]);
});

test('one that takes nothing for half a minute ends it too', t => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  replayer.start(ENTRY, OFFER, BYTES);
  for (; now < 29_000; now += 1000) mock.timers.tick(1000);
  assert.equal(replayer.size, 1);
  for (; now < 33_000; now += 1000) mock.timers.tick(1000);
  assert.deepEqual([ended, tally.owedGivenUp, replayer.size], [1, 1, 0]);
});

test('what is about other connections is not taken', () => {
  replayer.start(ENTRY, OFFER, BYTES);
  assert.equal(replayer.receive({ ...reply(100), clientPort: 1 }), false);
  assert.equal(ended, 0);
  replayer.close();
});
