import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, test } from 'node:test';
import { type ConnectionId, type ControlRecord, Sealer } from '@resplice/protocol';
import { type ChannelCounters, ControlChannel } from '../src/control-channel.ts';
import { createLog } from '../src/log.ts';

const KEY = new Uint8Array(32).fill(3);
const PORT = 17_000;
const CONNECTION: ConnectionId = { client: 1, vip: 2, clientPort: 3, vipPort: 80, isn: 4 };
const ONE = { name: 'proxy-1', id: 1, address: '127.0.0.51' };
const TWO = { name: 'proxy-2', id: 2, address: '127.0.0.52' };

interface End {
  channel: ControlChannel;
  counters: ChannelCounters;
  received: ControlRecord[];
}

let one: End;
let two: End;
let stranger: Socket;

async function open(self: typeof ONE, peer: typeof ONE): Promise<End> {
  const counters = { peersSilent: 0, recordsRefused: 0, recordsMalformed: 0 };
  const received: ControlRecord[] = [];
  const channel: ControlChannel = new ControlChannel({
    key: KEY,
    id: self.id,
    epoch: Math.floor(Date.now() / 1000),
    address: self.address,
    port: PORT,
    peers: [peer],
    counters,
    log: createLog(self.name, 'fatal'),
    onRecord(from, record) {
      received.push(record);
      if (record.type === 'ask') {
        channel.send(from, { type: 'answer', id: record.id, knowledge: { kind: 'held', holder: 9 } });
      }
    },
  });
  return { channel, counters, received };
}

beforeEach(async () => {
  [one, two] = await Promise.all([open(ONE, TWO), open(TWO, ONE)]);
  stranger = createSocket('udp4');
  stranger.bind(0, '127.0.0.53');
  await once(stranger, 'listening');
});

afterEach(() => {
  one.channel.close();
  two.channel.close();
  stranger.close();
});

/** What a batch of one release to that proxy looks like. */
function release(receiver: number): Uint8Array {
  const bytes = new Uint8Array(2 + 17);
  bytes[1] = receiver;
  bytes[2] = 6;
  return bytes;
}

const question = (id: number): ControlRecord => ({ type: 'ask', id, claim: true, connection: CONNECTION });

async function until(what: string, done: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 5000; !done(); ) {
    assert.ok(Date.now() < deadline, `${what}: not within 5 s`);
    await new Promise(resolve => setImmediate(resolve));
  }
}

test('a question gets its answer', async () => {
  assert.deepEqual(await one.channel.ask(2, question), { kind: 'held', holder: 9 });
});

test('many records of one turn travel together, all of them arrive, in order', async () => {
  for (let isn = 0; isn < 200; isn++)
    one.channel.send(2, { type: 'release', connection: { ...CONNECTION, isn } });
  await until('200 records', () => two.received.length === 200);
  assert.deepEqual(
    two.received.map(record => record.type === 'release' && record.connection.isn),
    Array.from({ length: 200 }, (_, i) => i),
  );
});

test('what can wait goes with the next record, in order, or alone a little later', async () => {
  const later = { type: 'forget', connection: CONNECTION } as const;
  const now = { type: 'release', connection: CONNECTION } as const;
  one.channel.sendLater(2, later);
  one.channel.send(2, now);
  await until('both to arrive', () => two.received.length === 2);
  assert.deepEqual(two.received, [later, now]);
  one.channel.sendLater(2, later);
  one.channel.sendLater(2, later);
  await until('the others to arrive', () => two.received.length === 4);
});

test('a peer that is not there: the question ends without an answer, and is counted', async () => {
  two.channel.close();
  assert.equal(await one.channel.ask(2, question), undefined);
  assert.equal(one.counters.peersSilent, 1);
  two = await open(TWO, ONE);
});

test('a peer that died: its questions end at once', async () => {
  two.channel.close();
  const asked = one.channel.ask(2, question);
  one.channel.forgetPeer(2);
  assert.equal(await asked, undefined);
  assert.equal(one.counters.peersSilent, 0);
  two = await open(TWO, ONE);
});

test('without the key, with another, from an unknown sender, to another proxy, or a second time: refused, counted, no effect', async () => {
  const epoch = Math.floor(Date.now() / 1000) + 10;
  const record = release(2);
  const good = new Sealer({ key: KEY, purpose: 'control', sender: 1, epoch }).seal(record);
  const datagrams = [
    Buffer.from('no seal at all, but long enough to be looked at closely'),
    new Sealer({ key: new Uint8Array(32), purpose: 'control', sender: 1, epoch }).seal(record),
    new Sealer({ key: KEY, purpose: 'liveness', sender: 1, epoch }).seal(record),
    new Sealer({ key: KEY, purpose: 'control', sender: 77, epoch }).seal(record),
    new Sealer({ key: KEY, purpose: 'control', sender: 1, epoch: epoch - 1 }).seal(release(3)),
  ];
  for (const datagram of datagrams) stranger.send(datagram, PORT, TWO.address);
  await until('five refusals', () => two.counters.recordsRefused === 5);
  assert.equal(two.received.length, 0);
  for (let i = 0; i < 2; i++) stranger.send(good, PORT, TWO.address);
  await until('the replay’s refusal', () => two.counters.recordsRefused === 6);
  assert.equal(two.received.length, 1);
});

test('an authentic datagram that cannot be read is counted, and used in no part', async () => {
  const epoch = Math.floor(Date.now() / 1000) + 10;
  const bytes = new Uint8Array([...release(2), 99, 0, 0]);
  stranger.send(
    new Sealer({ key: KEY, purpose: 'control', sender: 1, epoch }).seal(bytes),
    PORT,
    TWO.address,
  );
  await until('the malformed count', () => two.counters.recordsMalformed === 1);
  assert.equal(two.received.length, 0);
});
