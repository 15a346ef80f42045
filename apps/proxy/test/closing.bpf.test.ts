/** What ends a spliced connection, and what must not: anybody can send packets in a client's name. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { add, buildPacket, frame, TcpFlags, Verdict } from '@resplice/dataplane';
import { EventType, SpliceFlag } from '../src/layout.generated.ts';
import { CLIENT, CONNECTION, KernelHalf, SPLICE, segment, VIP } from './fixtures/kernel-half.ts';

const { ACK, FIN, PSH, RST } = TcpFlags;
const { SPLICE_CLOSED, SPLICE_RST_SEEN, SPLICE_SERVER_CLOSED } = SpliceFlag;
/** Units of 128 bytes, so 64,000. */
const WINDOW = 500;

let half: KernelHalf;

beforeEach(() => {
  half = new KernelHalf();
  half.splices.set(CONNECTION, SPLICE);
  fromClient({ seq: 1001, payload: 'abc' });
  fromServer({ ack: 1004 });
});

afterEach(() => half.close());

function fromClient({ flags = ACK, seq, payload }: { flags?: number; seq: number; payload?: string }): void {
  half.run(segment({ flags, seq, ack: 78, ...(payload !== undefined && { payload }) }));
}

function fromServer({ flags = ACK, ack }: { flags?: number; ack: number }): void {
  const addresses = { src: VIP, dst: CLIENT, sport: 80, dport: 40_000 };
  const bytes = frame(buildPacket({ ...addresses, seq: 78, ack, flags, window: WINDOW }));
  assert.equal(half.run(bytes, 'proxy_back').verdict, Verdict.OK);
}

const has = (flag: number): boolean => (half.splices.get(CONNECTION)!.flags & flag) !== 0;
const told = (): number => half.events().filter(({ event }) => event.type === EventType.EVENT_CLOSE).length;

test('a FIN that the server waits for closes at once, and is told once', () => {
  fromClient({ flags: FIN | ACK, seq: 1004 });
  fromClient({ flags: FIN | ACK, seq: 1004 });
  assert.deepEqual([has(SPLICE_CLOSED), told()], [true, 1]);
});

test('a FIN behind the last bytes closes with them', () => {
  fromClient({ flags: FIN | PSH | ACK, seq: 1004, payload: 'last' });
  assert.deepEqual([has(SPLICE_CLOSED), told()], [true, 1]);
});

test('a FIN that has overtaken bytes closes when the server has got both', () => {
  fromClient({ flags: FIN | ACK, seq: 1010 });
  fromServer({ ack: 1004 });
  assert.equal(has(SPLICE_CLOSED), false);
  fromClient({ seq: 1004, payload: 'bytes.' });
  fromServer({ ack: 1011 });
  assert.deepEqual([has(SPLICE_CLOSED), told()], [true, 1]);
});

test('forged FINs close nothing, wherever they fall', () => {
  for (let i = 0; i < 20_000; i++) {
    const seq = add(1005, i * 214_748);
    half.run(segment({ flags: FIN | ACK, seq, ack: 78 }));
    half.events();
  }
  fromServer({ ack: 1004 });
  fromClient({ seq: 1004, payload: 'still here' });
  fromServer({ ack: 1014 });
  assert.equal(has(SPLICE_CLOSED), false);
  fromClient({ flags: FIN | ACK, seq: 1014 });
  assert.deepEqual([has(SPLICE_CLOSED), told()], [true, 1]);
});

test('forged RSTs close nothing unless they hit the one number, and the server is heard after all others', () => {
  for (let seq = 1005; seq < 11_005; seq++) fromClient({ flags: RST, seq });
  for (let seq = 900; seq < 1004; seq++) fromClient({ flags: RST, seq });
  assert.deepEqual([has(SPLICE_CLOSED), has(SPLICE_RST_SEEN)], [false, true]);
  fromServer({ ack: 1004 }); // its question whether that was meant
  assert.deepEqual([has(SPLICE_CLOSED), has(SPLICE_RST_SEEN), told()], [false, false, 0]);
  fromClient({ flags: RST, seq: 1004 });
  assert.deepEqual([has(SPLICE_CLOSED), told()], [true, 1]);
});

test('an RST beyond the window is not even remembered', () => {
  fromClient({ flags: RST, seq: 1004 + WINDOW * 128 + 1 });
  assert.equal(has(SPLICE_RST_SEEN), false);
});

test('forged bytes do not move the place where the client is', () => {
  fromClient({ seq: 3_000_000, payload: 'far, but near enough to be passed on' });
  fromClient({ seq: 3_900_000_000, payload: 'far' });
  assert.equal(half.splices.get(CONNECTION)!.clientNext, 1004);
  half.events();
  // The client's own go on in the kernel, whatever user space took the others for.
  half.splices.set(CONNECTION, { ...half.splices.get(CONNECTION)!, clientNext: 3_900_000_003 });
  assert.equal(half.run(segment({ flags: ACK, seq: 1004, ack: 78, payload: 'real' })).verdict, Verdict.OK);
  assert.equal(half.events().length, 0);
});

test('the server resets: nothing is left of the connection', () => {
  fromServer({ flags: RST | ACK, ack: 1004 });
  assert.deepEqual([has(SPLICE_CLOSED), has(SPLICE_SERVER_CLOSED), told()], [true, true, 1]);
});

test('the server closes its half: the client may go on', () => {
  fromServer({ flags: FIN | ACK, ack: 1004 });
  assert.deepEqual([has(SPLICE_CLOSED), has(SPLICE_SERVER_CLOSED), told()], [false, true, 0]);
});

test('a packet of the server that was overtaken does not turn back', () => {
  fromServer({ ack: 1001 });
  assert.equal(half.splices.get(CONNECTION)!.acked, 1004);
});

test('after a long time elsewhere, even more than 2 GiB, the server is believed at once', () => {
  fromServer({ ack: add(1004, 2_500_000_000) });
  assert.equal(half.splices.get(CONNECTION)!.acked, add(1004, 2_500_000_000));
});
