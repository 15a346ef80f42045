/** What is kept of unfinished requests: in memory, on disk, or not at all. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { RequestLog } from '../src/request-log.ts';
import { RequestStore } from '../src/request-store.ts';

const directory = mkdtempSync(join(tmpdir(), 'request-log-'));
after(() => rmSync(directory, { recursive: true }));

function setUp(
  options: { requestBytes?: number; spillBytes?: number; mostHeld?: number; where?: string } = {},
) {
  const { requestBytes = 1000, spillBytes = 1 << 20, mostHeld, where = directory } = options;
  const failures: Error[] = [];
  const store = new RequestStore({
    ...{ limits: { requestBytes, spillBytes }, directory: where },
    ...(mostHeld === undefined ? {} : { mostHeld }),
    onFailure: error => failures.push(error),
  });
  let lost = 0;
  const log = new RequestLog(store, () => lost++);
  return { store, log, failures, lost: () => lost };
}

/** Byte `i` of the stream. */
const byteAt = (i: number) => (i * 31 + (i >> 8)) & 255;
const stream = (from: number, to: number) =>
  Uint8Array.from({ length: to - from }, (_, i) => byteAt(from + i));

function append(log: RequestLog, length: number): void {
  log.append(stream(log.end, log.end + length), 0, length);
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < end, 'the disk took longer than 10 s');
    await turn();
  }
}

suite('what is too long for memory', () => {
  test('goes to a file without a name, and is read from there', async () => {
    const { log, store, lost } = setUp();
    for (let i = 0; i < 100; i++) append(log, 700);
    await until(() => log.held <= 1000);
    assert.ok(store.spilled >= 69_000, `${store.spilled} bytes on disk`);
    assert.deepEqual(readdirSync(directory), []);
    assert.deepEqual(log.read(0, 70_000), stream(0, 70_000));
    assert.deepEqual(log.read(12_345, 12_346), stream(12_345, 12_346));
    log.dropBefore(69_999);
    assert.deepEqual([log.size, log.read(69_999, 80_000)], [1, stream(69_999, 70_000)]);
    log.close();
    assert.deepEqual([log.size, log.held, store.held, store.spilled, lost()], [0, 0, 0, 0, 0]);
  });

  test('can be read at every moment of its way there, wherever it is cut', async () => {
    const piece = fc.record({
      length: fc.integer({ min: 1, max: 900 }),
      drops: fc.constantFrom('nothing', 'half', 'all'),
      waits: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 40 }), async pieces => {
        const { log, store, lost } = setUp({ requestBytes: 600 });
        for (const { length, drops, waits } of pieces) {
          append(log, length);
          if (drops === 'half') log.dropBefore(log.base + (log.size >> 1));
          if (drops === 'all') log.dropBefore(log.end);
          if (waits) await turn();
          assert.deepEqual(log.read(log.base, log.end), stream(log.base, log.end));
          const middle = log.base + (log.size >> 1);
          assert.deepEqual(log.read(middle, middle + 100), stream(middle, Math.min(middle + 100, log.end)));
        }
        log.close();
        await until(() => store.spilled === 0);
        assert.deepEqual([store.held, lost()], [0, 0]);
      }),
      { numRuns: 50 },
    );
  });
});

test('byte by byte it takes little more memory than in one piece', () => {
  const { log } = setUp({ requestBytes: 1 << 20 });
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 50_000; i++) append(log, 1);
  const bytes = process.memoryUsage().arrayBuffers - before;
  assert.deepEqual(log.read(0, 50_000), stream(0, 50_000));
  // And what `append` itself has made meanwhile.
  assert.ok(bytes < 2_000_000, `${bytes} bytes`);
});

suite('what has no room', () => {
  test('is dropped, and told once; the next request is kept', () => {
    const { log, store, lost } = setUp({ spillBytes: 0 });
    append(log, 900);
    append(log, 200);
    assert.deepEqual([lost(), log.isKeeping, log.size], [1, false, 200]);
    append(log, 500);
    append(log, 300);
    assert.deepEqual(
      [lost(), log.size, store.held],
      [1, 300, 300],
      'only the newest bytes may begin another one',
    );
    log.keepFrom(1850);
    append(log, 50);
    assert.deepEqual([log.isKeeping, log.base, log.read(1850, 2000)], [true, 1850, stream(1850, 1950)]);
  });

  test('because it is longer than anything that is kept', async () => {
    const { log, lost } = setUp({ spillBytes: 5000 });
    for (let i = 0; i < 5; i++) append(log, 1000);
    await until(() => log.held <= 1000);
    assert.equal(lost(), 0);
    append(log, 1);
    assert.equal(lost(), 1);
  });

  test('because the disk does not take it: the failure is told', async () => {
    const where = join(directory, 'gone');
    const { log, lost, failures, store } = setUp({ where });
    rmSync(where, { recursive: true });
    append(log, 1001);
    await until(() => lost() === 1);
    assert.match(failures[0]!.message, /ENOENT/);
    assert.deepEqual([log.size, log.isKeeping, store.held], [0, false, 0]);
  });

  test('because the memory of all is used up, though its own is not', async () => {
    const { store, lost, log } = setUp({ mostHeld: 1500, spillBytes: 0 });
    let others = 0;
    const other = new RequestLog(store, () => others++);
    append(log, 900);
    append(other, 700);
    assert.deepEqual([lost(), others, store.held], [0, 1, 900]);
  });
});

test('a megabyte in small pieces is read from anywhere in no time that grows with it', () => {
  const { log } = setUp({ requestBytes: 64 << 20 });
  for (let i = 0; i < 100_000; i++) append(log, 10);
  const began = performance.now();
  for (let at = 0; at < 1_000_000; at += 20) assert.equal(log.read(at, at + 1)[0], byteAt(at));
  // Each from the first piece on would take some 2.5 billion steps.
  assert.ok(performance.now() - began < 5000);
});
