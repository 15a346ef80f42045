import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionId, ControlRecord, Entry, Knowledge, SegmentRecord } from '@resplice/protocol';
import fc from 'fast-check';
import { type EntryStore, type PeerChannel, Replication, sameSplice } from '../src/replication.ts';
import { Tally } from '../src/tally.ts';

const CONNECTION: ConnectionId = { client: 1, vip: 2, clientPort: 3, vipPort: 80, isn: 1000 };

/** Who moves connections to other back ends. */
const LOGGER = 201;

class Store implements EntryStore {
  entry: Entry | undefined;
  find() {
    return this.entry;
  }
  adopt(entry: Entry) {
    this.entry = entry;
  }
  move(entry: Entry) {
    this.entry = entry;
  }
  closing() {}
  forget() {
    this.entry = undefined;
  }
  *batches() {
    if (this.entry) yield [{ entry: this.entry, closed: false }];
  }
}

/** Proxies in one process. Messages wait until the schedule delivers them; a frozen proxy neither sends nor receives. */
class Cluster {
  readonly nodes = new Map<number, Node>();
  readonly wire: { from: number; to: number; record: ControlRecord }[] = [];
  readonly frozen = new Set<number>();

  constructor(ids: readonly number[]) {
    for (const id of ids)
      this.nodes.set(
        id,
        new Node(
          this,
          id,
          ids.filter(other => other !== id),
        ),
      );
  }

  node(id: number): Node {
    return this.nodes.get(id)!;
  }

  /** Delivers the i-th message that is on its way. */
  deliver(i: number): void {
    const [message] = this.wire.splice(i % this.wire.length, 1);
    if (!message || this.frozen.has(message.to)) return;
    this.node(message.to).receive(message.from, message.record);
  }

  /** Delivers until all is said; questions to the dead are given up. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 5; ) {
      if (this.wire.length > 0) {
        this.deliver(0);
        idle = 0;
      } else idle++;
      await new Promise(resolve => setImmediate(resolve));
    }
  }

  /** What liveness does when a proxy has died: everybody else gives its questions and gates up. */
  declareDead(id: number): void {
    this.frozen.add(id);
    for (const node of this.nodes.values()) if (node.id !== id) node.peerDied(id);
  }
}

class Node implements PeerChannel {
  readonly store = new Store();
  readonly tally = new Tally();
  readonly replication: Replication;
  readonly #cluster: Cluster;
  readonly id: number;
  readonly dead = new Set<number>();
  isIn = true;
  hearsLogger = false;
  settingUp = false;
  readonly segments: SegmentRecord[] = [];
  readonly #questions = new Map<number, { peer: number; resolve: (k: Knowledge | undefined) => void }>();
  #next = 0;

  constructor(cluster: Cluster, id: number, peers: number[]) {
    this.#cluster = cluster;
    this.id = id;
    this.replication = new Replication({
      self: id,
      peers,
      logger: LOGGER,
      hearsLogger: () => this.hearsLogger,
      isLive: peer => !this.dead.has(peer),
      isIn: () => this.isIn,
      channel: this,
      store: this.store,
      isSettingUp: () => this.settingUp,
      onSegment: (_tuple, segment) => this.segments.push(segment),
      tally: this.tally,
    });
  }

  readonly sentTypes: string[] = [];

  wireCount(type: string): number {
    return this.sentTypes.filter(each => each === type).length;
  }

  sendLater(peer: number, record: ControlRecord): void {
    this.send(peer, record);
  }
  send(peer: number, record: ControlRecord): void {
    this.sentTypes.push(record.type);
    this.#cluster.wire.push({ from: this.id, to: peer, record });
  }

