import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Arbiter, type FenceState, type FenceStore } from '../src/arbiter.ts';

class Fences implements FenceStore {
  readonly all = new Map<number, FenceState>();
  raise(proxy: number, fence: FenceState) {
    this.all.set(proxy, fence);
  }
  lift(proxy: number) {
    this.all.delete(proxy);
  }
}

const EPOCH = 100;
let fences: Fences;
let live: Set<number>;
let epochs: Map<number, number>;
let arbiter: Arbiter;
let lastId = 0;

beforeEach(() => {
  fences = new Fences();
  live = new Set([1, 2, 3]);
  epochs = new Map([1, 2, 3].map(id => [id, EPOCH]));
  build();
});

function build(): void {
  const life = { isLive: (id: number) => live.has(id), epochOf: (id: number) => epochs.get(id) ?? 0 };
  arbiter = new Arbiter([1, 2, 3], life, fences);
}

const fence = (from: number, proxy: number, epoch = EPOCH, id = ++lastId) =>
  arbiter.answer(from, epochs.get(from)!, { type: 'fence', id, proxy, epoch })!;
const standing = (from: number) =>
  arbiter.answer(from, epochs.get(from)!, { type: 'standing', id: ++lastId })!;
const join = (from: number, generation: number, told: number[]) =>
  arbiter.answer(from, epochs.get(from)!, { type: 'join', id: ++lastId, generation, told })!;

test('whoever asks first goes on, whoever asks second finds itself fenced', () => {
  assert.equal(fence(1, 2).fenced, false);
  assert.equal(fence(2, 1).fenced, true);
  assert.deepEqual([...fences.all.keys()], [2]);
  assert.equal(standing(1).fenced, false);
  assert.equal(standing(2).fenced, true);
});

test('so the last one is never fenced, whoever asks about whom', () => {
  for (const [from, proxy] of [
    [1, 2],
    [3, 1],
    [2, 3],
    [1, 3],
    [3, 3],
  ] as const)
    fence(from, proxy);
  assert.deepEqual([...fences.all.keys()].sort(), [1, 2]);
});

test('a fence is lifted when everybody who goes on has told what it knows, since that very fence', () => {
  fence(1, 2);
  const { generation } = standing(2);
  assert.equal(join(2, generation, [1]).fenced, true, 'proxy-3 goes on too');
  assert.equal(join(2, generation - 1, [1, 3]).fenced, true, 'told before the fence');
  assert.equal(join(2, generation, [1, 3]).fenced, false);
  assert.equal(fences.all.size, 0);
});

test('fenced again after it was told: what it was told is not enough', () => {
  fence(1, 2);
  const { generation } = standing(2);
  fence(1, 2);
  const refused = join(2, generation, [1, 3]);
  assert.deepEqual([refused.fenced, refused.generation > generation], [true, true]);
  assert.equal(join(2, refused.generation, [1, 3]).fenced, false);
});

test('a question that is repeated is one question', () => {
  fence(1, 2, EPOCH, 7);
  const { generation } = standing(2);
  fence(1, 2, EPOCH, 7);
  assert.equal(standing(2).generation, generation);
});

test('a request that arrives after its target was started anew fences nobody', () => {
  epochs.set(2, EPOCH + 1);
  assert.equal(fence(1, 2).fenced, false);
  assert.equal(fences.all.size, 0);
});

test('a restart is not fenced, but comes in only when it was told', () => {
  fence(1, 2);
  epochs.set(2, EPOCH + 1);
  assert.equal(standing(2).fenced, false);
  assert.equal(join(2, 0, []).fenced, true);
  assert.equal(join(2, 0, [1, 3]).fenced, false);
  assert.equal(fences.all.size, 0);
});

test('when those who went on are gone, the fenced one comes in, and they are fenced: they may be frozen', () => {
  fence(1, 2);
  live.delete(1);
  const { generation } = standing(2);
  assert.equal(join(2, generation, [3]).fenced, false);
  assert.deepEqual([...fences.all.keys()], [1]);
  assert.equal(standing(1).fenced, true);
});

test('a fenced proxy that lives is not needed by others to come in', () => {
  fence(1, 2);
  epochs.set(3, EPOCH + 1);
  assert.equal(join(3, 0, [1]).fenced, false);
  assert.deepEqual([...fences.all.keys()], [2]);
});

test('a daemon that starts over goes on counting, so that old tellings stay old', () => {
  fence(1, 2);
  const { generation } = standing(2);
  build();
  assert.equal(standing(2).fenced, true);
  fence(1, 2);
  assert.ok(standing(2).generation > generation);
});
