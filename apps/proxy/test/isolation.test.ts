/** Proxies and their arbiter in one process: whoever is frozen or cut off, and whatever the order of messages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionId, ControlRecord, Entry, Knowledge } from '@resplice/protocol';
import { createLog } from '@resplice/service-kit';
import { until } from '@resplice/service-kit/testing';
import fc from 'fast-check';
import { Arbiter, type FenceState } from '../../logger/src/arbiter.ts';
import { Membership } from '../src/membership.ts';
import { Replication } from '../src/replication.ts';
import { Tally } from '../src/tally.ts';

const CONNECTION: ConnectionId = { client: 1, vip: 2, clientPort: 3, vipPort: 80, isn: 1000 };
const LOGGER = 201;
const EPOCH = 1;
const log = createLog('test', 'fatal');

interface Message {
  from: number;
  to: number;
  record: ControlRecord;
}

class Cluster {
  readonly nodes: Node[];
  readonly wire: Message[] = [];
  readonly frozen = new Set<number>();
  readonly #cuts = new Set<string>();
  readonly #fences = new Map<number, FenceState>();
  /** What reached a back end: the request of CONNECTION, by whose splice. */
  readonly delivered: Entry[] = [];
  readonly arbiter: Arbiter;

  constructor(ids: readonly number[]) {
    const fences = this.#fences;
    this.arbiter = new Arbiter(
      ids,
      { isLive: id => !this.frozen.has(id), epochOf: () => EPOCH },
      { all: fences, raise: (id, fence) => fences.set(id, fence), lift: id => fences.delete(id) },
    );
    this.nodes = ids.map(
      id =>
        new Node(
          this,
          id,
          ids.filter(other => other !== id),
        ),
    );
    for (const node of this.nodes) node.membership.loggerChanged(true);
    this.probe();
    for (const node of this.nodes) node.membership.start();
  }

  hear(a: number, b: number): boolean {
    return !this.frozen.has(a) && !this.frozen.has(b) && !this.#cuts.has([a, b].sort().join());
  }

  cut(a: number, b: number): void {
    this.#cuts.add([a, b].sort().join());
  }

  /** What a sole survivor has set up dies with it: a freeze on top of another fault is one too many. */
  get isWhole(): boolean {
    return (
      this.frozen.size + this.#cuts.size + this.#fences.size === 0 &&
      this.nodes.every(node => node.membership.isIn)
    );
  }

  heal(): void {
    this.#cuts.clear();
    for (const id of [...this.frozen]) this.thaw(id);
  }

  /** A proxy that thaws asks how it stands, before anybody sends it anything (its lapse). */
  thaw(id: number): void {
    if (!this.frozen.delete(id)) return;
    const node = this.nodes.find(each => each.id === id)!;
    this.wire.push(...node.outbox.splice(0));
    void node.membership.check();
  }

  /** What every proxy's liveness finds now. */
  probe(): void {
    for (const node of this.nodes) {
      if (this.frozen.has(node.id)) continue;
      for (const { id } of this.nodes) {
        if (id !== node.id) node.membership.peerChanged(id, this.hear(node.id, id), EPOCH);
      }
    }
  }

  deliver(i: number): void {
    const at = i % this.wire.length;
    const message = this.wire[at]!;
    // To a frozen one it waits in its socket.
    if (this.frozen.has(message.to)) return;
    this.wire.splice(at, 1);
    const { from, to, record } = message;
    if (to === LOGGER) {
      const knowledge = this.arbiter.answer(from, EPOCH, record);
      if (knowledge && 'id' in record)
        this.wire.push({ from: LOGGER, to: from, record: { type: 'answer', id: record.id, knowledge } });
    } else if (from === LOGGER || this.hear(from, to))
      this.nodes.find(({ id }) => id === to)!.receive(from, record);
  }

  /** A request's bytes on their way to a back end: past the logger, or not. */
  pass(by: number, entry: Entry): void {
    if (!this.#fences.has(by)) this.delivered.push(entry);
  }

  async run(steps = 40): Promise<void> {
    for (let i = 0; i < steps; i++) {
      for (const _ of this.wire.slice()) this.deliver(0);
      await new Promise(resolve => setImmediate(resolve));
    }
  }

  close(): void {
    for (const node of this.nodes) node.membership.close();
  }
}

class Node {
  readonly id: number;
  readonly membership: Membership;
  readonly replication: Replication;
  /** What it wanted to say while it was frozen. */
  readonly outbox: Message[] = [];
  readonly #cluster: Cluster;
  readonly #questions = new Map<number, { peer: number; resolve: (known: Knowledge | undefined) => void }>();
  #entry: Entry | undefined;
  #isSettingUp = false;
  #next = 0;

