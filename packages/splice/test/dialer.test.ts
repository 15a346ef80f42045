import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';
import { encodeOptions, TcpFlags } from '@resplice/dataplane';
import type { ConnectionId } from '@resplice/protocol';
import { type Backend, Backends, Dialer, type DialTally, type Reply } from '../src/index.ts';

const { ACK, RST, SYN } = TcpFlags;
const ID: ConnectionId = { client: 1, vip: 2, clientPort: 40_000, vipPort: 80, isn: 0xffffffff };
const OFFER = { mss: 1460, windowScale: 9, sackPermitted: true };

let limits: { connectTimeoutMs: number };
let sent: string[];
let dialer: Dialer;
let backend: Backend;
let tally: DialTally;

beforeEach(() => {
  sent = [];
  tally = {
    backendRefused: 0,
    backendSilent: 0,
    backendOldSocket: 0,
    backendPortTaken: 0,
    backendLacksOptions: 0,
  };
  limits = { connectTimeoutMs: 400 };
  backend = new Backends([{ name: 'backend-1', id: 1, address: '10.64.0.11', port: 8080 }]).all[0]!;
  backend.up = true;
  dialer = new Dialer(
    { syn: () => sent.push('syn'), reset: (_backend, _id, seq) => sent.push(`reset ${seq}`) },
    tally,
    limits,
  );
});

function reply(flags: number, fields: Partial<Reply> = {}): Reply {
  const options = encodeOptions({ mss: 1460, sackPermitted: true, windowScale: 7 });
  return {
    options: options.length,
    backend: backend.address,
    client: ID.client,
    backendPort: 8080,
    clientPort: ID.clientPort,
    sequence: 777,
    acknowledgement: 0, // the ISN's successor: it wraps around
    flags,
    optionBytes: [...options],
    ...fields,
  };
}

test('a SYN-ACK connects; the doubled SYN’s second one is passed over', async () => {
  const dialled = dialer.dial(backend, ID, 5, OFFER);
  dialer.receive(reply(SYN | ACK));
  dialer.receive(reply(SYN | ACK));
  assert.deepEqual(await dialled, { kind: 'connected', s0: 777 });
  assert.deepEqual(sent, ['syn']);
  assert.equal(dialer.size, 0);
});

test('an RST refuses, but only the one that acknowledges this SYN', async () => {
  const dialled = dialer.dial(backend, ID, 5, OFFER);
  dialer.receive(reply(RST | ACK, { acknowledgement: 99 }));
  assert.equal(dialer.size, 1);
  dialer.receive(reply(RST | ACK));
  assert.deepEqual(await dialled, { kind: 'refused' });
  assert.equal(tally.backendRefused, 1);
});

test('a port that the client is just using towards another listener is not asked for', async () => {
  const first = dialer.dial(backend, ID, 5, OFFER);
  assert.deepEqual(await dialer.dial(backend, { ...ID, vipPort: 9100, isn: 9 }, 6, OFFER), {
    kind: 'refused',
  });
  assert.deepEqual([sent, tally.backendPortTaken], [['syn'], 1]);
  dialer.receive(reply(SYN | ACK));
  assert.equal((await first).kind, 'connected');
  // The same listener's: the client has given that connection up.
  const former = dialer.dial(backend, ID, 5, OFFER);
  const again = dialer.dial(backend, { ...ID, isn: 99 }, 7, OFFER);
  assert.deepEqual(await former, { kind: 'silent' });
  dialer.receive(reply(SYN | ACK, { acknowledgement: 100 }));
  assert.equal((await again).kind, 'connected');
});

test('an old socket is reset at exactly what it expects, and asked again', async () => {
  const dialled = dialer.dial(backend, ID, 5, OFFER);
  dialer.receive(reply(ACK, { acknowledgement: 4321 }));
  assert.deepEqual(sent, ['syn', 'reset 4321', 'syn']);
  dialer.receive(reply(SYN | ACK));
  assert.equal((await dialled).kind, 'connected');
});

test('a SYN-ACK that lacks what the client was promised is not spliced', async () => {
  for (const options of [
    encodeOptions({ mss: 1460, sackPermitted: true }),
    encodeOptions({ windowScale: 7 }),
  ]) {
    const dialled = dialer.dial(backend, ID, 5, OFFER);
    dialer.receive(reply(SYN | ACK, { options: options.length, optionBytes: [...options] }));
    assert.equal((await dialled).kind, 'refused');
    assert.equal(sent.pop(), 'reset 0');
  }
  assert.equal(tally.backendLacksOptions, 2);
});

test('a client that offered nothing needs nothing', async () => {
  const dialled = dialer.dial(backend, ID, 5, { mss: 536, windowScale: 15, sackPermitted: false });
  dialer.receive(reply(SYN | ACK, { options: 0 }));
  assert.equal((await dialled).kind, 'connected');
});

test('silence: the SYN is repeated, then given up without an RST: a peer may use that socket', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const dialled = dialer.dial(backend, ID, 5, OFFER);
    mock.timers.tick(20);
    assert.deepEqual(sent, ['syn', 'syn']);
    for (const ms of [30, 50, 100, 200]) mock.timers.tick(ms);
    assert.deepEqual(await dialled, { kind: 'silent' });
    assert.deepEqual(sent, ['syn', 'syn', 'syn', 'syn', 'syn']);
    assert.equal(dialer.size, 0);
  } finally {
    mock.timers.reset();
  }
});

test('a back end has as long as the limit says: the last retry is repeated, or cut short', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    for (const [connectTimeoutMs, steps, syns] of [
      [70, [20, 30, 20], 3],
      [1000, [20, 30, 50, 100, 200, 200, 200, 200], 8],
    ] as const) {
      sent = [];
      limits.connectTimeoutMs = connectTimeoutMs;
      const dialled = dialer.dial(backend, ID, 5, OFFER);
      for (const ms of steps.slice(0, -1)) mock.timers.tick(ms);
      mock.timers.tick(steps.at(-1)! - 1);
      assert.equal(dialer.size, 1);
      mock.timers.tick(1);
      assert.deepEqual(await dialled, { kind: 'silent' });
      assert.equal(sent.length, syns);
    }
  } finally {
    mock.timers.reset();
  }
});

test('a back end that liveness calls dead is not waited for', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const dialled = dialer.dial(backend, ID, 5, OFFER);
    backend.up = false;
    mock.timers.tick(20);
    assert.deepEqual(await dialled, { kind: 'silent' });
  } finally {
    mock.timers.reset();
  }
});
