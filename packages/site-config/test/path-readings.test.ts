import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { pathReadings } from '../src/path-readings.ts';
import { asking } from './asking.ts';
import { found, routed } from './site.ts';

const TRAPS = [
  '/public/../admin',
  '/public/%2e%2e/admin',
  '/public/%2E./admin',
  '/public%2f..%2fadmin',
  '/public/..%2fadmin',
  '/public\\..\\admin',
  '/public/..\\admin',
  '/public/..%5cadmin',
  '/public/..;/admin',
  '/public/..;x=1/admin',
  '/public/%252e%252e/admin',
  '/public/./../admin',
  '/public//../../admin',
  '//admin',
  '/./admin',
  '/x/../admin',
  '/%61dmin',
  '/%2561dmin',
  '/admin;x/y',
  '/\\admin',
  '/admin/../x',
  // Dots decoded and letters not; letters and dots decoded and slashes not.
  '/admin/%2e%2e/%61dmin',
  '/x%2fy/%2e%2e/%61dmin',
  // Windows drops dots and spaces at a name's end, WHATWG URL spaces at the path's.
  '/admin.',
  '/admin%20/x',
  '/public/..%20',
  // A `?` that ends the path when it is read once more.
  '/admin%3f',
];

test('a path that servers read differently is refused where that matters', () => {
  const pool = asking(
    '[{match: {pathPrefix: /admin}, pool: a}, {match: {pathPrefix: /public}, pool: b}, {pool: c}]',
  );
  for (const path of TRAPS)
    assert.equal(pool(path), '400 path that leads elsewhere when read differently', path);
  for (const path of [
    '/public/%',
    '/public/%2',
    '/public/%u002e',
    '/public/%00',
    '/public/%c0%ae/x',
    '/public/%C1%9c',
  ])
    assert.equal(pool(path), '400 path with escapes that servers read differently', path);
  for (const path of ['/public/%2500', '/public/%25c0%25ae'])
    assert.equal(pool(path), '400 path with escapes that servers read differently', path);
});

test('where all readings lead to one route nothing is refused', () => {
  const pool = asking(
    '[{match: {pathPrefix: /admin}, pool: a}, {match: {pathPrefix: /public}, pool: b}, {pool: c}]',
  );
  for (const path of [
    '/public/a%20b',
    '/public/%E4%B8%AD',
    '/public/@scope%2fname',
    '/public/x/../y',
    '/public//x',
    '/public/a;v=1',
    '/public/a/..%20b',
    '/public/100%25%20sure%3F',
  ])
    assert.equal(pool(path), 'b', path);
  assert.equal(pool('/other/@scope%2Fname'), 'c');
  // Without prefixes there is nothing to get around.
  for (const path of TRAPS) assert.equal(asking('[{match: {host: www.example.com}, pool: a}]')(path), 'a');
});

/** How servers find a path, each in its own words. */
const SERVERS: Record<string, (target: string) => string> = {
  raw: target => target,
  whatwg: target => new URL(`http://h${target}`).pathname,
  normalised: target => posix.normalize(target),
  decodedThenNormalised: target => posix.normalize(decodeURIComponent(target)),
  normalisedThenDecoded: target => decodeURIComponent(posix.normalize(target)),
  slashKept: target =>
    posix.normalize(decodeURIComponent(target.replace(/%2f/gi, '%252f')).replace(/%2f/g, '%2F')),
  windowsNames: target => posix.normalize(decodeURIComponent(target).replace(/([^/. ])[. ]+(?=\/|$)/g, '$1')),
  windows: target => posix.normalize(decodeURIComponent(target).replaceAll('\\', '/')),
  servlet: target => posix.normalize(decodeURIComponent(target).replace(/;[^/]*/g, '')),
  relayed: target => new URL(`http://h${decodeURIComponent(target)}`).pathname,
  twice: target => posix.normalize(decodeURIComponent(decodeURIComponent(target))),
};

test("no server that is known reads a routed path as another route's", () => {
  const prefixes = ['/admin', '/public', '/public/deep'];
  const pool = asking(
    `[{match: {pathPrefix: ${prefixes[0]}}, pool: a}, {match: {pathPrefix: ${prefixes[2]}}, pool: b}, {match: {pathPrefix: ${prefixes[1]}}, pool: c}, {pool: d}]`,
  );
  const route = (path: string) => {
    const below = (prefix: string) => path === prefix || path.startsWith(`${prefix}/`);
    return below('/admin') ? 'a' : below('/public/deep') ? 'b' : below('/public') ? 'c' : 'd';
  };
  const part = fc.constantFrom(
    '/',
    '/',
    'admin',
    'public',
    'deep',
    '.',
    '..',
    '%2e',
    '%2f',
    '%5c',
    '\\',
    ';',
    ';a=1',
    '%252e',
    '%252f',
    '%61',
    'x',
    '%20',
    '%25',
    '%3f',
    '%09',
    '%20',
    '.%20',
    '%23',
  );
  let agreed = 0;
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), parts => {
      const target = `/${parts.join('')}`;
      const chosen = pool(target);
      if (chosen.startsWith('400')) return;
      agreed++;
      for (const [name, read] of Object.entries(SERVERS)) {
        let path: string;
        try {
          path = read(target);
        } catch {
          continue; // that server answers 400
        }
        // `//x` and `x` are no paths to anybody.
        assert.equal(route(path.replace(/^\/*/, '/')), chosen, `${name} reads ${target} as ${path}`);
      }
    }),
    { numRuns: 100_000 },
  );
  assert.ok(agreed > 1000, `only ${agreed} paths were routed at all`);
});

test('readings are few, and what they cost is bounded', () => {
  assert.deepEqual(pathReadings('/plain/path.html'), ['/plain/path.html']);
  assert.deepEqual(pathReadings('/a%20b'), ['/a%20b', '/a b']);
  const crafted = `/${'%252e;%5c//../'.repeat(4000)}`;
  const spaces = `/${'%20'.repeat(20_000)}x`;
  const started = performance.now();
  pathReadings(spaces);
  assert.equal(pathReadings(crafted), undefined);
  assert.ok(performance.now() - started < 200);
});

test('a prefix that has several readings itself is refused', () => {
  const problem = (prefix: string) => found(routed(`[{match: {pathPrefix: "${prefix}"}, pool: a}]`)).join();
  for (const prefix of ['/', '/api', '/api/', '/a.b/c-d_e~/@x', '/.well-known'])
    assert.doesNotMatch(problem(prefix), /pathPrefix/);
  for (const prefix of [
    '',
    'api',
    '//',
    '/a//b',
    '/a/..',
    '/./a',
    '/a.',
    '/a b',
    '/%61',
    '/a?b',
    '/a;b',
    '/a#',
    '/ä',
  ])
    assert.match(problem(prefix), /pathPrefix: must be a plain path/, prefix);
});
