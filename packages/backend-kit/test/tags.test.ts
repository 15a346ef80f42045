/** Tags and configuration that cannot be followed are refused at start, every one by name. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { listenerSchema } from '@resplice/site-config';
import { readKitConfig } from '../src/config.ts';
import { contradictions, type TaggedRoute, treat } from '../src/tags.ts';
import { Tier } from '../testing/index.ts';

const site = {
  listeners: [
    listenerSchema.parse({
      name: 'web',
      port: 80,
      routes: [
        { match: { pathPrefix: '/send', methods: ['POST'] }, pool: 'all', journal: 'response' },
        { match: { pathPrefix: '/quote' }, pool: 'all', tags: { kind: 'update' }, journal: 'state' },
        { match: { pathPrefix: '/page' }, pool: 'all', tags: { kind: 'read', deterministic: true } },
        { match: {}, pool: 'all' },
      ],
    }),
  ],
  timeoutClasses: {},
};

const route = (method: string, url: string, tags?: TaggedRoute['tags']): TaggedRoute => ({
  method,
  url,
  tags,
});

suite('tags', () => {
  test('that agree with the site are followed', () => {
    const agreeing = [
      route('POST', '/send/:draft', { kind: 'update', journal: 'response' }),
      route('POST', '/send', {}),
      route('PUT', '/quote/*', { journal: 'state' }),
      route('GET', '/page/:n(^\\d+$)', { deterministic: true }),
      route('GET', '/page', {}),
      route('GET', '/other'),
      route('POST', '/other'),
    ];
    assert.deepEqual(contradictions(agreeing, site), []);
    assert.deepEqual(contradictions([route('POST', '/anything', { journal: 'state' })], undefined), []);
  });

  test('that do not are refused, each by route, listener and what to do', () => {
    const wrong = [
      route('POST', '/send', { journal: 'state' }),
      route('POST', '/send'),
      route('POST', '/other', {}),
      route('GET', '/quote', { kind: 'read' }),
      route('GET', '/page', { deterministic: false }),
      route('POST', '/both', { deterministic: true }),
      route('GET', '/effect', { kind: 'update', journal: 'none' }),
    ];
    const found = contradictions(wrong, site);
    const shown = [
      /^POST \/send: has journal state here and response there: make .* listener web, route 1 of resplice\.yaml agree$/,
      /^POST \/send: has journal none here and response there/,
      /^POST \/other: has journal response here and none there: .* route 4/,
      /^GET \/quote: has journal none here and state there/,
      /^GET \/page: is not deterministic here and the opposite there/,
      /^POST \/both: is deterministic, so nothing need be kept of it/,
    ];
    for (const [i, pattern] of shown.entries()) assert.match(found[i]!, pattern);
    assert.match(found[6]!, /^GET \/effect: is an update here and a read there/);
    assert.equal(found.length, 7);
  });

  test('have defaults that are safe', () => {
    const journals = (method: string, tags?: TaggedRoute['tags']) => {
      const { kind, journal, isKnown } = treat(route(method, '/x', tags));
      return [kind, journal, isKnown];
    };
    assert.deepEqual(journals('POST', {}), ['update', 'response', true]);
    assert.deepEqual(journals('GET', {}), ['read', 'none', true]);
    assert.deepEqual(journals('GET', { deterministic: true }), ['read', 'none', false]);
    assert.deepEqual(journals('DELETE'), ['update', 'none', false]);
  });

  test('keep an application from starting when they contradict the site', async () => {
    await assert.rejects(
      Tier.start(
        1,
        app => {
          app.post('/send', () => 'x');
        },
        site,
      ),
      /POST \/send: has journal none here and response there/,
    );
  });
});

suite('the configuration', () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'resplice-kit-'));
    writeFileSync(join(directory, 'key'), `${'ab'.repeat(32)}\n`, { mode: 0o600 });
    writeFileSync(join(directory, 'open'), `${'ab'.repeat(32)}\n`);
    chmodSync(join(directory, 'open'), 0o644);
  });
  after(() => rmSync(directory, { recursive: true }));

  const good = {
    self: 'backend-1',
    listen: { address: '10.64.0.11', port: 7002 },
    keyFile: 'key',
    members: [
      { name: 'backend-1', address: '10.64.0.11', port: 7002 },
      { name: 'backend-2', address: '10.64.0.12', port: 7002 },
    ],
    loggers: ['logger-1'],
  };
  const read = (config: object) => {
    const file = join(directory, 'kit.json');
    writeFileSync(file, JSON.stringify(config));
    return readKitConfig({ RESPLICE_KIT: file });
  };
  const keyed = (more: object) => ({ ...good, keyFile: join(directory, 'key'), ...more });

  test('is off without its variable', () => {
    assert.equal(readKitConfig({}), undefined);
  });

  test('is read with its key', () => {
    const config = read(keyed({ site: { listeners: site.listeners } }))!;
    assert.deepEqual([config.agentPort, config.kitKey[0], config.kitKey.length], [7003, 0xab, 32]);
    assert.equal(config.site!.listeners[0]!.name, 'web');
  });

  test('that is wrong says every problem, and nothing of the key', () => {
    const refused = (config: object, ...says: RegExp[]) =>
      assert.throws(
        () => read(config),
        (error: Error) => {
          for (const pattern of says) assert.match(error.message, pattern);
          assert.doesNotMatch(error.message, /abab/);
          return true;
        },
      );
    refused(keyed({ self: 'backend-9' }), /self: must be one of the members/);
    refused(
      keyed({ members: [], listen: { address: 'x', port: 0 } }),
      /members: /,
      /listen\.address: must be/,
    );
    refused(keyed({ members: [...good.members, good.members[0]!] }), /members: must have different names/);
    refused({ ...good, keyFile: '/nowhere' }, /keyFile: \/nowhere cannot be read: ENOENT/);
    refused({ ...good, keyFile: join(directory, 'open') }, /chmod 600/);
    refused({ ...good, keyFile: join(directory, 'kit.json') }, /chmod 600|64 hex digits/);
  });
});
