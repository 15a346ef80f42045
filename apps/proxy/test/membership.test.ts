import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { ControlRecord, Knowledge } from '@resplice/protocol';
import { createLog } from '@resplice/service-kit';
import { until } from '@resplice/service-kit/testing';
import { Membership } from '../src/membership.ts';
import { Tally } from '../src/tally.ts';

const LOGGER = 201;
const EPOCH = 100;
const NONE: Knowledge = { kind: 'none' };
const standingIs = (fenced: boolean, generation: number): Knowledge => ({
  kind: 'standing',
  fenced,
  generation,
});

/** What the logger says to the next question of each kind; a promise keeps the asker waiting. */
let logger: {
  fence: Knowledge | Promise<Knowledge> | undefined;
  standing: Knowledge | undefined;
  join: Knowledge | undefined;
};
let peersAnswer: boolean;
let asked: { to: number; record: ControlRecord }[];
let happened: string[];
let tally: Tally;
let membership: Membership;

beforeEach(() => {
  logger = { fence: standingIs(false, 0), standing: standingIs(false, 0), join: standingIs(false, 0) };
  peersAnswer = true;
  asked = [];
  happened = [];
  tally = new Tally();
  build([2, 3]);
});
afterEach(() => membership.close());

function build(peers: number[]): void {
  membership = new Membership({
    peers,
    logger: LOGGER,
    channel: {
      send: () => {},
      async ask(to, makeRecord) {
        const record = makeRecord(1);
        asked.push({ to, record });
        if (to !== LOGGER) return peersAnswer ? NONE : undefined;
        return logger[record.type as keyof typeof logger];
      },
    },
    events: {
      standing: isIn => happened.push(isIn ? 'in' : 'out'),
      gone: peer => happened.push(`gone ${peer}`),
      dropped: peer => happened.push(`dropped ${peer}`),
      async tell(peer, sinceMs, generation) {
        happened.push(`tell ${peer}${sinceMs === 0 ? ' all' : ''} for ${generation}`);
        return true;
      },
    },
    tally,
    log: createLog('proxy-1', 'fatal'),
  });
}

const synced = (peer: number, generation = 0) =>
  membership.receive(peer, { type: 'synced', id: 1, generation });
const isIn = () => until('it is in', () => membership.isIn);
const turn = () => new Promise(resolve => setImmediate(resolve));
const kinds = (to: number) => asked.filter(each => each.to === to).map(({ record }) => record.type);

/** In, with both peers. */
async function begin(): Promise<void> {
  membership.loggerChanged(true);
  for (const peer of [2, 3]) membership.peerChanged(peer, true, EPOCH);
  membership.start();
  for (const peer of [2, 3]) synced(peer);
  await isIn();
  asked = [];
  happened = [];
}

test('a proxy that starts is in only when every peer has told what it knows, and the logger agrees', async () => {
  membership.loggerChanged(true);
  for (const peer of [2, 3]) membership.peerChanged(peer, true, EPOCH);
  logger.join = standingIs(true, 0);
  membership.start();
  synced(2);
  await until('both are asked', () => kinds(2).includes('catchUp') && kinds(3).includes('catchUp'));
  assert.ok(!kinds(LOGGER).includes('join'), 'proxy-3 has told nothing yet');
  assert.match(membership.obstacle, /proxies 3 have not told/);
  synced(3);
  await until('the logger is asked twice', () => kinds(LOGGER).filter(kind => kind === 'join').length === 2);
  assert.equal(membership.isIn, false);
  logger.join = standingIs(false, 0);
  await isIn();
  assert.deepEqual(asked.filter(({ record }) => record.type === 'join')[0]?.record, {
    ...{ type: 'join', id: 1, generation: 0, told: [2, 3] },
  });
});

test('a peer that falls silent is counted on until the logger has fenced it', async () => {
  await begin();
  const confirmed = Promise.withResolvers<Knowledge>();
  logger.fence = confirmed.promise;
  membership.peerChanged(2, false, EPOCH);
  await turn();
  assert.deepEqual(asked, [{ to: LOGGER, record: { type: 'fence', id: 1, proxy: 2, epoch: EPOCH } }]);
  assert.equal(membership.isCounted(2), true);
  assert.deepEqual(happened, []);
  confirmed.resolve(standingIs(false, 0));
  await until('it is gone', () => !membership.isCounted(2));
  assert.deepEqual([happened, tally.fenced], [['gone 2'], 1]);
});

test('whoever asks second is out, and comes in when it has been told, for that fence', async () => {
  await begin();
  logger.fence = standingIs(true, 5);
  membership.peerChanged(2, false, EPOCH);
  await until('it is out', () => !membership.isIn);
  assert.deepEqual(happened, ['out', 'gone 2']);
  await until('proxy-3 is asked', () => kinds(3).includes('catchUp'));
  // It hears proxy-2 again, which tells it at once what it missed; that is not yet for this fence.
  membership.peerChanged(2, true, EPOCH);
  synced(2, 0);
  await until('proxy-2 is asked', () => kinds(2).includes('catchUp'));
  assert.ok(!kinds(LOGGER).includes('join'));
  for (const peer of [2, 3]) synced(peer, 5);
  await isIn();
  assert.deepEqual(asked.at(-2)?.record, { type: 'join', id: 1, generation: 5, told: [2, 3] });
  assert.equal(tally.foundFenced, 1);
});

