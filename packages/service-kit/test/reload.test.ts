import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { z } from 'zod';
import { parseConfig, readConfigText } from '../src/config.ts';
import { silentLog } from '../src/log.ts';
import { Metrics } from '../src/metrics.ts';
import { RunningConfig } from '../src/reload.ts';
import { until } from '../testing/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'reload-'));
after(() => rmSync(directory, { recursive: true }));
const file = join(directory, 'config.json');
const schema = z.strictObject({ size: z.int() });

let running: RunningConfig<typeof schema>;

function write(size: number): void {
  writeFileSync(file, JSON.stringify({ size }));
}

beforeEach(() => {
  write(1);
  const read = readConfigText(file);
  running = new RunningConfig(
    { config: parseConfig(schema, read), sha256: read.sha256 },
    { file, schema, reloadable: ['size'], log: silentLog(), metrics: new Metrics('test') },
  );
});

test('what is asked for while the daemon is still being built takes effect when it is', async () => {
  const sizes: number[] = [];
  write(2);
  running.request();
  running.begin(({ size }) => void sizes.push(size));
  await until('it is taken over', () => sizes.length === 1);
  assert.deepEqual(sizes, [2]);
});

test('a request during a reload leads to one more, and never two at once', async () => {
  const sizes: number[] = [];
  let inside = 0;
  let go = () => {};
  running.begin(async ({ size }) => {
    assert.equal(++inside, 1);
    sizes.push(size);
    await new Promise<void>(resolve => {
      go = resolve;
    });
    inside--;
  });
  write(2);
  running.request();
  await until('the first is under way', () => sizes.length === 1);
  for (const size of [3, 4]) {
    write(size);
    running.request();
  }
  go();
  await until('the newest is under way', () => sizes.length === 2);
  go();
  await until('it is followed', () => running.status.sha256 === readConfigText(file).sha256);
  assert.deepEqual(sizes, [2, 4]);
  // The same file again: nothing to do.
  running.request();
  write(5);
  running.request();
  await until('the next is under way', () => sizes.length === 3);
  go();
  assert.deepEqual(sizes, [2, 4, 5]);
});

test('a daemon that can take nothing over refuses what differs', async () => {
  const read = readConfigText(file);
  const fixed = new RunningConfig(
    { config: parseConfig(schema, read), sha256: read.sha256 },
    { file, schema, reloadable: [], log: silentLog(), metrics: new Metrics('test') },
  );
  fixed.begin(undefined);
  write(2);
  fixed.request();
  await until('it is refused', () => fixed.status.refused !== undefined);
  assert.deepEqual(fixed.status.refused?.problems, ['config: size: can only be changed by a restart']);
});
