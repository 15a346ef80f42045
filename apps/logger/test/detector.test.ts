import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { Detector, type TimeoutBounds, type Watch } from '../src/detector/index.ts';
import { RETRANSMISSION_MS } from '../src/detector/settings.ts';

const bounds: TimeoutBounds = {
  first: { floor: 400, start: 10_000, cap: 60_000 },
  rest: { floor: 300, start: 5000, cap: 20_000 },
};
const WINDOW = 65_536;

/** A detector that has seen many transactions: 20 ms to the first byte, 10 ms of silence within. */
function taught(backend = 'backend-1', cls = 'c'): Detector {
  const detector = new Detector();
  for (let i = 0; i < 200; i++) answer(detector.watch(backend, cls, bounds), 0, 20, 10);
  return detector;
}

function answer(watch: Watch, now: number, first: number, silence?: number): void {
  watch.requestComplete(now);
  watch.firstByte(now + first);
  if (silence !== undefined) {
    watch.clientAck(now + first, 0, WINDOW);
    watch.serverBytes(now + first + silence);
  }
  watch.done();
}

/** A response of which everything so far is acknowledged, the last of it at `now`. */
function responding(detector: Detector, now: number): Watch {
  const watch = detector.watch('backend-1', 'c', bounds);
  watch.requestComplete(now - 20);
  watch.firstByte(now - 1);
  watch.clientAck(now, 0, WINDOW);
  return watch;
}

suite('the first time-out: from the complete request to the first byte', () => {
  test('a hung server is suspected at the floor, once its speed is known', () => {
    const watch = taught().watch('backend-1', 'c', bounds);
    watch.requestComplete(1000);
    assert.equal(watch.deadline(), 1400);
    assert.ok(!watch.isSuspect(1399));
    assert.ok(watch.isSuspect(1400));
  });

  test('a request that is still arriving is not waited for', () => {
    const watch = taught().watch('backend-1', 'c', bounds);
    assert.equal(watch.deadline(), undefined);
    assert.ok(!watch.isSuspect(600_000));
    watch.requestComplete(600_000);
    assert.equal(watch.deadline(), 600_400);
  });

  test('before anything is learnt it is `start`, which gives way with every sample', () => {
    const detector = new Detector();
    const timeout = () => {
      const watch = detector.watch('backend-1', 'c', bounds);
      watch.requestComplete(0);
      return watch.deadline();
    };
    assert.equal(timeout(), 10_000);
    const learnt = [1, 2, 3, 4].map(() => {
      answer(detector.watch('backend-1', 'c', bounds), 0, 20);
      return timeout();
    });
    assert.deepEqual(learnt, [10_000, 5000, 10_000 / 3, 2500]);
    for (let i = 0; i < 21; i++) answer(detector.watch('backend-1', 'c', bounds), 0, 20);
    assert.equal(timeout(), 400);
  });

  test('an outlier widens it for a thousand samples at least, at every back end', () => {
    const detector = taught();
    answer(detector.watch('backend-1', 'c', bounds), 0, 10_000);
    for (let i = 0; i < 1000; i++) answer(detector.watch('backend-1', 'c', bounds), 0, 20);
    for (const backend of ['backend-1', 'backend-2']) {
      const watch = detector.watch(backend, 'c', bounds);
      watch.requestComplete(0);
      assert.equal(watch.deadline(), 20_000, backend);
    }
    for (let i = 0; i < 1000; i++) answer(detector.watch('backend-1', 'c', bounds), 0, 20);
    const watch = detector.watch('backend-1', 'c', bounds);
    watch.requestComplete(0);
    assert.equal(watch.deadline(), 400);
  });

  test('what is learnt meanwhile may lengthen it, not shorten it', () => {
    const detector = new Detector();
    const early = detector.watch('backend-1', 'c', bounds);
    early.requestComplete(0);
    for (let i = 0; i < 200; i++) answer(detector.watch('backend-1', 'c', bounds), 0, 20);
    assert.equal(early.deadline(), 10_000);
    const late = detector.watch('backend-1', 'c', bounds);
    late.requestComplete(0);
    answer(detector.watch('backend-1', 'c', bounds), 0, 3000);
    assert.equal(late.deadline(), 6000);
  });

  test('it never passes the cap, and a start beyond it is the cap', () => {
    const narrow = { ...bounds, first: { floor: 50, start: 10_000, cap: 2000 } };
    const detector = new Detector();
    const watch = detector.watch('backend-1', 'c', narrow);
    watch.requestComplete(0);
    assert.equal(watch.deadline(), 2000);
    answer(watch, 0, 1900);
    const next = detector.watch('backend-1', 'c', narrow);
    next.requestComplete(0);
    assert.equal(next.deadline(), 2000);
  });

  test('back ends differ in mean and deviation; one that is not known is taken for an ordinary one', () => {
    const detector = new Detector({ peakFactor: 0 });
    for (let i = 0; i < 200; i++) {
      answer(detector.watch('quick', 'c', bounds), 0, 20);
      answer(detector.watch('slow', 'c', bounds), 0, 2000);
    }
    const timeout = (backend: string) => {
      const watch = detector.watch(backend, 'c', bounds);
      watch.requestComplete(0);
      return watch.deadline()!;
    };
    assert.equal(timeout('quick'), 400);
    assert.ok(Math.abs(timeout('slow') - 2000) < 1);
    assert.ok(timeout('new') > 2000);
  });
});