  ask(peer: number, makeRecord: (id: number) => ControlRecord): Promise<Knowledge | undefined> {
    const id = ++this.#next;
    this.send(peer, makeRecord(id));
    return new Promise(resolve => this.#questions.set(id, { peer, resolve }));
  }

  readonly synced: number[] = [];

  receive(peer: number, record: ControlRecord): void {
    if (record.type === 'synced') {
      this.synced.push(record.generation);
      this.send(peer, { type: 'answer', id: record.id, knowledge: { kind: 'none' } });
      return;
    }
    if (record.type !== 'answer') {
      this.replication.receive(peer, record);
      return;
    }
    const question = this.#questions.get(record.id);
    this.#questions.delete(record.id);
    question?.resolve(record.knowledge);
  }

  peerDied(peer: number): void {
    this.dead.add(peer);
    this.replication.peerDied(peer);
    for (const [id, question] of this.#questions) {
      if (question.peer !== peer) continue;
      this.#questions.delete(id);
      question.resolve(undefined);
    }
  }

  /** Claims, connects to a back end of its own choice, publishes: the way of a set-up. Resolves to the splice it would use. */
  async setUp(backend: number): Promise<Entry | undefined> {
    const claim = await this.replication.claim(CONNECTION);
    if (claim.kind === 'entry') return claim.entry;
    if (claim.kind === 'held') return undefined;
    const entry = { ...CONNECTION, p0: 7, delta: backend * 1000, backend, owner: this.id, createdMs: 1 };
    const obstacle = await this.replication.publish(entry);
    if (obstacle) return obstacle.kind === 'entry' ? obstacle.entry : undefined;
    this.store.adopt(entry);
    return entry;
  }
}

test('a lone claim is granted, published to everybody, and the gate is free again', async () => {
  const cluster = new Cluster([1, 2, 3]);
  const set = cluster.node(2).setUp(5);
  await cluster.settle();
  const entry = await set;
  assert.equal(entry?.backend, 5);
  for (const node of cluster.nodes.values()) {
    assert.ok(node.store.entry && sameSplice(node.store.entry, entry!));
    assert.equal(node.replication.gates.size, 0);
  }
});

test('who misses a splice pulls it instead of choosing again', async () => {
  const cluster = new Cluster([1, 2]);
  const first = cluster.node(1).setUp(5);
  await cluster.settle();
  await first;
  cluster.node(2).store.entry = undefined;
  const second = cluster.node(2).setUp(6);
  await cluster.settle();
  assert.equal((await second)?.backend, 5);
  const pulled = cluster.node(2).replication.pull(CONNECTION);
  await cluster.settle();
  const known = await pulled;
  assert.equal(known?.kind === 'entry' && known.entry.backend, 5);
});

test('nobody knows a splice only when every peer has said so', async () => {
  const cluster = new Cluster([1, 2, 3]);
  const denied = cluster.node(1).replication.pull(CONNECTION);
  await cluster.settle();
  assert.deepEqual(await denied, { kind: 'none' });
  cluster.frozen.add(3);
  const doubtful = cluster.node(1).replication.pull(CONNECTION);
  await cluster.settle();
  cluster.declareDead(3);
  assert.equal(await doubtful, undefined);
});

test('a segment that meets the wrong proxy is handed to the one that sets its connection up, whole', async () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.node(3).settingUp = true;
  const pulled = cluster.node(1).replication.pull(CONNECTION);
  await cluster.settle();
  assert.deepEqual(await pulled, { kind: 'held', holder: 3 });
  const payload = Uint8Array.from({ length: 3000 }, (_, i) => i & 0xff);
  const segment = { sequence: 0xfffffff0, acknowledgement: 7, window: 9, fin: true, payload };
  cluster.node(1).replication.handOver(3, CONNECTION, segment);
  await cluster.settle();
  const parts = cluster.node(3).segments;
  assert.deepEqual(
    parts.map(({ sequence, fin }) => [sequence, fin]),
    [
      [0xfffffff0, false],
      [0x3f0, false],
      [0x7f0, true],
    ],
  );
  assert.deepEqual(Uint8Array.from(parts.flatMap(part => [...part.payload])), payload);
});

