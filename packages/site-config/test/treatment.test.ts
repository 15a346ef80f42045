import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TIMEOUTS, timeoutClassesInMs } from '../src/application.ts';
import type { RoutableHead } from '../src/place.ts';
import { recoveryInMs } from '../src/schema.ts';
import { compileTreatments } from '../src/treatment.ts';
import { head } from './asking.ts';
import { siteOf } from './site.ts';

/** What the first listener with these fields, and these time-out classes, makes of requests. */
function treating(fields: string, classes = '{}') {
  const site = siteOf(
    `listeners: [{name: web, port: 80, ${fields}}]\npools: {a: {backends: all}}\ntimeoutClasses: ${classes}`,
  );
  return compileTreatments(site.listeners[0]!, site.timeoutClasses);
}

test('without a word, reads are believed until proven otherwise, and nothing else runs again', () => {
  const treat = treating('pool: a');
  const usual = {
    mask: new Set(['date']),
    timeoutClass: 'default',
    timeouts: DEFAULT_TIMEOUTS,
    journal: 'none',
    route: -1,
  };
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    const expected = { kind: 'read', deterministic: 'unproven', idempotent: true, ...usual };
    assert.deepEqual(treat(head('/', {}, method)), expected, method);
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'get', 'PURGE']) {
    const expected = { kind: 'update', deterministic: 'no', idempotent: false, ...usual };
    assert.deepEqual(treat(head('/', {}, method)), expected, method);
  }
});

test('tags say what a method cannot, and what they leave out follows from the kind', () => {
  const tagged = (tags: string, method: string) => {
    const { kind, deterministic, idempotent } = treating(`pool: a, tags: ${tags}`)(head('/', {}, method));
    return [kind, deterministic, idempotent];
  };
  assert.deepEqual(tagged('{kind: read}', 'POST'), ['read', 'unproven', true]);
  assert.deepEqual(tagged('{kind: update}', 'GET'), ['update', 'no', false]);
  assert.deepEqual(tagged('{deterministic: true}', 'GET'), ['read', 'yes', true]);
  assert.deepEqual(tagged('{deterministic: false}', 'GET'), ['read', 'no', true]);
  assert.deepEqual(tagged('{deterministic: true}', 'POST'), ['update', 'yes', false]);
  assert.deepEqual(tagged('{idempotent: true}', 'PUT'), ['update', 'no', true]);
  // Written for the updates of a listener; its reads are idempotent whatever it says.
  assert.deepEqual(tagged('{idempotent: false}', 'GET'), ['read', 'unproven', true]);
});

test("a route's words replace its listener's, one field by one", () => {
  const treat = treating(
    `tags: {deterministic: true}, mask: [X-Id], timeouts: slow, journal: state, routes: [
      {match: {pathPrefix: /a}, pool: a, tags: {kind: read}},
      {match: {methods: [POST]}, pool: a, mask: [Server, server, X-Trace], timeouts: default},
      {pool: a, journal: response}]`,
    '{slow: {rest: {floor: 1s}}}',
  );
  const [a, post, rest] = [head('/a/b', {}, 'PUT'), head('/', {}, 'POST'), head('/')].map(treat);
  assert.deepEqual(
    [a, post, rest].map(each => each!.route),
    [0, 1, 2],
  );
  // The listener's `deterministic` went with its tags.
  assert.deepEqual([a!.kind, a!.deterministic], ['read', 'unproven']);
  assert.deepEqual([...a!.mask], ['date', 'x-id']);
  assert.deepEqual([a!.timeoutClass, a!.journal], ['slow', 'state']);
  assert.deepEqual(a!.timeouts.rest, { floor: 1000, start: 10_000, cap: 60_000 });
  assert.deepEqual(a!.timeouts.first, DEFAULT_TIMEOUTS.first);
  assert.deepEqual([...post!.mask], ['date', 'server', 'x-trace']);
  assert.deepEqual([post!.timeoutClass, post!.deterministic], ['default', 'yes']);
  assert.deepEqual([rest!.deterministic, rest!.journal], ['yes', 'response']);
});

test('what is checked can be repeated in a configuration', () => {
  const site = siteOf(
    'listeners: [{name: web, port: 80, pool: a}]\npools: {a: {backends: all}}\ntimeoutClasses: {default: {}}',
  );
  assert.deepEqual(timeoutClassesInMs.parse(site.timeoutClasses), { default: DEFAULT_TIMEOUTS });
  assert.deepEqual(recoveryInMs.parse(site.recovery), site.recovery);
});

test('`default` can be described like any other class', () => {
  const treat = treating('pool: a', '{default: {first: {floor: 50ms, start: 1s, cap: 2s}}}');
  assert.deepEqual(treat(head('/')).timeouts.first, { floor: 50, start: 1000, cap: 2000 });
});

test('what servers may read differently, or no route matches, is treated with most care', () => {
  const treat = treating(
    'tags: {kind: read, deterministic: true}, routes: [{match: {pathPrefix: /x}, pool: a, tags: {idempotent: true}}]',
  );
  for (const target of ['/a/..%2fx', '/y', '/%00']) {
    const { kind, deterministic, idempotent, route } = treat(head(target));
    assert.deepEqual([kind, deterministic, idempotent, route], ['update', 'no', false, -1], target);
  }
  assert.equal(treat(head('/x')).route, 0);
});

test('a listener without routes reads nothing but the method, and makes nothing', () => {
  const treat = treating('pool: a');
  const blank = new Proxy({ method: 'GET' } as RoutableHead, {
    get: (target, field) => {
      if (field !== 'method') throw new Error(`reads ${String(field)}`);
      return target.method;
    },
  });
  assert.equal(treat(blank), treat(head('/other')));
});
