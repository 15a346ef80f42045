import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionId, ControlRecord, Entry, Knowledge } from '@resplice/protocol';
import fc from 'fast-check';
import { Gates } from '../src/gate.ts';
import { type SetupStage, StoredHeads } from '../src/stored-heads.ts';
import { Tally } from '../src/tally.ts';

const ID: ConnectionId = { client: 1, vip: 2, clientPort: 3, vipPort: 80, isn: 1000 };
const OFFER = { mss: 1460, windowScale: 7, sackPermitted: true };
const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => i * 7);

/** Proxies in one process; messages are delivered as `deliver` says, and lost when `lose` says so. */
class Cluster {
  readonly nodes: Node[];
  readonly wire: { from: number; to: number; record: ControlRecord }[] = [];

  constructor(count: number) {
    this.nodes = Array.from({ length: count }, (_, i) => new Node(this, i + 1, count));
  }

  node(id: number): Node {
    return this.nodes[id - 1]!;
  }

  async settle(order: () => number = () => 0): Promise<void> {
    for (let idle = 0; idle < 5; ) {
      const [message] = this.wire.splice(this.wire.length > 0 ? order() % this.wire.length : 0, 1);
      if (message) {
        if (!this.node(message.to).dead.has(message.to)) this.node(message.to).receive(message);
        idle = 0;
      } else idle++;
      await new Promise(resolve => setImmediate(resolve));
    }
  }

  die(id: number): void {
    for (const node of this.nodes) node.peerDied(id);
  }
}

class Node {
  readonly id: number;
  readonly heads: StoredHeads;
  readonly tally = new Tally();
  readonly dead = new Set<number>();
  readonly gates: Gates;
  entry: Entry | undefined;
  stage: SetupStage = 'none';
  readonly yielded: number[] = [];
  readonly #questions = new Map<number, (knowledge: Knowledge | undefined) => void>();
  readonly #cluster: Cluster;
  #next = 0;

  constructor(cluster: Cluster, id: number, count: number) {
    this.id = id;
    this.#cluster = cluster;
    const others = Array.from({ length: count }, (_, i) => i + 1).filter(other => other !== id);
    const isLive = (peer: number) => peer !== id && !this.dead.has(peer);
    this.gates = new Gates(id, isLive);
    this.heads = new StoredHeads({
      self: id,
      livePeers: () => others.filter(isLive),
      isLive,
      channel: {
        send: (to, record) => cluster.wire.push({ from: id, to, record }),
        sendLater: (to, record) => cluster.wire.push({ from: id, to, record }),
        ask: (to, makeRecord) => this.ask(to, makeRecord),
      },
      gates: this.gates,
      findEntry: () => this.entry,
      stage: () => this.stage,
      yieldTo: (_id, peer) => {
        this.yielded.push(peer);
        this.stage = 'none';
        this.heads.drop(ID); // as a set-up does that ends
      },
      tally: this.tally,
    });
  }

