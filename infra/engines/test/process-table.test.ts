import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  isAlive,
  killFamily,
  livingFamilies,
  livingProcesses,
  outlive,
  pidsInNamespaces,
  processEntry,
  stopUntilStill,
  thaw,
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

  test('a family stops together, stays so when stopped again, and goes on together', {
    timeout: 10_000,
  }, async () => {
    const child = startFamily();
    const exited = once(child, 'exit');
    const leader = processEntry(child.pid!)!;
    const states = () => livingFamilies([leader]).map(each => each.state);
    try {
      await until('leader, sleeper, refugee and its sleeper', () => states().length === 4);
      for (let times = 0; times < 2; times++) {
        await stopUntilStill(() => livingFamilies([leader]));
        assert.deepEqual(states(), ['T', 'T', 'T', 'T']);
      }
      thaw(livingFamilies([leader]));
      await until('all go on', () => states().every(state => state === 'S'));
    } finally {
      await killFamily(leader);
      await exited;
    }
    assert.deepEqual(livingFamilies([leader]), []);
    await stopUntilStill(() => livingFamilies([leader]));
  });

  test('a process that forks without end stops too', { timeout: 10_000 }, async () => {
    const child = spawn('sh', ['-c', 'while :; do /bin/true; done'], { detached: true, stdio: 'ignore' });
    const exited = once(child, 'exit');
    const leader = processEntry(child.pid!)!;
    try {
      for (let times = 0; times < 30; times++) {
        await stopUntilStill(() => livingFamilies([leader]));
        const still = livingFamilies([leader]);
        assert.ok(
          still.every(each => each.state === 'T'),
          still.map(each => each.state).join(),
        );
        thaw(still);
      }
    } finally {
      await killFamily(leader);
      await exited;
    }
  });

  test('one whose first thread has ended is alive until the last has, and is waited for', {
    timeout: 10_000,
  }, async t => {
    const script = [
      'import ctypes, os, sys, threading',
      'threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0))).start()',
      'ctypes.CDLL(None).pthread_exit(None)',
    ].join('\n');
    const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'ignore', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const identity = processEntry(child.pid!)!;
    await outlive(identity);
    assert.equal(isAlive(identity), true, 'one that is not dying is not waited for');
    await until('its first thread to have ended', () => processEntry(identity.pid)?.state === 'Z');
    assert.equal(isAlive(identity), true);
    let isOver = false;
    const over = outlive(identity).then(() => {
      isOver = true;
    });
    await delay(20);
    assert.equal(isOver, false);
    child.stdin.end();
    await over;
    assert.equal(isAlive(identity), false);
  });

  test('asking for no namespace, or for our own, names nobody', () => {
    assert.deepEqual(pidsInNamespaces(new Set()), []);
  });
});
