import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Detector, type Target } from '../src/detector.ts';

const at = (id: number, intervalMs = 20): Target => ({
  name: `proxy-${id}`,
  id,
  address: '127.0.0.1',
  port: 1,
  intervalMs,
  misses: 3,
});

/** A detector in slow motion: rounds of 20 ms and of 50 ms, and who answers in them. */
function scene(...targets: Target[]) {
  const log: string[] = [];
  const detector = new Detector({
    changed: ({ name }, { live, ready, epoch }) =>
      log.push(live ? `${name} live ${ready ? 'ready' : 'unready'} ${epoch}` : `${name} dead`),
    suspectSelf: () => log.push('suspect self'),
    settled: () => log.push('settled'),
  });
  detector.setTargets(targets);
  let now = 0;
  const answer = (id: number, ready = true, epoch = 1) =>
    detector.heard(id, now, { ready, epoch, status: 0 });
  return {
    detector,
    answer,
    /** Advances by 10 ms steps, ends the rounds that are due; `answering` answer 1 ms after their probe. */
    run(ms: number, answering: number[], { late = false } = {}) {
      for (const end = now + ms; now < end; ) {
        now += 10;
        for (const interval of [20, 50]) {
          if (now % interval !== 0) continue;
          const probed = detector.endRound(interval, now, late).map(({ id }) => id);
          now += 1;
          for (const id of probed) if (answering.includes(id)) answer(id);
          now -= 1;
        }
      }
    },
    /** What was decided since the last look. */
    decided: () => log.splice(0),
  };
}

test('one answer means live, three silent rounds mean dead', () => {
  const { run, decided } = scene(at(1), at(2));
  run(100, [1, 2]);
  assert.deepEqual(decided(), ['proxy-1 live ready 1', 'proxy-2 live ready 1', 'settled']);
  run(60, [1]);
  assert.deepEqual(decided(), []);
  run(20, [1]);
  assert.deepEqual(decided(), ['proxy-2 dead']);
  run(1000, [1]);
  assert.deepEqual(decided(), []);
  run(20, [1, 2]);
  assert.deepEqual(decided(), ['proxy-2 live ready 1']);
});

test('two misses in a row are forgiven', () => {
  const { run, decided } = scene(at(1), at(2));
  run(100, [1, 2]);
  decided();
  for (let i = 0; i < 20; i++) {
    run(40, [1]);
    run(20, [1, 2]);
  }
  assert.deepEqual(decided(), []);
});

test('silence while the own rounds were late does not count', () => {
  const { run, decided } = scene(at(1), at(2));
  run(100, [1, 2]);
  decided();
  run(1000, [1], { late: true });
  assert.deepEqual(decided(), []);
  run(60, [1]); // the first of these still has no answer to judge
  assert.deepEqual(decided(), ['proxy-2 dead']);
});

test('when all fall silent at once it may be us: one more round, then they are dead', () => {
  const { run, decided } = scene(at(1), at(2));
  run(100, [1, 2]);
  decided();
  run(80, []);
  assert.deepEqual(decided(), ['suspect self']);
  run(40, []);
  assert.deepEqual(decided(), []);
  run(40, []);
  assert.deepEqual(decided(), ['proxy-1 dead', 'proxy-2 dead']);
  run(1000, []);
  assert.deepEqual(decided(), []);
});

test('if one of the silent answers in time, the others are judged at once', () => {
  const { run, decided } = scene(at(1), at(2));
  run(100, [1, 2]);
  run(80, []);
  decided();
  run(40, [2]);
  assert.deepEqual(decided(), ['proxy-1 dead']);
});

test('slower targets that went silent at the same time count as well', () => {
  const { run, decided } = scene(at(1), at(2, 50), at(3, 50));
  run(100, [1, 2, 3]);
  decided();
  run(80, []);
  assert.deepEqual(decided(), ['suspect self']);
  run(500, []);
  assert.deepEqual(decided(), ['proxy-1 dead', 'proxy-2 dead', 'proxy-3 dead']);
});

test('one that dies alone among slower ones is dead without a grace', () => {
  const { run, decided } = scene(at(1), at(2, 50), at(3, 50));
  run(100, [1, 2, 3]);
  decided();
  run(90, [2, 3]);
  assert.deepEqual(decided(), ['proxy-1 dead']);
});

test('the last one alive gets no grace: nobody is left to compare with', () => {
  const { run, decided } = scene(at(1), at(2));
  run(100, [1, 2]);
  run(100, [1]);
  decided();
  run(80, []);
  assert.deepEqual(decided(), ['proxy-1 dead']);
});

test('ready, epoch and nothing else are changes worth a call', () => {
  const { answer, run, decided } = scene(at(1));
  run(100, [1]);
  decided();
  answer(1, false);
  answer(1, false);
  answer(1, true, 2);
  answer(99);
  assert.deepEqual(decided(), ['proxy-1 live unready 1', 'proxy-1 live ready 2']);
});

test('one that never answers settles as dead without a change', () => {
  const { run, decided } = scene(at(1), at(2));
  run(60, [1]);
  assert.deepEqual(decided(), ['proxy-1 live ready 1']);
  run(40, [1]);
  assert.deepEqual(decided(), ['settled']);
});

test('without targets everything is settled', () => {
  assert.deepEqual(scene().decided(), ['settled']);
});

test('targets that stay keep their state; a new address starts anew', () => {
  const { detector, run, decided } = scene(at(1), at(2));
  run(100, [1, 2]);
  decided();
  detector.setTargets([at(1), { ...at(2), address: '127.0.0.2' }, at(3)]);
  run(20, [1, 2]);
  assert.deepEqual(decided(), ['proxy-2 live ready 1']);
  run(100, [1, 2]);
  assert.deepEqual(decided(), ['settled']);
});