  ask(to: number, makeRecord: (id: number) => ControlRecord): Promise<Knowledge | undefined> {
    const id = ++this.#next;
    this.#cluster.wire.push({ from: this.id, to, record: makeRecord(id) });
    return new Promise(resolve => this.#questions.set(id, resolve));
  }

  receive({ from, record }: { from: number; record: ControlRecord }): void {
    if (record.type === 'answer') this.#questions.get(record.id)?.(record.knowledge);
    else if (record.type === 'store' || record.type === 'drop') this.heads.receive(from, record);
  }

  keep(length: number): Promise<Knowledge> {
    return this.heads.keep(ID, 5, OFFER, bytes(length));
  }

  stored(): Uint8Array | undefined {
    return this.heads.find(ID)?.bytes;
  }

  peerDied(id: number) {
    this.dead.add(id);
    return id === this.id ? [] : this.heads.passOn(id);
  }
}

test('what every live peer has kept may be acknowledged, however it was cut; and is dropped everywhere', async () => {
  const cluster = new Cluster(3);
  for (const length of [1, 2, 1500, 5000]) {
    const kept = cluster.node(2).keep(length);
    await cluster.settle();
    assert.deepEqual(await kept, { kind: 'none' });
    for (const node of cluster.nodes) assert.deepEqual(node.stored(), bytes(length));
  }
  assert.deepEqual(
    cluster.nodes.map(node => node.heads.isHeld(ID)),
    [false, true, false],
  );
  cluster.node(2).heads.drop(ID);
  await cluster.settle();
  for (const node of cluster.nodes) assert.deepEqual([node.heads.size, node.heads.bytes], [0, 0]);
});

test('whatever the order of messages: nothing is called kept that a live peer lacks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(100), { minLength: 200, maxLength: 200 }),
      fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 4 }),
      async (picks, growth) => {
        const cluster = new Cluster(3);
        let pick = 0;
        let length = 0;
        for (const more of growth) {
          length += more;
          for (;;) {
            const kept = cluster.node(1).keep(length);
            await cluster.settle(() => picks[pick++ % picks.length]!);
            const answer = await kept;
            if (answer.kind === 'none') break;
            assert.deepEqual(answer, { kind: 'held', holder: 1 }, 'told to try again');
          }
          for (const node of cluster.nodes) assert.deepEqual(node.stored(), bytes(length));
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('a peer that is alive but silent holds it up; one that is dead does not', async () => {
  const cluster = new Cluster(3);
  const kept = cluster.node(1).keep(10);
  cluster.die(3);
  for (const message of cluster.wire.splice(0)) {
    if (message.to !== 3) cluster.node(message.to).receive(message);
    else cluster.node(1).receive({ from: 3, record: { type: 'answer', id: 2, knowledge: { kind: 'none' } } });
  }
  await cluster.settle();
  assert.deepEqual(await kept, { kind: 'none' });
  assert.deepEqual(cluster.node(2).stored(), bytes(10));
});

test('a sole survivor goes on alone, and counts it', async () => {
  const cluster = new Cluster(2);
  cluster.node(1).peerDied(2);
  assert.deepEqual(await cluster.node(1).keep(10), { kind: 'none' });
  assert.equal(cluster.node(1).tally.headsAlone, 1);
});

test('when its proxy dies, a head is the next one’s, which all agree upon', async () => {
  const cluster = new Cluster(4);
  const kept = cluster.node(4).keep(10);
  await cluster.settle();
  await kept;
  const inherited = [1, 2, 3].map(id => cluster.node(id).peerDied(4).length);
  assert.deepEqual(inherited, [1, 0, 0]);
  for (const id of [1, 2, 3]) assert.equal(cluster.node(id).heads.find(ID)!.holder, 1);
  // And so on.
  assert.deepEqual(
    [2, 3].map(id => cluster.node(id).peerDied(1).length),
    [1, 0],
  );
  const again = cluster.node(2).keep(20);
  await cluster.settle();
  assert.deepEqual(await again, { kind: 'none' });
  assert.deepEqual(cluster.node(3).stored(), bytes(20));
});

test('two that collect the same head: the lower id goes on, the other one gives way', async () => {
  const cluster = new Cluster(2);
  cluster.node(1).stage = 'collecting';
  cluster.node(2).stage = 'collecting';
  const [one, two] = [cluster.node(1).keep(10), cluster.node(2).keep(8)];
  await cluster.settle();
  assert.deepEqual([await one, await two], [{ kind: 'none' }, { kind: 'held', holder: 1 }]);
  assert.deepEqual([cluster.node(1).yielded, cluster.node(2).yielded], [[], [1]]);
});

test('who has told the client already that bytes have arrived does not give way', async () => {
  const cluster = new Cluster(2);
  cluster.node(2).stage = 'further';
  const one = cluster.node(1).keep(10);
  await cluster.settle();
  assert.deepEqual(await one, { kind: 'held', holder: 2 });
});

test('what is spliced already is told', async () => {
  const cluster = new Cluster(2);
  const entry = { ...ID, p0: 5, delta: 1, backend: 1, owner: 2, createdMs: 1 };
  cluster.node(2).entry = entry;
  const one = cluster.node(1).keep(10);
  await cluster.settle();
  assert.deepEqual(await one, { kind: 'entry', entry });
});

test('a port that is used again has nothing of its former connection', async () => {
  const cluster = new Cluster(2);
  await Promise.all([cluster.node(1).keep(3000), cluster.settle()]);
  cluster.node(1).heads.drop(ID);
  await cluster.settle();
  const next = { ...ID, isn: 2000 };
  const kept = cluster.node(1).heads.keep(next, 6, OFFER, Uint8Array.of(9));
  await cluster.settle();
  await kept;
  for (const node of cluster.nodes)
    assert.deepEqual([node.stored(), node.heads.bytes], [Uint8Array.of(9), 1]);
});

test('heads that nobody has touched for long are forgotten', async () => {
  const cluster = new Cluster(2);
  await Promise.all([cluster.node(1).keep(10), cluster.settle()]);
  cluster.node(2).heads.expire(performance.now() - 1000);
  assert.equal(cluster.node(2).heads.size, 1);
  cluster.node(2).heads.expire(performance.now() + 1);
  assert.deepEqual([cluster.node(2).heads.size, cluster.node(2).heads.bytes], [0, 0]);
});

test('a proxy that leaves its heads to others hands what still reaches it to the same one as they do', async () => {
  const cluster = new Cluster(3);
  const kept = cluster.node(1).keep(100);
  await cluster.settle();
  await kept;
  const inherited = cluster.nodes.map(node => node.heads.passOn(1).length);
  assert.deepEqual(inherited, [0, 1, 0]);
  for (const node of cluster.nodes) assert.equal(node.heads.find(ID)?.holder, 2);
  assert.deepEqual(cluster.node(1).stored(), bytes(100));
  // It is the heir's to drop now.
  cluster.node(1).heads.drop(ID);
  await cluster.settle();
  assert.deepEqual(cluster.node(2).stored(), bytes(100));
});