test('fenced once more while it was being told: all of it again', async () => {
  await begin();
  logger.fence = standingIs(true, 5);
  membership.peerChanged(2, false, EPOCH);
  await until('proxy-3 is asked', () => kinds(3).includes('catchUp'));
  logger.join = standingIs(true, 6);
  synced(3, 5);
  await until('proxy-3 is asked for the newer fence', () =>
    asked.some(({ record }) => record.type === 'catchUp' && record.generation === 6),
  );
  logger.join = standingIs(false, 0);
  synced(3, 6);
  await isIn();
});

// The reset of a connection whose port had been used before: proxy-1 froze; its peer went on without it, and set a connection up
// from a port of which proxy-1 knew an older one. Thawed, proxy-1 was ready before it was told, met the new connection's
// acknowledgement, and sent it to the older one's back end, which answered RST with exactly the number that the client expected.
test('a proxy that stood still and was fenced is out before it says that it is ready', async () => {
  await begin();
  logger.standing = standingIs(true, 9);
  await membership.check();
  assert.equal(membership.isIn, false);
  assert.deepEqual(happened, ['out']);
  await until('it asks to be told', () => kinds(2).includes('catchUp') && kinds(3).includes('catchUp'));
  logger.standing = standingIs(false, 0);
  for (const peer of [2, 3]) synced(peer, 9);
  await isIn();
});

test('a logger that is dead fences nobody: it goes on, and counts that', async () => {
  await begin();
  membership.loggerChanged(false);
  membership.peerChanged(2, false, EPOCH);
  await until('it is gone', () => !membership.isCounted(2));
  assert.deepEqual([kinds(LOGGER), tally.fencedByNobody, membership.isIn], [[], 1, true]);
});

test('a logger that is silent holds it up for as long as a question takes, not longer', async () => {
  await begin();
  logger.fence = undefined;
  membership.peerChanged(2, false, EPOCH);
  await until('it is gone', () => !membership.isCounted(2));
  assert.deepEqual([kinds(LOGGER), tally.fencedByNobody], [['fence'], 1]);
});

test('a proxy that starts without a logger comes in when its peers have told', async () => {
  for (const peer of [2, 3]) membership.peerChanged(peer, true, EPOCH);
  membership.start();
  for (const peer of [2, 3]) synced(peer);
  await isIn();
  assert.equal(tally.joinedUnasked, 1);
});

test('a peer is told what it missed: since it was lost, or all if it was started anew', async () => {
  await begin();
  membership.peerChanged(2, false, EPOCH);
  await until('it is gone', () => !membership.isCounted(2));
  happened = [];
  membership.peerChanged(2, true, EPOCH);
  membership.receive(2, { type: 'catchUp', id: 1, generation: 4 });
  membership.peerChanged(3, true, EPOCH + 1);
  assert.deepEqual(happened, ['tell 2 for 0', 'dropped 2', 'tell 2 for 4', 'gone 3', 'tell 3 all for 0']);
});

test('a peer that was back before the logger said that it is fenced has dropped what it was setting up', async () => {
  await begin();
  const confirmed = Promise.withResolvers<Knowledge>();
  logger.fence = confirmed.promise;
  membership.peerChanged(2, false, EPOCH);
  membership.peerChanged(2, true, EPOCH);
  confirmed.resolve(standingIs(false, 0));
  await turn();
  assert.deepEqual(happened, ['tell 2 for 0']);
  const catchUp = (generation: number) => membership.receive(2, { type: 'catchUp', id: 1, generation });
  for (const generation of [7, 7, 8]) catchUp(generation);
  const seen = happened.filter(each => !each.startsWith('tell'));
  assert.deepEqual(seen, ['dropped 2', 'dropped 2'], 'once for each fence, however often it asks');
  assert.equal(happened[1], 'dropped 2', 'before it is told anything');
  assert.equal(membership.isCounted(2), true);
});

test('a peer that starts has nothing that it could have dropped', async () => {
  await begin();
  membership.receive(3, { type: 'catchUp', id: 1, generation: 0 });
  assert.deepEqual(happened, ['tell 3 for 0']);
});

test('a peer that is not counted on is not told that it knows everything', async () => {
  await begin();
  membership.peerChanged(2, false, EPOCH);
  await until('it is gone', () => !membership.isCounted(2));
  happened = [];
  assert.equal(membership.receive(2, { type: 'catchUp', id: 1, generation: 4 }), true);
  assert.deepEqual(happened, []);
});

test('a peer that does not answer is asked again', async () => {
  peersAnswer = false;
  membership.loggerChanged(true);
  membership.peerChanged(2, true, EPOCH);
  membership.start();
  await until('it is asked three times', () => kinds(2).filter(kind => kind === 'catchUp').length >= 3);
});

test('a proxy that leaves its set-ups to others tells those that it hears, each time with a higher number', async () => {
  await begin();
  membership.leave();
  membership.peerChanged(3, false, EPOCH);
  membership.leave();
  const left = asked.filter(({ record }) => record.type === 'leave');
  assert.deepEqual(left, [
    { to: 2, record: { type: 'leave', id: 1, generation: 1 } },
    { to: 3, record: { type: 'leave', id: 1, generation: 1 } },
    { to: 2, record: { type: 'leave', id: 1, generation: 2 } },
  ]);
});

test('what a peer leaves is taken up once: a repetition may arrive when it sets up again', async () => {
  await begin();
  const leave = (generation: number) => membership.receive(2, { type: 'leave', id: 1, generation });
  for (const generation of [1, 1, 3, 2]) assert.equal(leave(generation), true);
  assert.deepEqual(happened, ['dropped 2', 'dropped 2']);
  // Started anew, it counts from the beginning.
  membership.peerChanged(2, true, EPOCH + 1);
  happened = [];
  leave(1);
  assert.deepEqual(happened, ['dropped 2']);
});
