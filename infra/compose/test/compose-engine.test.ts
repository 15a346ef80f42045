import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { LabError, type UpOptions } from '@resplice/engines';
import { hostNamed, parseLink, plainSite } from '@resplice/topology';
import { topologyFor, usualDeployment } from '../src/deployment.ts';
import { containerOf, serviceOf, servicesOf } from '../src/engine/project.ts';
import { ComposeEngine, composeFile } from '../src/index.ts';

const plain: UpOptions = { proxies: 2, backends: 2, backendCommand: null };

/** Refused before anything is looked at, an engine least of all. */
async function refused(work: Promise<unknown>, sentence: RegExp): Promise<void> {
  await assert.rejects(work, error => {
    assert.ok(error instanceof LabError);
    assert.equal(error.code, 'usage');
    assert.match(error.message, sentence);
    return true;
  });
}

suite('compose engine', () => {
  test('refuses in a sentence what containers cannot do', async () => {
    const engine = new ComposeEngine();
    await refused(engine.up({ ...plain, arm: 'haproxy' }), /does not know --arm haproxy/);
    await refused(engine.up({ ...plain, link: parseLink('66ms') }), /does not emulate links/);
    await refused(engine.up({ ...plain, steering: 'spray' }), /does not steer by spray/);
    await refused(engine.up({ ...plain, kit: false }), /does not leave the kit out/);
    const rules = {
      ...plainSite,
      listeners: [{ ...plainSite.listeners[0]!, auth: { basic: { realm: 'r', htpasswd: '/f' } } }],
    };
    const siteFile = { file: '/resplice.yaml', rules };
    await refused(
      engine.up({ ...plain, siteFile }),
      /does not ask for passwords, as the listener "web" does/,
    );
    await refused(engine.reload(siteFile), /does not ask for passwords/);
  });

  test('knows the containers of each component, and of each of its processes', () => {
    const topology = topologyFor(usualDeployment);
    const { services } = composeFile(usualDeployment);
    const all = topology.hosts.flatMap(servicesOf);
    assert.deepEqual([...all, 'keys'].sort(), Object.keys(services).sort());
    const backend = hostNamed(topology, 'backend-2')!;
    assert.deepEqual(servicesOf(backend), ['backend-2', 'backend-2-agent', 'backend-2-webmail']);
    assert.equal(serviceOf(backend, 'agent'), 'backend-2-agent');
    assert.equal(serviceOf(hostNamed(topology, 'proxy-1')!, 'proxy'), 'proxy-1');
    assert.equal(containerOf('proxy-1'), 'resplice-proxy-1-1');
  });
});
