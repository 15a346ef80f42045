import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { withLabLock } from '../src/lab-lock.ts';
import { placeNamed } from '../src/place.ts';

const place = placeNamed('rstestlock');
const module = new URL('../src/lab-lock.ts', import.meta.url).href;

suite('the lab lock', { timeout: 20_000 }, () => {
  test('holds one at a time, however many want it', async () => {
    let holders = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++holders);
      await new Promise(resolve => setImmediate(resolve));
      holders--;
    };
    await Promise.all(Array.from({ length: 20 }, () => withLabLock(place, work)));
    assert.deepEqual([most, holders], [1, 0]);
  });

  test('is free again after work that failed, and passes its error on', async () => {
    await assert.rejects(
      withLabLock(place, () => Promise.reject(new Error('broken'))),
      /broken/,
    );
    assert.equal(await withLabLock(place, async () => 'free'), 'free');
  });

  test('is freed by the kernel when its holder is killed', async () => {
    const script = `import { withLabLock } from '${module}';
      await withLabLock(${JSON.stringify(place)}, () => { console.log('held'); return new Promise(r => setTimeout(r, 60000)); });`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    const next = withLabLock(place, async () => 'mine');
    holder.kill('SIGKILL');
    assert.equal(await next, 'mine');
  });
});