suite('the second time-out: silence within a response', () => {
  test('runs from the moment when all that was sent is acknowledged', () => {
    const watch = responding(taught(), 5000);
    assert.equal(watch.deadline(), 5300);
    watch.clientAck(5200, 0, WINDOW);
    assert.equal(watch.deadline(), 5300, 'another acknowledgement of the same is no progress of the server');
    watch.serverBytes(5250);
    assert.ok(!watch.isSuspect(5300));
  });

  test('does not run while the client does not read', () => {
    const watch = responding(taught(), 5000);
    watch.serverBytes(5001);
    watch.clientAck(5002, 60_000, 60_000);
    assert.ok(!watch.isSuspect(8000));
    watch.clientAck(5050, 0, 0);
    assert.equal(watch.deadline(), undefined);
    assert.ok(!watch.isSuspect(900_000));
    watch.clientAck(900_000, 0, 100);
    assert.equal(watch.deadline(), undefined, 'less room than a server need use');
    watch.clientAck(900_001, 0, WINDOW);
    assert.equal(watch.deadline(), 900_301);
  });

  test('runs for a client whose window is always small', () => {
    const watch = taught().watch('backend-1', 'c', bounds);
    watch.clientAck(0, 0, 512);
    watch.requestComplete(0);
    watch.firstByte(10);
    watch.clientAck(20, 0, 512);
    assert.equal(watch.deadline(), 320);
  });

  test('does not run while the request of an early response is still arriving', () => {
    const watch = taught().watch('backend-1', 'c', bounds);
    watch.firstByte(10);
    watch.clientAck(20, 0, WINDOW);
    assert.equal(watch.deadline(), undefined);
    watch.requestComplete(7000);
    assert.equal(watch.deadline(), 7300);
  });

  test('a stream widens it at once, for itself and for others of its class', () => {
    const detector = taught();
    const stream = responding(detector, 0);
    stream.serverBytes(250);
    stream.clientAck(251, 0, WINDOW);
    assert.equal(stream.deadline(), 251 + 500);
    assert.equal(responding(detector, 1000).deadline(), 1500);
  });

  test('what is learnt of a response is its longest silence, once', () => {
    const detector = new Detector({ peakFactor: 0 });
    for (let i = 0; i < 20; i++) {
      const watch = responding(detector, 0);
      watch.serverBytes(800);
      watch.clientAck(800, 0, WINDOW);
      for (let at = 801; at < 900; at++) {
        watch.serverBytes(at);
        watch.clientAck(at, 0, WINDOW);
      }
      watch.done();
    }
    const timeout = responding(detector, 0).deadline()!;
    assert.ok(timeout >= 800 && timeout < 850, `${timeout}`);
  });
});