test('the sole survivor goes on alone, and counts it', async () => {
  const cluster = new Cluster([1, 2]);
  cluster.declareDead(2);
  const set = cluster.node(1).setUp(5);
  await cluster.settle();
  assert.equal((await set)?.backend, 5);
  assert.equal(cluster.node(1).tally.setAloneNoPeer, 1);
});

test('a proxy that froze before it published finds, thawed, that its peer took over, and uses that splice', async () => {
  const cluster = new Cluster([1, 2]);
  const claim = cluster.node(1).replication.claim(CONNECTION);
  await cluster.settle();
  assert.equal((await claim).kind, 'granted');
  // Frozen here: SYN-ACK received, nothing published.
  cluster.node(2).peerDied(1);
  cluster.frozen.add(1);
  const takeover = cluster.node(2).setUp(6);
  await cluster.settle();
  assert.equal((await takeover)?.backend, 6);
  // Thawed.
  cluster.frozen.delete(1);
  cluster.node(2).dead.delete(1);
  const publish = cluster.node(1).replication.publish({
    ...CONNECTION,
    p0: 7,
    delta: 5000,
    backend: 5,
    owner: 1,
    createdMs: 1,
  });
  await cluster.settle();
  const obstacle = await publish;
  assert.equal(obstacle?.kind === 'entry' && obstacle.entry.backend, 6);
});

test('while the holder of a gate lives, others are held; when it dies, the gate is free', async () => {
  const cluster = new Cluster([1, 2, 3]);
  const claim = cluster.node(1).replication.claim(CONNECTION);
  await cluster.settle();
  assert.equal((await claim).kind, 'granted');
  const second = cluster.node(2).setUp(6);
  await cluster.settle();
  assert.equal(await second, undefined);
  cluster.declareDead(1);
  const third = cluster.node(2).setUp(6);
  await cluster.settle();
  assert.equal((await third)?.backend, 6);
});

test('a proxy that joins is told everything, and hears when that was all', async () => {
  const cluster = new Cluster([1, 2]);
  const set = cluster.node(1).setUp(5);
  await cluster.settle();
  await set;
  cluster.node(2).store.entry = undefined;
  const telling = cluster.node(1).replication.tell(2, 0, 7);
  await cluster.settle();
  assert.equal(await telling, true);
  assert.equal(cluster.node(2).store.find()?.backend, 5);
  assert.deepEqual(cluster.node(2).synced, [7]);
});

test('a keeper that is out is told, but not relied on: the next one keeps', async () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.node(2).isIn = false;
  const set = cluster.node(1).setUp(5);
  await cluster.settle();
  assert.equal((await set)?.backend, 5);
  assert.equal(cluster.node(1).tally.setAloneNoPeer, 0);
  for (const id of [2, 3]) assert.equal(cluster.node(id).store.find()?.backend, 5);
});

test('a proxy that is fenced between its claim and its publication uses nothing', async () => {
  const cluster = new Cluster([1, 2]);
  const claim = cluster.node(1).replication.claim(CONNECTION);
  await cluster.settle();
  assert.equal((await claim).kind, 'granted');
  cluster.node(1).isIn = false;
  cluster.node(1).replication.dropClaims();
  // Its peer is dead for it: before it knew of fences it went on alone here.
  cluster.node(1).peerDied(2);
  const entry = { ...CONNECTION, p0: 7, delta: 5000, backend: 5, owner: 1, createdMs: 1 };
  assert.equal((await cluster.node(1).replication.publish(entry))?.kind, 'held');
  assert.equal((await cluster.node(1).replication.claim(CONNECTION)).kind, 'held');
});

test('a peer that joins again and again is told by one course at a time', async () => {
  const cluster = new Cluster([1, 2]);
  const set = cluster.node(1).setUp(5);
  await cluster.settle();
  await set;
  const courses = Array.from({ length: 20 }, () => cluster.node(1).replication.tell(2, 0, 0));
  const asked = cluster.wire.length;
  await cluster.settle();
  await Promise.all(courses);
  assert.ok(asked <= 20, `${asked} messages at once`);
  assert.equal(cluster.node(1).wireCount('synced'), 1);
});

