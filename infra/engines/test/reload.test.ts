import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { plainSite } from '@resplice/topology';
import { adminGet } from '../src/admin-client.ts';
import { readDaemonStatus } from '../src/daemon-status.ts';
import type { LabError } from '../src/errors.ts';
import type { SiteFile } from '../src/lab-state.ts';
import { processFilesOf } from '../src/place.ts';
import { testEngine, testPlace, until } from './fixtures/test-lab.ts';

const place = testPlace('reload');
const engine = testEngine(place);

/** A site whose one pool has this name. */
function siteFile(pool: string, connections = plainSite.limits.connections): SiteFile {
  const rules = {
    ...plainSite,
    listeners: [{ name: 'web', port: 80, pool }],
    pools: { [pool]: plainSite.pools.web! },
    limits: { ...plainSite.limits, connections },
  };
  return { file: `/etc/${pool}.yaml`, rules };
}

function written(component: string): { pools: object; maxConnections: number } {
  return JSON.parse(readFileSync(processFilesOf(place, component, 'proxy').config, 'utf8'));
}

async function follows(component: string): Promise<string | undefined> {
  const { socket } = processFilesOf(place, component, 'proxy');
  return readDaemonStatus((await adminGet(socket, '/status', 1000)).body).config?.sha256;
}

suite('reload', { timeout: 120_000 }, () => {
  before(async () => {
    await engine.down();
    await engine.up({ proxies: 2, backends: 1, backendCommand: null });
  });
  after(() => engine.down());

  test('every running daemon follows, and the lab remembers the file', async () => {
    assert.deepEqual(engine.deployment(), { arm: 'resplice', backends: ['backend-1'], siteFile: null });
    const before = await follows('proxy-1');
    const { at, ...report } = await engine.reload(siteFile('one'));
    assert.deepEqual(report, { file: '/etc/one.yaml', later: [], notes: [] });
    assert.ok(Math.abs(Date.now() - at) < 5000);
    assert.deepEqual(Object.keys(written('proxy-2').pools), ['one']);
    assert.notEqual(await follows('proxy-1'), before);
    assert.equal(engine.deployment().siteFile, '/etc/one.yaml');
    const status = await engine.status();
    assert.ok(typeof status === 'object');
    assert.deepEqual(
      status.listeners.map(({ pools }) => pools),
      [['one']],
    );
  });

  test('the size of a map in use stays, and that is said', async () => {
    const { notes } = await engine.reload(siteFile('small', 4096));
    assert.deepEqual(notes, [
      'limits.connections: 4096 takes effect at the next up; until then it stays 262144',
    ]);
    assert.equal(written('proxy-1').maxConnections, 262_144);
  });

  test('one that does not run follows from its next start on, a frozen one when it thaws', async () => {
    await engine.freeze('proxy-1');
    await engine.crash('proxy-2/proxy');
    const { later } = await engine.reload(siteFile('two'));
    assert.deepEqual([...later].sort(), ['proxy-1/proxy', 'proxy-2/proxy']);
    await engine.heal();
    await until('both follow', async () => {
      const all = await Promise.all(['proxy-1', 'proxy-2'].map(follows));
      return new Set(all).size === 2 && !all.includes(undefined);
    });
    // Nobody is left to be told.
    assert.deepEqual((await engine.reload(siteFile('two'))).later, []);
  });

  test('a daemon that refuses is told, with its words', async () => {
    await assert.rejects(engine.reload(siteFile('refused')), (error: LabError) => {
      assert.deepEqual([error.code, error.details], ['unhealthy', ['config: pools: no']]);
      assert.match(error.message, /^proxy-[12]\/proxy refuses its new configuration$/);
      return true;
    });
    assert.deepEqual((await engine.reload(siteFile('three'))).later, []);
  });
});