suite('bytes on their way to the client', () => {
  test('a server that sends them again is alive, however long the client is away', () => {
    const watch = responding(taught(), 0);
    let now = 10;
    watch.serverBytes(now);
    for (let gap = 3000; gap <= 120_000; gap = Math.min(120_001, gap * 2)) {
      assert.ok(!watch.isSuspect(now + gap), `${gap} ms`);
      now += gap;
      watch.serverRepeat(now);
    }
    watch.clientAck(now + 1, 0, WINDOW);
    assert.equal(watch.deadline(), now + 301);
  });

  test('a server that does not is suspected, though nothing is acknowledged', () => {
    const watch = responding(taught(), 0);
    watch.serverBytes(10);
    assert.equal(watch.deadline(), 10 + RETRANSMISSION_MS);
    watch.serverRepeat(2010);
    assert.equal(watch.deadline(), 2010 + 8000);
    watch.clientAck(2500, 0, WINDOW);
    watch.serverBytes(2510);
    assert.equal(watch.deadline(), 2510 + RETRANSMISSION_MS, 'progress ends the steps that double');
  });

  test('every acknowledgement begins it anew', () => {
    const watch = responding(taught(), 0);
    watch.serverBytes(10);
    watch.clientAck(3000, 5000, WINDOW);
    watch.clientAck(3900, 4000, WINDOW);
    assert.equal(watch.deadline(), 3900 + RETRANSMISSION_MS);
    watch.clientAck(4000, 4000, WINDOW);
    assert.equal(watch.deadline(), 3900 + RETRANSMISSION_MS, 'one of the same byte does not');
  });
});

test('a stall of the owner shifts what was pending, and nothing that begins later', () => {
  const detector = taught();
  const pending = detector.watch('backend-1', 'c', bounds);
  pending.requestComplete(0);
  detector.delayed(1000);
  const later = detector.watch('backend-1', 'c', bounds);
  later.requestComplete(1000);
  assert.equal(pending.deadline(), 1400);
  assert.equal(later.deadline(), 1400);
  const within = responding(detector, 2000);
  detector.delayed(50);
  assert.equal(within.deadline(), 2350);
});

test('the alternate of a suspected back end gets twice the time, and `start` at least', () => {
  const detector = taught();
  const first = detector.watch('backend-1', 'c', bounds);
  first.requestComplete(0);
  assert.ok(first.isSuspect(400));
  const second = detector.watch('backend-2', 'c', bounds, first);
  first.abandon();
  second.requestComplete(500);
  assert.equal(second.deadline(), 10_500);
  const third = detector.watch('backend-1', 'c', bounds, second);
  third.requestComplete(0);
  assert.equal(third.deadline(), 20_000);
  second.firstByte(9500);
  const next = detector.watch('backend-1', 'c', bounds);
  next.requestComplete(0);
  assert.equal(next.deadline(), 18_000, 'the back end that was suspected wrongly has the benefit of it');
});

test('a transaction that is over is never suspect, and teaches nothing', () => {
  const detector = taught();
  const abandoned = detector.watch('backend-1', 'c', bounds);
  abandoned.requestComplete(0);
  abandoned.abandon();
  abandoned.firstByte(50_000);
  abandoned.clientAck(50_000, 0, WINDOW);
  abandoned.serverBytes(60_000);
  abandoned.serverRepeat(60_000);
  abandoned.done();
  assert.equal(abandoned.deadline(), undefined);
  const answered = responding(detector, 0);
  answered.done();
  answered.requestComplete(1);
  assert.equal(answered.deadline(), undefined);
  const watch = detector.watch('backend-1', 'c', bounds);
  watch.requestComplete(0);
  assert.equal(watch.deadline(), 400);
});

