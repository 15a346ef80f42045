import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { TcpFlags } from '@resplice/dataplane';
import type { Entry, Knowledge } from '@resplice/protocol';
import { Intake } from '../src/intake.ts';
import { CookieKind, EventType, type SegmentEvent } from '../src/layout.generated.ts';
import type { SetupDeps } from '../src/setup.ts';
import { Tally } from '../src/tally.ts';

const TUPLE = { client: 1, vip: 2, clientPort: 3, vipPort: 80 };
const OLD: Entry = {
  ...TUPLE,
  isn: 10,
  p0: 20,
  delta: 30,
  backend: 1,
  owner: 1,
  createdMs: Date.now() - 70_000,
};
const NEW: Entry = { ...OLD, isn: 500, delta: 40, backend: 2, owner: 2, createdMs: Date.now() - 60_000 };

let own: Entry | undefined;
let peers: Knowledge | undefined;
let asked: number;
let relayed: number[];
let adopted: number[];
let handedOver: number[];
let refused: number[];
/** Clients' addresses, and how many segments. */
let givenBack: [number, number][];
let missesPeer: boolean;
let serves: boolean;
let tally: Tally;
let intake: Intake;

beforeEach(() => {
  own = undefined;
  peers = { kind: 'none' };
  asked = 0;
  relayed = [];
  adopted = [];
  handedOver = [];
  refused = [];
  givenBack = [];
  missesPeer = false;
  serves = true;
  tally = new Tally();
  const deps = {
    serves: () => serves,
    tally,
    heads: { find: () => undefined, isHeld: () => false, expire: () => {} },
    limits: { headTimeoutMs: 30_000 },
    table: {
      find: () => own,
      adopt: (entry: Entry) => adopted.push(entry.isn),
      resume: () => {},
    },
    wire: {
      refuse: (_tuple: unknown, segment: { acknowledgement: number }) =>
        refused.push(segment.acknowledgement),
    },
    strays: { giveBack: (...given: [number, number]) => givenBack.push(given) },
    missesPeer: () => missesPeer,
    relay: { forward: (entry: Entry) => relayed.push(entry.isn) },
    replication: {
      pull: async () => {
        asked++;
        return peers;
      },
      handOver: (holder: number) => handedOver.push(holder),
      gates: { expire: () => {} },
    },
  };
  intake = new Intake(deps as unknown as SetupDeps);
});

afterEach(() => intake.close());

async function arrive(fields: Partial<SegmentEvent> = {}): Promise<void> {
  const event: SegmentEvent = {
    type: EventType.EVENT_SEGMENT,
    captured: 1,
    timeNs: process.hrtime.bigint(),
    connection: TUPLE,
    sequence: 777,
    acknowledgement: 888,
    payload: 1,
    window: 9,
    mss: 1460,
    windowScale: 7,
    sackPermitted: 1,
    flags: TcpFlags.ACK,
    cookie: 0,
    sum: 0,
    checked: 0,
    ...fields,
  };
  intake.receive(event, Uint8Array.of(1));
  await new Promise(resolve => setImmediate(resolve));
}

test("a port's former connection that this proxy still remembers does not get its successor's segments", async () => {
  own = OLD;
  peers = { kind: 'entry', entry: NEW };
  await arrive();
  assert.deepEqual([relayed, adopted], [[500], [500]]);
  assert.deepEqual(givenBack, [[TUPLE.client, 1]]);
});

test('what was not counted as a stray is not given back', async () => {
  peers = { kind: 'entry', entry: NEW };
  await arrive({ cookie: CookieKind.COOKIE_OTHER_ISN });
  assert.deepEqual([relayed, givenBack], [[500], [[TUPLE.client, 0]]]);
});

test('when the peers know nothing newer, the entry at hand is right', async () => {
  for (const known of [{ kind: 'none' }, { kind: 'entry', entry: OLD }] as Knowledge[]) {
    own = NEW;
    peers = known;
    await arrive();
  }
  assert.deepEqual([relayed, adopted], [[500, 500], []]);
});

test('a splice that was made while the segment was in the ring is used without asking', async () => {
  own = { ...NEW, createdMs: Date.now() };
  await arrive();
  assert.deepEqual([relayed, asked], [[500], 0]);
});

test('what a peer is setting up is handed over to it', async () => {
  peers = { kind: 'held', holder: 2 };
  await arrive();
  assert.deepEqual([handedOver, relayed], [[2], []]);
});

test('what nobody knows is a stray: its client is told once, and it is not asked for again at once', async () => {
  await arrive();
  await arrive();
  assert.deepEqual([tally.strays, asked, refused, tally.strayResets], [2, 1, [888], 1]);
  assert.deepEqual(givenBack, []);
});

test('no reset while a peer may know the connection: silent, or dead for this proxy only', async () => {
  peers = undefined;
  await arrive();
  await arrive();
  assert.deepEqual([tally.strays, asked, refused], [2, 2, []], 'and it is asked for again');
  peers = { kind: 'none' };
  missesPeer = true;
  await arrive();
  assert.deepEqual([tally.strays, asked, refused], [3, 3, []]);
});

test('no reset for a later segment of a first flight whose first one was lost; but what insists is none', async t => {
  let now = performance.now();
  t.mock.method(performance, 'now', () => now);
  const retransmit = async (sequence: number): Promise<void> => {
    await arrive({ cookie: CookieKind.COOKIE_OTHER_ISN, sequence });
    now += 300;
  };
  for (const sequence of [777, 777, 888, 777]) await retransmit(sequence);
  assert.deepEqual([tally.strays, asked, refused], [4, 4, []]);
  await retransmit(777);
  missesPeer = true;
  await retransmit(777);
  assert.deepEqual(refused, [], 'a peer may know it');
  missesPeer = false;
  await retransmit(777);
  assert.deepEqual(refused, [888]);
});

test('resets are bounded', async () => {
  for (let port = 1; port <= 2000; port++) await arrive({ connection: { ...TUPLE, clientPort: port } });
  assert.equal(tally.strayResets + tally.strayResetsLimited, 2000);
  assert.equal(refused.length, tally.strayResets);
  assert.ok(tally.strayResets >= 500, `${tally.strayResets} told`);
});

test('what waited in the ring of a frozen proxy is of a time that is over', async () => {
  own = NEW;
  await arrive({ timeNs: process.hrtime.bigint() - 1_100_000_000n });
  assert.deepEqual([tally.staleEvents, asked, relayed], [1, 0, []]);
});

test('a proxy that no longer serves takes nothing up, and what it waited for is over', async () => {
  own = OLD;
  peers = { kind: 'entry', entry: NEW };
  const arrival = arrive();
  intake.drop();
  await arrival;
  assert.deepEqual([asked, relayed, adopted], [1, [], []]);
  serves = false;
  await arrive();
  assert.deepEqual([asked, relayed, tally.leftToPeers], [1, [], 1]);
});

test('a segment whose checksum is wrong is dropped: what is sent on would bear a right one', async () => {
  own = { ...NEW, createdMs: Date.now() };
  await arrive({ checked: 1, sum: 0x1234 });
  assert.deepEqual([tally.damaged, relayed], [1, []]);
  await arrive({ checked: 1, sum: 0xffff - 0x0100 }); // the payload is one byte, 1
  assert.deepEqual([tally.damaged, relayed], [1, [500]]);
});
