/** The auxiliary logger's log: what was promised is there after any end; what is not whole is cut off; what is old goes. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import fc from 'fast-check';
import { DiskLog, type DiskLogOptions, LogWriteError } from '../../src/aux/disk-log.ts';
import { readFrame, writeFrame } from '../../src/aux/frame.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'disk-log-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const files = (): string[] => readdirSync(directory).sort();

/** What a log that begins in the directory finds. */
async function opened(options: Partial<DiskLogOptions> = {}) {
  const found: unknown[] = [];
  const forgotten: number[] = [];
  const states: boolean[] = [];
  const log = await DiskLog.open({
    directory,
    keepMs: 3_600_000,
    maxBytes: 1 << 30,
    onFound: ({ head, body }) => found.push(body.length > 0 ? [head, String(body)] : head),
    onForgotten: segment => forgotten.push(segment),
    onState: error => states.push(error === undefined),
    ...options,
  });
  return { log, found, forgotten, states };
}

suite('a frame', () => {
  test('is read as it was written, and not when a byte of it differs', () => {
    const any = fc.record({
      head: fc.dictionary(fc.string(), fc.string()),
      body: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(any, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ head, body }, at, change) => {
        const frame = writeFrame(head, body);
        const read = readFrame(frame);
        assert.deepEqual({ ...(read?.head as object) }, { ...head });
        assert.deepEqual(new Uint8Array(read!.body), body);
        assert.equal(read!.bytes, frame.length);
        frame[at % frame.length]! ^= change;
        assert.equal(readFrame(frame), undefined);
      }),
    );
  });
});

