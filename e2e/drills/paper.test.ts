/** `./resplice drill paper`: both actions over both architectures in real labs, what is kept of each run, and going on with it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ResultsFolder } from '../../drill/src/paper/folder.ts';

const main = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url));
const results = fileURLToPath(new URL('../../results', import.meta.url));
/** Two labs, six runs of each, and what a busy machine adds. */
const DEADLINE_MS = 400_000;

interface Printed {
  readonly folder: string;
  readonly verdict: string;
}

function drill(...args: string[]): { status: number | null; printed: Printed; stderr: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [main, 'drill', 'paper', ...args, '--json'],
    {
      encoding: 'utf8',
      timeout: DEADLINE_MS,
    },
  );
  assert.notEqual(stdout, '', stderr);
  return { status, printed: JSON.parse(stdout) as Printed, stderr };
}

suite('the paper’s tables on a LAN, at a tenth of the weight', () => {
  let folder: string | undefined;
  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  test('every fault meets its moment; a crash in an object is seen on HAProxy, and not on our tier', () => {
    const found = drill('--client', 'paper', '--links', 'lan', '--scale', '0.1', '--seed', '3');
    folder = found.printed.folder;
    const { runs } = ResultsFolder.open(folder).results;
    assert.equal(runs.length, 2 * 2 * 3);
    const missed = runs.filter(({ verdict }) => verdict !== 'complete').map(({ reason }) => reason);
    assert.deepEqual(missed, [], found.stderr);
    for (const { fault, fired } of runs) assert.equal(fired === null, fault === 'none');
    // Without the kit, who was cut off in the middle of a send may still make it when it is heard again, after it was sent anew.
    for (const { deliveries, action, fault, architecture } of runs) {
      if (action === 'action1') assert.equal(deliveries, null);
      else if (fault === 'backend-cut' && architecture === 'traditional') assert.ok(deliveries! >= 1);
      else assert.equal(deliveries, 1);
    }
    const ofAction1 = (architecture: string) =>
      runs
        .filter(run => run.action === 'action1' && run.architecture === architecture && run.fault !== 'none')
        .map(({ noticed, reloads }) => [noticed.length > 0, reloads > 0]);
    assert.deepEqual(ofAction1('ours'), [
      [false, false],
      [false, false],
    ]);
    assert.deepEqual(ofAction1('traditional'), [
      [true, true],
      [true, true],
    ]);
    for (const file of ['report.html', 'tables.md', 'figure-light.png', 'figure-dark.png']) {
      assert.ok(existsSync(join(folder, file)), file);
    }
  });

  test('what is complete is not made again', () => {
    assert.ok(folder);
    const before = ResultsFolder.open(folder).results;
    const { printed, stderr } = drill('--resume', folder);
    assert.equal(printed.folder, folder);
    assert.deepEqual(ResultsFolder.open(folder).results, before);
    assert.doesNotMatch(stderr, /bringing up/);
  });
});

test('what cannot be resumed or written is 64, and leaves no folder', () => {
  const folders = (): string[] => (existsSync(results) ? readdirSync(results).sort() : []);
  const before = folders();
  const empty = mkdtempSync(join(tmpdir(), 'resplice-no-results-'));
  try {
    for (const [argv, says] of [
      [['--write'], /written from a run with --full/],
      [['paper', '--resume', empty], /no results there/],
      [['paper', '--resume', empty, '--repeat', '2'], /goes by its own options/],
      [['paper', '--links', 'moon'], /--links/],
    ] as const) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'drill', ...argv], {
        encoding: 'utf8',
        timeout: DEADLINE_MS,
      });
      assert.deepEqual([status, stdout], [64, ''], `${argv.join(' ')}: ${stderr}`);
      assert.match(stderr, says);
    }
    assert.deepEqual(folders(), before);
  } finally {
    rmSync(empty, { recursive: true });
  }
});
