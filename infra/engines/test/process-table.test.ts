import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import {
  isAlive,
  killFamily,
  livingProcesses,
  pidsInNamespaces,
  processEntry,
} from '../src/process-table.ts';
import { until } from './fixtures/test-lab.ts';

/** A session leader with a child in its group, and a grandchild that fled into a session of its own. */
function startFamily() {
  const script = 'sleep 601 & setsid sh -c "sleep 602; :" & wait';
  return spawn('sh', ['-c', script], { detached: true, stdio: 'ignore' });
}

suite('the process table', () => {
  test('knows ourselves, and that a pid with another start time is somebody else', () => {
    const own = processEntry(process.pid)!;
    assert.equal(own.parent, process.ppid);
    assert.equal(isAlive(own), true);
    assert.equal(isAlive({ ...own, startTime: own.startTime + 1 }), false);
    assert.equal(processEntry(2 ** 22 + 1), undefined);
  });

  test('a family dies together, those in other sessions too, and twice is harmless', {
    timeout: 10_000,
  }, async () => {
    const child = startFamily();
    const exited = once(child, 'exit');
    const leader = processEntry(child.pid!)!;
    const descendants = () => {
      const found = new Set([leader.pid]);
      const entries = livingProcesses();
      for (let before = 0; before < found.size; ) {
        before = found.size;
        for (const { pid, parent } of entries) if (found.has(parent)) found.add(pid);
      }
      return [...found];
    };
    await until('leader, sleeper, refugee and its sleeper', () => descendants().length === 4);
    const family = descendants();
    await killFamily(leader);
    await exited;
    for (const pid of family) assert.ok(!livingProcesses().some(each => each.pid === pid), `${pid} lives`);
    await killFamily(leader);
  });

  test('asking for no namespace, or for our own, names nobody', () => {
    assert.deepEqual(pidsInNamespaces(new Set()), []);
  });
});
