import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalHost } from '../src/host.ts';
import { chooseRoute, compileRouter } from '../src/router.ts';
import { asking, head } from './asking.ts';
import { routed, siteOf } from './site.ts';

test('a listener with one pool asks nothing', () => {
  const [listener] = siteOf(
    'listeners: [{name: w, port: 80, pool: a}]\npools: {a: {backends: all}}',
  ).listeners;
  assert.deepEqual(chooseRoute(listener!, head('/%00', { host: ['a', 'b'] })), {
    kind: 'pool',
    pool: 'a',
    route: -1,
  });
});

test('the first route that matches wins, and its index is told', () => {
  const [listener] = siteOf(
    routed('[{match: {pathPrefix: /x}, pool: b}, {pool: a}, {match: {pathPrefix: /x}, pool: c}]'),
  ).listeners;
  const route = compileRouter(listener!);
  assert.deepEqual(route(head('/x/y?q')), { kind: 'pool', pool: 'b', route: 0 });
  assert.deepEqual(route(head('/')), { kind: 'pool', pool: 'a', route: 1 });
  assert.equal(route(head('/x')), route(head('/x/z')), 'nothing is allocated for a choice');
});

test('a prefix ends where a segment ends', () => {
  for (const prefix of ['/api', '/api/']) {
    const pool = asking(`[{match: {pathPrefix: ${prefix}}, pool: a}]`);
    for (const path of ['/api', '/api/', '/api/x', '/api?q', '/api/?q=/../x'])
      assert.equal(pool(path), 'a', path);
    for (const path of ['/', '/apiary', '/ap', '/API', '/x/api', '/?/api'])
      assert.equal(pool(path), 'none', path);
  }
  assert.equal(asking('[{match: {pathPrefix: /}, pool: a}]')('/anything'), 'a');
});

test('a method is one of those that are listed, in its case', () => {
  const pool = asking('[{match: {methods: [POST, PUT], pathPrefix: /x}, pool: a}, {pool: b}]');
  assert.equal(pool('/x', {}, 'POST'), 'a');
  assert.equal(pool('/x', {}, 'PUT'), 'a');
  for (const method of ['GET', 'post', 'POSTS', 'PU']) assert.equal(pool('/x', {}, method), 'b', method);
});

test('hosts are compared without case, port and final dot', () => {
  const pool = asking(
    '[{match: {host: secret.ex.com}, pool: a}, {match: {host: "*.ex.com"}, pool: b}, {pool: c}]',
  );
  for (const host of [
    'secret.ex.com',
    'SECRET.Ex.com',
    'secret.ex.com:80',
    'secret.ex.com.',
    'secret.ex.com.:8080',
    'secret.ex.com:',
  ])
    assert.equal(pool('/', { host }), 'a', host);
  for (const host of ['x.ex.com', 'a.b.ex.com', 'x.secret.ex.com'])
    assert.equal(pool('/', { host }), 'b', host);
  for (const host of ['ex.com', 'evilex.com', '.ex.com.org', '10.0.0.1', '[::1]:80', ''])
    if (!host.startsWith('.')) assert.equal(pool('/', { host }), 'c', host);
  for (const host of [
    'x@secret.ex.com',
    'a, secret.ex.com',
    'secret.ex.com..',
    '.ex.com',
    'a..b',
    'secret.ex.com:99999',
    'a b',
    'h/x',
    '[::1',
    'ex.com:80:80',
  ])
    assert.equal(pool('/', { host }), '400 a Host that servers read differently', host);
});