test('whatever the order of messages, no two proxies deliver one request to two back ends', async () => {
  const schedule = fc.array(fc.nat(1000), { minLength: 60, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom([1, 2], [1, 2, 3], [1, 2, 3, 4]),
      schedule,
      fc.uniqueArray(fc.nat(3), { minLength: 2, maxLength: 4 }),
      async (ids, picks, starters) => {
        const cluster = new Cluster(ids);
        const runs = starters.filter(i => i < ids.length).map(i => cluster.node(ids[i]!).setUp(10 + i));
        for (const pick of picks) {
          if (cluster.wire.length > 0) cluster.deliver(pick);
          await new Promise(resolve => setImmediate(resolve));
        }
        await cluster.settle();
        const used = (await Promise.all(runs)).filter(entry => entry !== undefined);
        for (const entry of used) assert.ok(sameSplice(entry, used[0]!), 'two splices of one connection');
        // And somebody gets through in the end: a client that tries again is served.
        const again = cluster.node(ids[0]!).setUp(99);
        await cluster.settle();
        const served = await again;
        assert.ok(served);
        if (used[0]) assert.ok(sameSplice(served, used[0]));
      },
    ),
    { numRuns: 300 },
  );
});

test('what the logger has moved counts, whoever tells it, and an older word does not', () => {
  const cluster = new Cluster([1, 2]);
  const made = {
    ...{ client: 1, vip: 2, clientPort: 40_000, vipPort: 80, isn: 100, p0: 50 },
    ...{ owner: 1, backend: 1, delta: 5, createdMs: 1000 },
  };
  const moved = { ...made, owner: LOGGER, backend: 2, delta: 9, createdMs: 2000 };
  const node = cluster.node(1);
  node.store.adopt(made);
  const hear = (entry: Entry, from: number) =>
    node.replication.receive(from, { type: 'publish', id: 1, entry });
  hear(moved, LOGGER);
  assert.deepEqual(node.store.entry, moved);
  hear(made, 2);
  assert.deepEqual(node.store.entry, moved, 'a peer that has not heard of it');
  const again = { ...moved, backend: 1, delta: 7, createdMs: 3000 };
  hear(again, 2);
  assert.deepEqual(node.store.entry, again, 'by a peer that has');
  hear(moved, LOGGER);
  assert.deepEqual(node.store.entry, again, 'overtaken');
  const foreign = { ...again, owner: 2, backend: 2, createdMs: 4000 };
  hear(foreign, 2);
  assert.deepEqual(node.store.entry, again, 'only the logger moves connections');
});

test('what no peer knows, the logger may', async () => {
  const entry = { ...CONNECTION, p0: 7, delta: 5000, backend: 5, owner: LOGGER, createdMs: 1 };
  for (const [hearsLogger, answer, expected] of [
    [true, { kind: 'entry', entry }, { kind: 'entry', entry }],
    [true, { kind: 'none' }, { kind: 'none' }],
    [false, undefined, { kind: 'none' }],
  ] as const) {
    const cluster = new Cluster([1, 2]);
    const node = cluster.node(1);
    node.hearsLogger = hearsLogger;
    const pulled = node.replication.pull(CONNECTION);
    const asked = cluster.wire.findIndex(({ to }) => to === LOGGER);
    assert.equal(asked >= 0, hearsLogger);
    if (answer) {
      const { record } = cluster.wire.splice(asked, 1)[0]!;
      assert.ok(record.type === 'ask' && !record.claim);
      node.receive(LOGGER, { type: 'answer', id: record.id, knowledge: answer });
    }
    await cluster.settle();
    assert.deepEqual(await pulled, expected);
  }
});
