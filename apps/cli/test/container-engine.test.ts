import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { withContainerEngine } from '../src/container-engine.ts';

suite('a container engine for the tests', () => {
  let directory = '';
  let log = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'resplice-engine-'));
    log = join(directory, 'log');
  });
  after(() => rmSync(directory, { recursive: true }));

  /** Notes how it is called. */
  function script(exit = 0): string {
    const file = join(directory, `engine-${exit}.sh`);
    writeFileSync(file, `echo "$1" >>'${log}'\nexit ${exit}\n`);
    writeFileSync(log, '');
    return file;
  }

  const called = () => readFileSync(log, 'utf8').split('\n').filter(Boolean);

  test('one that answers is used, and left alone', async () => {
    const told: string[] = [];
    const use = { script: script(), isThere: () => true, tell: (line: string) => told.push(line) };
    assert.equal(await withContainerEngine(async () => called().length, use), 0);
    assert.deepEqual([called(), told], [[], []]);
  });

  test('one that a script can start is started for the work, and stopped after it, whatever came of it', async () => {
    const use = { script: script(), isThere: () => false };
    assert.deepEqual(await withContainerEngine(async () => called(), use), ['up']);
    assert.deepEqual(called(), ['up', 'down']);
    await assert.rejects(
      withContainerEngine(() => Promise.reject(new Error('the work')), use),
      /the work/,
    );
    assert.deepEqual(called().slice(2), ['up', 'down']);
  });

  test('a script that cannot is told of, and so is that there is none; the work is done all the same', async () => {
    const told: string[] = [];
    const tell = (line: string) => told.push(line);
    const failing = script(3);
    assert.equal(
      await withContainerEngine(async () => 1, { script: failing, isThere: () => false, tell }),
      1,
    );
    assert.equal(await withContainerEngine(async () => 2, { script: '', isThere: () => false, tell }), 2);
    assert.deepEqual(told, [
      `no container engine: ${failing} up: it exited with 3`,
      `the container engine may still be there: ${failing} down: it exited with 3`,
      'no container engine answers, and RESPLICE_DOCKER_ENGINE names no script that starts one',
    ]);
  });
});
