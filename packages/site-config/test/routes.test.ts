import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isUniform } from '../src/uniform.ts';
import { found, routed, siteOf } from './site.ts';

function warnings(routes: string): string[] {
  return found(routed(routes))
    .filter(line => line.includes('routes['))
    .map(line => line.replace(/^.*?warning: listeners\[0\]\./, ''));
}

test('a route that an earlier one covers is never reached', () => {
  const never = (index: number, by: number) => [
    `routes[${index}]: is never reached: listeners[0].routes[${by}] takes every request that it matches`,
  ];
  assert.deepEqual(warnings('[{pool: a}, {match: {pathPrefix: /x}, pool: b}]'), never(1, 0));
  assert.deepEqual(
    warnings('[{match: {pathPrefix: /x/}, pool: a}, {match: {pathPrefix: /x/y, host: h}, pool: b}]'),
    never(1, 0),
  );
  assert.deepEqual(
    warnings(
      '[{match: {host: "*.ex.com"}, pool: a}, {match: {host: "*.a.ex.com"}, pool: b}, {match: {host: ex.com}, pool: b}]',
    ),
    never(1, 0),
  );
  assert.deepEqual(
    warnings(
      '[{match: {header: {name: X-A}}, pool: a}, {match: {header: {name: x-a, value: "1"}}, pool: b}]',
    ),
    never(1, 0),
  );
  assert.deepEqual(
    warnings('[{match: {methods: [GET, PUT]}, pool: a}, {match: {methods: [PUT], host: h}, pool: b}]'),
    never(1, 0),
  );
  assert.deepEqual(
    warnings(
      '[{match: {cookie: {name: c, value: v}}, pool: a}, {match: {cookie: {name: c, value: v}, pathPrefix: /q}, pool: b}]',
    ),
    never(1, 0),
  );
});

test('the special case before the general one is no overlap', () => {
  for (const routes of [
    '[{match: {pathPrefix: /x/y}, pool: a}, {match: {pathPrefix: /x}, pool: b}, {pool: c}]',
    '[{match: {pathPrefix: /x}, pool: a}, {match: {pathPrefix: /xy}, pool: b}]',
    '[{match: {host: a.ex.com}, pool: a}, {match: {host: "*.ex.com"}, pool: b}]',
    '[{match: {host: ex.com}, pool: a}, {match: {host: "*.ex.com"}, pool: b}]',
    '[{match: {cookie: {name: C}}, pool: a}, {match: {cookie: {name: c}}, pool: b}, {match: {pathPrefix: /x}, pool: c}]',
    '[{match: {header: {name: x-a, value: "1"}}, pool: a}, {match: {header: {name: x-a}}, pool: b}]',
    '[{match: {methods: [GET], pathPrefix: /x}, pool: a}, {match: {methods: [GET, PUT]}, pool: b}]',
    '[{match: {methods: [GET], pathPrefix: /x}, pool: a}, {match: {methods: [PUT], host: h}, pool: b}]',
  ])
    assert.deepEqual(warnings(routes), [], routes);
});

test('routes that share requests by chance are pointed out, until something decides', () => {
  const host = '{match: {host: "*.ex.com"}, pool: a}';
  const path = '{match: {pathPrefix: /api}, pool: b}';
  assert.deepEqual(warnings(`[${host}, ${path}]`), [
    'routes[1]: requests that listeners[0].routes[0] matches too go to a, because it stands first; put a route for what they share before both, or swap them',
  ]);
  assert.deepEqual(warnings(`[${host}, {match: {pathPrefix: /api}, pool: a}]`), []);
  assert.deepEqual(
    warnings(`[{match: {host: "*.ex.com", pathPrefix: /api}, pool: a}, ${host}, ${path}]`),
    [],
  );
  const one = '{match: {methods: [GET, PUT], host: h}, pool: a}';
  const other = '{match: {methods: [PUT, POST], pathPrefix: /x}, pool: b}';
  assert.equal(warnings(`[${one}, ${other}]`).length, 1);
  const shared = '{match: {methods: [PUT], host: h, pathPrefix: /x}, pool: a}';
  assert.deepEqual(warnings(`[${shared}, ${one}, ${other}]`), []);
});

test('thousands of routes are compared in bounded time', () => {
  const routes = Array.from(
    { length: 1500 },
    (_, i) => `{match: {host: h${i}.ex.com, pathPrefix: /p${i}}, pool: a}`,
  );
  const started = performance.now();
  assert.deepEqual(warnings(`[${routes.join(', ')}]`), []);
  assert.ok(performance.now() - started < 10_000);
});

function uniform(routes: string): boolean {
  return isUniform(siteOf(routed(routes)).listeners[0]!);
}

test('a listener is uniform when no later request can differ', () => {
  assert.ok(uniform('[{pool: a}]'));
  assert.ok(uniform('[{match: {pathPrefix: /x}, pool: a}, {match: {pathPrefix: /}, pool: a}]'));
  assert.ok(!uniform('[{match: {pathPrefix: /x}, pool: a}]'), 'the others get 404');
  assert.ok(!uniform('[{match: {pathPrefix: /x}, pool: a}, {pool: b}]'));
  assert.ok(!uniform('[{match: {methods: [GET]}, pool: a}]'), 'other methods get 404');
  assert.ok(
    uniform(
      '[{match: {methods: [POST], pathPrefix: /search}, tags: {kind: read}, mask: [etag], pool: a}, {match: {pathPrefix: /x}, timeouts: default, journal: state, pool: a}, {pool: a}]',
    ),
    'what they say about the application asks nothing of a proxy',
  );
  const open =
    'listeners: [{name: web, port: 80, pool: a, allow: [10.0.0.0/8]}]\npools: {a: {backends: all}}';
  assert.ok(isUniform(siteOf(open).listeners[0]!));
});

test('what only the logger can do is refused, with all reasons, where a listener leaves it out', () => {
  const text = `listeners:
  - name: staff
    port: 80
    protect: false
    auth: { basic: { realm: Staff, htpasswd: users } }
    routes:
      - { match: { pathPrefix: /a }, pool: a }
      - { match: { pathPrefix: /b }, pool: b, journal: state }
  - { name: open, port: 81, pool: a, protect: false }
  - { name: told, port: 82, pool: a, protect: false, mask: [etag] }
pools: { a: { backends: all }, b: { backends: all } }
`;
  const readText = () => `ada:$2y$10$${'a'.repeat(53)}\n`;
  const tail =
    'on a kept-alive connection only the logger can enforce that, and protect: false leaves it out:';
  const told =
    'tells the logger how to go on with a response, and protect: false leaves it out: remove one of them';
  const expected = [
    `5:5: listeners[0].auth: staff asks for a password with every request; ${tail} leave passwords to the application, or admit networks with allow`,
    `6:5: listeners[0].routes: staff sends requests to 2 pools (a, b); ${tail} give each pool a listener of its own`,
    `6:5: listeners[0].routes: staff answers 404 to requests that no route matches; ${tail} end its routes with one that has no match`,
    `8:47: listeners[0].routes[1].journal: ${told}`,
    `10:54: listeners[2].mask: ${told}`,
  ];
  assert.deepEqual(found(text, { readText }), expected);
  assert.deepEqual(found(text.replaceAll('protect: false', 'protect: true'), { readText }), []);
  // One mistake elsewhere does not hide them.
  assert.equal(found(`${text}limits: 1\n`, { readText }).length, expected.length + 1);
});
