/** What becomes of connections while nobody reads the ring: it fills, and after a while they pass unlogged. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { TcpFlags, Verdict } from '@resplice/dataplane';
import { ClientMode, ServerMode } from '../src/layout.generated.ts';
import { fromClient, fromServer, KernelHalf, passed, sentBy, syn } from './fixtures/kernel-half.ts';

const { ACK, FIN, RST } = TcpFlags;
const ISN = 0xffff_fff0;
const P0 = 0xffff_fffa;
const S0 = 70_000;
const [C, S] = [ISN + 1, P0 + 1];
const { OK, REDIRECT, SHOT } = Verdict;
const SECOND = 1_000_000_000n;
const BLOCK = 'x'.repeat(500);

let half: KernelHalf;
let slot: number;

/** User space has last read the ring so long ago, and is waited for that long. */
function beat(agoNs: bigint, patienceNs: bigint): void {
  half.configure({ beatNs: process.hrtime.bigint() - agoNs, patienceNs });
}

const client = (at: number, payload: string, flags: number = ACK) =>
  half.middle(fromClient({ seq: C + at, ack: S0 + 1, payload, flags }));
const server = (at: number, payload: string, flags: number = ACK) =>
  half.back(fromServer({ seq: S + at, ack: C, payload, flags }));
const track = () => half.tracks.read(slot);

/** @returns bytes of the client's that are in the ring */
function fill(): number {
  let sent = 0;
  while (client(sent * 500, BLOCK).verdict === OK && half.counters.read().middle_unattended === 0) sent++;
  return sent * 500;
}

beforeEach(() => {
  half = new KernelHalf({ events: 4096 });
  slot = half.connect({ isn: ISN, p0: P0, s0: S0 });
  client(0, '');
  half.expect({ middle_repeated: 1 });
});
afterEach(() => half.close());

suite('nobody has read the ring for too long', () => {
  beforeEach(() => beat(3n * SECOND, 2n * SECOND));

  test('what a client sends is logged while there is room, and then passes unlogged', () => {
    const logged = fill();
    assert.ok(logged > 0);
    assert.equal(half.told().length, logged / 500);
    assert.deepEqual([track().unattended, track().endPasses], [1, 1]);
    assert.ok(half.counters.read().middle_unattended! > 0);
  });

  test('so does what a server sends', () => {
    fill();
    passed(server(0, BLOCK), REDIRECT);
    assert.equal(half.counters.read().back_unattended, 1);
    assert.equal(track().serverNext, (S + 500) >>> 0);
  });

  for (const [name, flags] of [
    ['FIN', ACK | FIN],
    ['RST', ACK | RST],
  ] as const) {
    test(`a server's ${name} is what it says, though there is room in the ring`, () => {
      const { flags: seen } = passed(server(0, 'end', flags), REDIRECT);
      assert.equal(seen & flags, flags);
      half.expect({ back_unattended: 1 });
      assert.deepEqual([track().unattended, track().endPasses], [1, 1]);
      assert.equal(half.told().length, 1, 'and told, should somebody come');
    });
  }

  test('a former back end stays unheard', () => {
    const former = sentBy([2, 0, 0, 0, 0, 9], fromServer({ seq: S, ack: C, flags: ACK | RST }));
    assert.equal(half.back(former).verdict, SHOT);
    half.expect({ back_former: 1 });
  });

  test('a connection that moves waits for whoever moves it', () => {
    fill();
    half.tracks.setClientMode(slot, ClientMode.CLIENT_HELD);
    half.tracks.setServerMode(slot, ServerMode.SERVER_DIVERTED);
    assert.equal(client(100_000, BLOCK).verdict, SHOT);
    assert.equal(server(0, BLOCK).verdict, SHOT);
    assert.equal(server(0, '', ACK | RST).verdict, SHOT);
  });

  test('a new connection goes on, in a slot of its own', () => {
    fill();
    assert.equal(half.middle(syn({ isn: 5000, p0: 6000, clientPort: 41_000 })).verdict, OK);
    assert.equal(half.config.freeHead, 2);
    const other = half.tracks.read(1);
    assert.deepEqual([other.unattended, other.endPasses], [1, 1]);
  });
});

suite('while somebody reads, or patience has no end', () => {
  for (const [name, ago, patience] of [
    ['it was read just now', 0n, 2n],
    ['connections are to stand still', 1000n, 0n],
  ] as const) {
    test(`${name}: what does not fit into the ring is dropped`, () => {
      beat(ago * SECOND, patience * SECOND);
      fill();
      assert.equal(server(0, BLOCK).verdict, SHOT);
      assert.equal(server(0, '', ACK | RST).verdict, SHOT);
      assert.deepEqual([track().unattended, track().endPasses], [0, 0]);
      assert.equal(half.counters.read().middle_unattended, 0);
    });
  }
});