test('classes are bounded: the least recently used makes room', () => {
  const detector = new Detector({ classes: 3 });
  const timeout = (cls: string) => {
    const watch = detector.watch('backend-1', cls, bounds);
    watch.requestComplete(0);
    return watch.deadline();
  };
  for (const cls of ['a', 'b', 'c'])
    for (let i = 0; i < 100; i++) answer(detector.watch('backend-1', cls, bounds), 0, 20);
  assert.equal(timeout('a'), 400);
  assert.equal(timeout('d'), 10_000);
  assert.equal(detector.size, 3);
  assert.equal(timeout('a'), 400);
  assert.equal(timeout('b'), 10_000, 'went for d');
  for (let i = 0; i < 10_000; i++) detector.watch('backend-1', `/${i}`, bounds);
  assert.equal(detector.size, 3);
});

test('a watch whose class made room goes on', () => {
  const detector = new Detector({ classes: 1 });
  const watch = detector.watch('backend-1', 'a', bounds);
  watch.requestComplete(0);
  detector.watch('backend-1', 'b', bounds);
  assert.equal(watch.deadline(), 10_000);
  watch.firstByte(5);
  watch.done();
});

suite('a request that has been sent', () => {
  test('is not late before it has arrived', () => {
    const watch = taught().watch('backend-1', 'c', bounds);
    watch.requestSent(1000);
    assert.equal(watch.deadline(), 11_000);
    watch.requestComplete(4000);
    assert.equal(watch.deadline(), 4400);
  });

  test('has the time from then on, if it arrived at once', () => {
    const watch = taught().watch('backend-1', 'c', bounds);
    watch.requestSent(1000);
    watch.requestComplete(1010);
    assert.equal(watch.deadline(), 1400);
  });

  test('is answered and acknowledged with one packet: both are known', () => {
    const detector = new Detector();
    for (let i = 0; i < 200; i++) {
      const watch = detector.watch('backend-1', 'c', bounds);
      watch.requestSent(0);
      watch.firstByte(20);
      watch.requestComplete(25);
      watch.clientAck(30, 0, WINDOW);
      assert.ok(watch.deadline() !== undefined, 'the rest is owed');
      watch.done();
    }
    const next = detector.watch('backend-1', 'c', bounds);
    next.requestComplete(0);
    assert.equal(next.deadline(), 400);
  });
});

suite('a suspicion that was premature', () => {
  test('doubles the time, and gives at least that of the beginning', () => {
    const watch = taught().watch('backend-1', 'c', bounds);
    watch.requestComplete(0);
    assert.ok(watch.isSuspect(400));
    assert.ok(watch.reprieve(400));
    assert.equal(watch.deadline(), 10_000);
    assert.ok(watch.reprieve(10_000));
    assert.equal(watch.deadline(), 20_000);
  });

  test('is repeated up to the cap', () => {
    const watch = taught().watch('backend-1', 'c', bounds);
    watch.requestComplete(0);
    for (let i = 0; i < 10; i++) watch.reprieve(1000);
    assert.equal(watch.deadline(), 60_000);
    assert.equal(watch.reprieve(60_000), false);
  });

  test('teaches how long it takes, from its beginning', () => {
    const detector = taught();
    const watch = detector.watch('backend-1', 'c', bounds);
    watch.requestComplete(0);
    watch.reprieve(400);
    watch.firstByte(2500);
    const next = detector.watch('backend-1', 'c', bounds);
    next.requestComplete(0);
    assert.ok(next.deadline()! >= 5000);
  });

  test('of bytes that nobody acknowledges: repetitions may take longer still', () => {
    const watch = responding(taught(), 1000);
    watch.serverBytes(1000);
    assert.ok(watch.isSuspect(1000 + RETRANSMISSION_MS));
    assert.ok(watch.reprieve(1000 + RETRANSMISSION_MS));
    assert.equal(watch.deadline(), 1000 + RETRANSMISSION_MS + 4 * RETRANSMISSION_MS);
  });
});