  constructor(cluster: Cluster, id: number, peers: number[]) {
    this.#cluster = cluster;
    this.id = id;
    const tally = new Tally();
    const channel = {
      send: (to: number, record: ControlRecord) => this.#send(to, record),
      sendLater: (to: number, record: ControlRecord) => this.#send(to, record),
      ask: (peer: number, makeRecord: (id: number) => ControlRecord) => {
        const question = ++this.#next;
        this.#send(peer, makeRecord(question));
        return new Promise<Knowledge | undefined>(resolve =>
          this.#questions.set(question, { peer, resolve }),
        );
      },
    };
    this.replication = new Replication({
      self: id,
      peers,
      isLive: peer => this.membership.isCounted(peer),
      isIn: () => this.membership.isIn,
      channel,
      store: {
        find: () => this.#entry,
        adopt: entry => {
          this.#entry = entry;
        },
        move() {},
        closing() {},
        forget() {},
        batches: () => (this.#entry ? [[{ entry: this.#entry, closed: false }]] : []),
      },
      isSettingUp: () => false,
      onSegment() {},
      tally,
    });
    this.membership = new Membership({
      peers,
      logger: LOGGER,
      channel,
      events: {
        standing: isIn => {
          if (isIn) return;
          this.replication.dropClaims();
          this.#isSettingUp = false;
        },
        gone: peer => {
          this.giveUp(peer);
          this.replication.peerDied(peer);
        },
        dropped: peer => this.replication.peerDied(peer),
        tell: (peer, since, generation) => this.replication.tell(peer, since, generation),
      },
      tally,
      log,
    });
  }

  receive(from: number, record: ControlRecord): void {
    if (record.type === 'answer') {
      const question = this.#questions.get(record.id);
      this.#questions.delete(record.id);
      question?.resolve(record.knowledge);
    } else if (!this.membership.receive(from, record)) this.replication.receive(from, record);
  }

  /** Questions that were put often enough, or to a peer that is gone, end without an answer; the logger always answers. */
  giveUp(peer?: number): void {
    if (this.#cluster.frozen.has(this.id)) return;
    for (const [id, question] of this.#questions) {
      if (question.peer === LOGGER || (peer !== undefined && question.peer !== peer)) continue;
      this.#questions.delete(id);
      question.resolve(undefined);
    }
  }

  /** The way of a set-up: claims, connects to a back end of its own, publishes, delivers. */
  async setUp(): Promise<void> {
    if (!this.membership.isIn || this.#entry || this.#isSettingUp) return;
    this.#isSettingUp = true;
    await this.#bind();
    this.#isSettingUp = false;
  }

  async #bind(): Promise<void> {
    const claim = await this.replication.claim(CONNECTION);
    if (claim.kind !== 'granted') return;
    const entry = { ...CONNECTION, p0: 7, delta: this.id, backend: this.id, owner: this.id, createdMs: 1 };
    const obstacle = await this.replication.publish(entry);
    if (obstacle) {
      this.replication.release(CONNECTION);
      return;
    }
    this.#entry = entry;
    this.#cluster.pass(this.id, entry);
  }

  #send(to: number, record: ControlRecord): void {
    const message = { from: this.id, to, record };
    if (this.#cluster.frozen.has(this.id)) this.outbox.push(message);
    else this.#cluster.wire.push(message);
  }
}

const action = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('deliver' as const), pick: fc.nat(100) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('set up' as const), pick: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('probe' as const), pick: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('give up' as const), pick: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('freeze' as const), pick: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('thaw' as const), pick: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), pick: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('heal' as const), pick: fc.constant(0) }) },
);

test('whoever freezes or is cut off when, no request is delivered by two splices, and in the end all are in', async () => {
  let delivered = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom([1, 2], [1, 2, 3]),
      fc.array(action, { minLength: 150, maxLength: 150 }),
      async (ids, actions) => {
        const cluster = new Cluster(ids);
        const at = (pick: number) => cluster.nodes[pick % ids.length]!;
        try {
          await until('all are in', async () => {
            await cluster.run(3);
            return cluster.nodes.every(node => node.membership.isIn);
          });
          for (const { do: what, pick } of actions) {
            if (what === 'deliver' && cluster.wire.length > 0) cluster.deliver(pick);
            else if (what === 'set up' && !cluster.frozen.has(at(pick).id)) void at(pick).setUp();
            else if (what === 'probe') cluster.probe();
            else if (what === 'give up') at(pick).giveUp();
            else if (what === 'freeze' && cluster.isWhole) cluster.frozen.add(at(pick).id);
            else if (what === 'thaw') cluster.thaw(at(pick).id);
            else if (what === 'cut' && cluster.frozen.size === 0) cluster.cut(at(pick).id, at(pick + 1).id);
            else if (what === 'heal') cluster.heal();
            await new Promise(resolve => setImmediate(resolve));
          }
          cluster.heal();
          await until('all are in again', async () => {
            cluster.probe();
            await cluster.run();
            for (const node of cluster.nodes) {
              node.giveUp();
              void node.membership.check();
            }
            await cluster.run();
            return cluster.nodes.every(node => node.membership.isIn);
          });
          const [first] = cluster.delivered;
          for (const entry of cluster.delivered)
            assert.deepEqual(entry, first, 'two splices of one connection');
          delivered += cluster.delivered.length;
        } finally {
          cluster.close();
        }
      },
    ),
    { numRuns: 60 },
  );
  assert.ok(delivered > 20, `only ${delivered} deliveries: this shows nothing`);
});