test('one Host, and an absolute URL agrees with it', () => {
  const pool = asking(
    '[{match: {host: secret.ex.com}, pool: a}, {match: {host: ex.com, pathPrefix: /x}, pool: b}, {pool: c}]',
  );
  assert.equal(pool('/', { host: ['ex.com', 'secret.ex.com'] }), '400 more than one Host');
  assert.equal(pool('/', { host: ['ex.com', 'ex.com'] }), '400 more than one Host');
  const route = compileRouter(siteOf(routed('[{pool: a}]')).listeners[0]!);
  assert.equal(route({ method: 'GET', target: '/', version: '1.1', fields: [] }).kind, 'unclear');
  assert.equal(route({ method: 'GET', target: '/', version: '1.0', fields: [] }).kind, 'pool');
  assert.equal(pool('http://ex.com/x/y?z', { host: 'EX.com:80' }), 'b');
  assert.equal(pool('HTTP://EX.com?/x', { host: 'ex.com' }), 'c');
  assert.equal(pool('http://ex.com:81/', { host: 'ex.com:81' }), 'c');
  for (const target of [
    'http://secret.ex.com/',
    'http://a@ex.com/',
    'http:///x',
    'http://ex.com@secret.ex.com/',
    'http://ex.com:81/',
  ])
    assert.equal(pool(target, { host: 'ex.com' }), '400 a URL whose host is not Host', target);
  for (const target of ['https://ex.com/', 'ex.com:80', '*', '', 'x', '?q'])
    assert.equal(
      pool(target, { host: 'ex.com' }),
      '400 a target that is neither a path nor an http URL',
      target,
    );
  assert.equal(pool('*', { host: 'ex.com' }, 'OPTIONS'), 'c');
  assert.equal(pool('/#/../x', { host: 'ex.com' }), '400 a target with a fragment');
});

test('headers: any case of the name, the exact value, one reading', () => {
  const pool = asking(
    '[{match: {header: {name: X-Canary, value: "1"}}, pool: a}, {match: {header: {name: x-any}}, pool: b}, {pool: c}]',
  );
  assert.equal(pool('/', { 'x-CANARY': '1' }), 'a');
  assert.equal(pool('/', { 'x-canary': ['1', '1'] }), 'a');
  for (const value of ['', '11', '1, 0', '"1"']) assert.equal(pool('/', { 'x-canary': value }), 'c', value);
  assert.equal(pool('/', { 'x-any': '' }), 'b');
  const twofold = '400 x-canary is there twice, with different values';
  assert.equal(pool('/', { 'x-canary': ['0', '1'] }), twofold);
  assert.equal(pool('/', { 'x-canary': '0', x_canary: '1' }), twofold);
  assert.equal(pool('/', { 'x-canaryy': '1', 'y-canary': '1' }), 'c');
});

test('cookies: the whole name in its case, the first of several', () => {
  const pool = asking(
    '[{match: {cookie: {name: sid, value: v}}, pool: a}, {match: {cookie: {name: any}}, pool: b}, {pool: c}]',
  );
  for (const cookie of ['sid=v', 'x=1; sid=v', 'x=1;sid=v;y', 'sid = v ', 'sid=v; sid=w', 'q="; sid=v; "'])
    assert.equal(pool('/', { cookie }), 'a', cookie);
  for (const cookie of [
    'xsid=v',
    'SID=v',
    'sid=w; sid=v',
    'sidx=v',
    'x=sid=v',
    'sid',
    'sid="v"',
    'anything=1',
    '',
  ])
    assert.equal(pool('/', { cookie }), 'c', cookie);
  assert.equal(pool('/', { cookie: 'any=' }), 'b');
  assert.equal(pool('/', { Cookie: ['x=1', 'sid=v'] }), 'a');
});

test('no head makes a router throw', () => {
  const pool = asking(
    '[{match: {host: "*.a", pathPrefix: /x, header: {name: h}, cookie: {name: c}}, pool: a}, {match: {pathPrefix: /y}, pool: b}]',
  );
  const text = fc.string({ unit: 'binary', maxLength: 30 });
  fc.assert(
    fc.property(text, text, text, text, (target, host, h, cookie) => {
      assert.match(pool(target, { host, h, cookie }), /^(?:a|b|none|400 .+)$/);
      assert.match(pool(`/${target}`, { h, cookie }), /^(?:a|b|none|400 .+)$/);
      const normal = normalHost(host);
      assert.ok(normal === undefined || normalHost(normal) === normal);
    }),
  );
});