suite('the log', () => {
  test('has everything after a restart, in order', async () => {
    const first = await opened();
    await first.log.append({ n: 1 }, true);
    await first.log.append({ n: 2 }, false, Buffer.from('body'));
    const place = await first.log.append({ n: 3 }, true);
    assert.deepEqual((await first.log.read(place)).head, { n: 3 });
    await first.log.close();
    const second = await opened();
    assert.deepEqual(second.found, [{ n: 1 }, [{ n: 2 }, 'body'], { n: 3 }]);
    await second.log.append({ n: 4 }, true);
    await second.log.close();
    const third = await opened();
    assert.equal(third.found.length, 4);
    await third.log.close();
  });

  test('records that come together share a sync', async () => {
    const { log } = await opened();
    await Promise.all(Array.from({ length: 200 }, (_, n) => log.append({ n }, true)));
    assert.equal(log.cost.records, 200);
    assert.ok(log.cost.syncs <= 20, `${log.cost.syncs} syncs`);
    assert.ok(log.cost.ms > 0);
    await log.close();
  });

  test('a record that nobody waits for costs no sync', async () => {
    const { log } = await opened();
    await log.append({ n: 1 }, false);
    assert.equal(log.cost.syncs, 0);
    await log.close();
  });

  test('cut at any byte, it has the records before and says what it cut off', async () => {
    const { log } = await opened();
    const { bytes } = await log.append({ n: 1 }, true);
    await log.append({ n: 2 }, true);
    await log.close();
    const path = join(directory, files()[0]!);
    // Behind the records are zeros.
    const file = readFileSync(path);
    const whole = file.subarray(0, file.findLastIndex(byte => byte !== 0) + 1);
    for (let length = bytes; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const again = await opened();
      assert.deepEqual(again.found, [{ n: 1 }], `${length} bytes`);
      // The first byte of a length is a zero.
      const torn = whole.subarray(bytes, length).findLastIndex(byte => byte !== 0) + 1;
      assert.equal(again.log.tornBytes, torn);
      assert.equal(readFileSync(path).length, bytes);
      await again.log.close();
    }
  });

  test('a record in the middle that the disk has spoilt is skipped, and counted', async () => {
    const { log } = await opened();
    for (let n = 1; n <= 3; n++) await log.append({ n }, true);
    await log.close();
    const path = join(directory, files()[0]!);
    const whole = readFileSync(path);
    whole[whole.indexOf('{"n":2}') + 5] = 0x39;
    writeFileSync(path, whole);
    const again = await opened();
    assert.deepEqual([again.found, again.log.spoiltRecords], [[{ n: 1 }, { n: 3 }], 1]);
    await again.log.close();
  });

  test('rubbish at its end is cut off', async () => {
    const { log } = await opened();
    await log.append({ n: 1 }, true);
    await log.close();
    const path = join(directory, files()[0]!);
    const whole = readFileSync(path);
    const end = whole.findLastIndex(byte => byte !== 0) + 1;
    whole.fill(0xff, end, end + 100);
    writeFileSync(path, whole);
    const again = await opened();
    assert.deepEqual([again.found, again.log.tornRecords, again.log.tornBytes], [[{ n: 1 }], 1, 100]);
    assert.equal(readFileSync(path).length, end);
    await again.log.close();
  });

  test('forgets before its time what is of no use, from the oldest on', async t => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const useless = new Set<number>();
    const { log, forgotten } = await opened({ keepMs: 60_000, isOfNoUse: segment => useless.has(segment) });
    for (let n = 1; n <= 4; n++) {
      if (n === 3) useless.add(2);
      if (n === 4) useless.add(1);
      await log.append({ n }, true);
      assert.deepEqual(forgotten, n < 4 ? [] : [1, 2], `${n}`);
      t.mock.timers.tick(11_000);
    }
    assert.deepEqual(files(), ['auxiliary-00000003.log', 'auxiliary-00000004.log']);
    assert.equal(log.forgottenEarly, 0);
    await log.close();
  });

  test('forgets what is old, and nothing else', async t => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const { log, forgotten } = await opened({ keepMs: 60_000 });
    await log.append({ n: 1 }, true);
    t.mock.timers.tick(30_000);
    await log.append({ n: 2 }, true);
    t.mock.timers.tick(40_000);
    await log.append({ n: 3 }, true);
    assert.deepEqual(forgotten, [1]);
    assert.deepEqual(files(), ['auxiliary-00000002.log', 'auxiliary-00000003.log']);
    assert.equal(log.forgottenEarly, 0);
    await log.close();
  });

  test('is no longer than it may be: the oldest goes early, and is counted', async () => {
    const { log, forgotten } = await opened({ maxBytes: 60_000 });
    for (let n = 0; n < 30; n++) await log.append({ n }, true, Buffer.alloc(4000));
    await until('it to be short', () => log.bytes <= 70_000);
    assert.ok(forgotten.length >= 3);
    assert.equal(log.forgottenEarly, forgotten.length);
    await log.close();
  });

  suite('on a disk that is full', () => {
    /** How many more writes and syncs go well. */
    let writes = 0;
    let syncs = 0;

    async function failing(path: string) {
      const file: FileHandle = await open(path, 'wx');
      const refuse = () => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      return {
        writev: (async (buffers: Buffer[], position: number) => {
          if (writes-- > 0) return await file.writev(buffers, position);
          await file.write(buffers[0]!.subarray(0, 5), 0, 5, position);
          throw refuse();
        }) as FileHandle['writev'],
        write: file.write.bind(file) as FileHandle['write'],
        datasync: async () => {
          if (syncs-- > 0) return await file.datasync();
          throw refuse();
        },
        close: () => file.close(),
      };
    }

    test('an append is refused, torn bytes harm nothing, and it goes on when there is room', async () => {
      writes = 1;
      syncs = 100;
      const { log, states } = await opened({ create: failing });
      await log.append({ n: 1 }, true);
      await assert.rejects(log.append({ n: 2 }, true), LogWriteError);
      await assert.rejects(log.append({ n: 3 }, false), /cannot be written: ENOSPC/);
      assert.equal(log.isFailing, true);
      writes = 100;
      await log.append({ n: 4 }, true);
      assert.deepEqual([log.isFailing, states], [false, [false, true]]);
      await log.close();
      const again = await opened();
      assert.deepEqual(again.found, [{ n: 1 }, { n: 4 }]);
      await again.log.close();
    });

    test('a sync that fails refuses its records, and that file is not written again', async () => {
      writes = 100;
      syncs = 0;
      const { log } = await opened({ create: failing });
      await assert.rejects(log.append({ n: 1 }, true), LogWriteError);
      syncs = 100;
      const place = await log.append({ n: 2 }, true);
      assert.equal(place.segment, 2);
      await log.close();
    });
  });

  test('files of nobody’s and empty ones do no harm', async () => {
    writeFileSync(join(directory, 'auxiliary-00000007.log'), '');
    writeFileSync(join(directory, 'notes.txt'), 'x');
    const { log, found } = await opened();
    assert.deepEqual(found, []);
    await log.append({ n: 1 }, true);
    assert.deepEqual(files(), ['auxiliary-00000008.log', 'notes.txt']);
    await log.close();
  });
});
