import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../src/log.ts';
import { Upkeep } from '../src/upkeep.ts';
import { until } from '../testing/until.ts';

test('a check runs at once and again; while it fails, upkeep says why', async t => {
  const upkeep = new Upkeep({ log: silentLog(), everyMs: 5 });
  t.after(() => upkeep.close());
  let problem: string | undefined = 'no device';
  let runs = 0;
  upkeep.add('device', () => {
    runs++;
    if (problem) throw new Error(problem);
  });
  assert.equal(runs, 1);
  assert.equal(upkeep.ready(), 'no device');
  upkeep.add('other', () => {});
  await until('it ran again', () => runs > 3);
  assert.equal(upkeep.ready(), 'no device');
  problem = undefined;
  await until('it is put right', () => upkeep.ready() === true);
  upkeep.close();
  const before = runs;
  upkeep.look();
  assert.equal(runs, before + 1);
});
