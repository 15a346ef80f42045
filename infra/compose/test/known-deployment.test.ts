import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { plainSite } from '@resplice/topology';
import { usualDeployment } from '../src/deployment.ts';
import { knownTopology, makeKnown, settle } from '../src/known-deployment.ts';

suite('what containers know of the deployment', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'resplice-deployment-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const names = () => knownTopology(directory).hosts.map(({ name }) => name);

  test('is who there is, and what was settled of them; other numbers leave that as it is', () => {
    makeKnown(usualDeployment, directory);
    assert.ok(names().includes('proxy-2') && !names().includes('proxy-3'));
    const rules = { ...plainSite, limits: { ...plainSite.limits, connections: 1000 } };
    settle(usualDeployment, { drained: ['backend-2', 'proxy-2'], rules }, directory);
    assert.deepEqual(knownTopology(directory).drained, ['backend-2', 'proxy-2']);
    makeKnown({ ...usualDeployment, proxies: 1, backends: 3 }, directory);
    assert.ok(names().includes('backend-3') && !names().includes('proxy-2'));
    assert.deepEqual(knownTopology(directory).drained, ['backend-2'], 'who is gone needs not be emptied');
    assert.equal(knownTopology(directory).rules.limits.connections, 1000);
    assert.deepEqual(readdirSync(directory), ['deployment.json']);
  });

  test('nonsense is refused by who writes it, and nobody reads it', () => {
    makeKnown(usualDeployment, directory);
    assert.throws(() => settle({ ...usualDeployment, proxies: 17 }, { drained: [] }, directory), RangeError);
    assert.ok(!names().includes('proxy-3'));
  });
});
