import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkSite } from '../src/check.ts';
import { formatProblem } from '../src/problem.ts';
import { backendsOf } from '../src/schema.ts';
import { found, siteOf } from './site.ts';

const EXAMPLE = new URL('fixtures/resplice.yaml', import.meta.url).pathname;
const example = readFileSync(EXAMPLE, 'utf8');
const backends = ['backend-1', 'backend-2'];

test('the smallest site has every default', () => {
  assert.deepEqual(siteOf('listeners: [{name: web, port: 80, pool: web}]\npools: {web: {backends: all}}'), {
    listeners: [{ name: 'web', port: 80, pool: 'web' }],
    pools: { web: { backends: 'all', balance: 'least-connections' } },
    limits: { headBytes: 65_536, headTimeout: 30_000, connectTimeout: 400, connections: 262_144 },
    timeoutClasses: {},
    recovery: { wait: 5000, requestBytes: 1_048_576, spillBytes: 1_073_741_824 },
  });
});

test('the documented example is sound', () => {
  const checked = checkSite(example, EXAMPLE, { backends });
  assert.ok(checked.ok);
  assert.deepEqual(checked.warnings, []);
  const { site } = checked;
  assert.equal(site.listeners[3]?.auth?.basic.htpasswd, EXAMPLE.replace('resplice.yaml', 'staff.htpasswd'));
  assert.deepEqual(
    site.listeners[3]?.routes?.map(route => route.pool),
    ['canary', 'api', 'canary', 'web'],
  );
  assert.deepEqual(backendsOf(site.pools.web!, backends), backends);
  assert.deepEqual(backendsOf(site.pools.canary!, backends), ['backend-2']);
  assert.deepEqual(JSON.parse(JSON.stringify(site)), site);
  assert.deepEqual(site.timeoutClasses.slow?.first, { floor: 2000, start: 60_000, cap: 300_000 });
  // Its limits, and what it says of recovery, are said to be the defaults.
  const smallest = siteOf('listeners: [{name: web, port: 80, pool: web}]\npools: {web: {backends: all}}');
  assert.deepEqual([site.limits, site.recovery], [smallest.limits, smallest.recovery]);
});

test('text that is no YAML is one problem with its place', () => {
  assert.deepEqual(found('listeners:\n\t- a'), ['2:1: tabs cannot indent YAML: use spaces']);
  assert.deepEqual(found('a: 1\n---\nb: 1'), ['2:1: holds a second document (---); one file is one site']);
  assert.deepEqual(found('%YAML 1.1\n---\na: yes'), [
    '1:1: %YAML 1.1 reads yes, no and 010 differently: only 1.2 is accepted',
  ]);
  assert.match(found('a: [')[0]!, /^1:5: is not YAML: flow sequence/);
  assert.deepEqual(found('['.repeat(100_000)), ['1:1: is nested too deeply']);
  assert.deepEqual(found(' '.repeat(2_000_000)), ['1:1: is longer than 1048576 characters']);
  assert.deepEqual(found('listeners: []\npools: *x')[1], '2:8: pools: *x has no anchor &x before it');
});

test('an empty file says what it should have been', () => {
  assert.deepEqual(found(''), ['1:1: must be a map of fields, but it is empty']);
  assert.deepEqual(found('{}'), ['1:1: listeners: missing', '1:1: pools: missing']);
  assert.deepEqual(found('listeners:\npools:\n'), [
    '1:11: listeners: must be a list, but it is empty',
    '2:7: pools: must be a map of names, but it is empty',
  ]);
});

test('mistakes of every kind are found together, each at its place', () => {
  const text = `listeners:
  - name: web
    port: 0x1F90
    pool: wbe
  - port: 8080
    pool: web
    routes: []
  - { name: web, port: "80" }
  - { name: last, port: 70000, pool: web, auth: { basic: { realm: a"b, htpasswd: no/where } } }
pools:
  web: { backends: [backend-1, backend-1, backend-9], balance: random }
  web: { backends: all }
  1: { backends: some }
limits: { headTimeout: 1h, connectTimeout: 1ms, headBytes: 65537, connections: .nan }
limit: {}
__proto__: { a: 1 }
? [a]
: 1
`;
  assert.deepEqual(found(text), [
    "4:11: listeners[0].pool: there is no pool wbe (did you mean 'web'?)",
    '5:5: listeners[1].name: missing',
    '5:11: listeners[1].port: 8080 is also the port of listeners[0] (web)',
    '7:5: listeners[1].routes: cannot stand beside pool: keep one of them',
    '7:13: listeners[1].routes: must be at least 1 item',
    '8:5: listeners[2]: leads nowhere: give it a pool or routes',
    '8:13: listeners[2].name: web is also the name of listeners[0]',
    '8:24: listeners[2].port: must be an integer: write 80 without quotes',
    '9:25: listeners[3].port: must be at most 65535',
    '9:67: listeners[3].auth.basic.realm: must be 1…128 printable ASCII characters without " and \\',
    '9:82: listeners[3].auth.basic.htpasswd: no/where does not exist',
    '11:32: pools.web.backends[1]: backend-1 is listed twice',
    "11:43: pools.web.backends[2]: there is no back end backend-9 (did you mean 'backend-1'?)",
    '11:64: pools.web.balance: must be least-connections',
    '12:3: pools.web: is given twice; the first is on line 11',
    '13:3: pools.1: must be a name of lower-case letters, digits and dashes, such as web-1',
    '14:24: limits.headTimeout: must be a duration such as 500ms, 10s or 5m',
    '14:44: limits.connectTimeout: must be within 50ms…10s',
    '14:60: limits.headBytes: must be at most 65536',
    '14:80: limits.connections: must be an integer',
    "15:1: limit: unknown field (did you mean 'limits'?)",
    '16:1: __proto__: unknown field',
    '17:3: has a field whose name is not plain text',
  ]);
});

test('what is said about the application is checked to the word', () => {
  const text = `listeners:
  - name: web
    port: 80
    timeouts: quick
    tags: { kind: reads, deterministic: yes, idempotant: true }
    routes:
      - { match: { methods: [] }, pool: a, journal: file }
      - { match: { methods: [post, POST] }, pool: a, mask: [x y, Content-Type], timeouts: qick }
      - { pool: a, tags: { kind: read, idempotent: false }, timeouts: default, mask: date }
pools: { a: { backends: all } }
timeoutClasses:
  quick:
    first: { floor: 5ms, cap: 90m }
    rest: { floor: 1s, cap: 500ms }
  steady: { first: { floor: 90s }, last: {} }
recovery: { wait: 6m, requestBytes: 65535, spillBytes: -1, recordBytes: 1 }
`;
  assert.deepEqual(found(text), [
    '5:19: listeners[0].tags.kind: must be read or update',
    '5:41: listeners[0].tags.deterministic: must be true or false',
    "5:46: listeners[0].tags.idempotant: unknown field (did you mean 'idempotent'?)",
    '7:29: listeners[0].routes[0].match.methods: must have at least 1 item; without `methods` every one matches',
    '7:53: listeners[0].routes[0].journal: must be none or response or state',
    '8:30: listeners[0].routes[1].match.methods[0]: must be a method in upper case such as POST',
    '8:61: listeners[0].routes[1].mask[0]: must be a header name such as x-canary',
    '8:66: listeners[0].routes[1].mask[1]: Content-Type must not differ: a client reads by it the bytes that it has already',
    "8:91: listeners[0].routes[1].timeouts: there is no time-out class qick (did you mean 'quick'?)",
    '9:52: listeners[0].routes[2].tags.idempotent: a read changes nothing, so it can run again: leave idempotent out, or say kind: update',
    '9:86: listeners[0].routes[2].mask: must be a list',
    '13:21: timeoutClasses.quick.first.floor: must be within 10ms…60m',
    '13:31: timeoutClasses.quick.first.cap: must be within 10ms…60m',
    '14:11: timeoutClasses.quick.rest: has a floor (1000ms) above its cap (500ms)',
    '15:20: timeoutClasses.steady.first: has a floor (90000ms) above its cap (60000ms)',
    '15:36: timeoutClasses.steady.last: unknown field',
    '16:19: recovery.wait: must be within 0s…5m',
    '16:37: recovery.requestBytes: must be at least 65536',
    '16:56: recovery.spillBytes: must be at least 0',
    '16:60: recovery.recordBytes: unknown field',
  ]);
});

test('classes that nobody names, and a spill that is shorter than the memory', () => {
  const text = (more: string) =>
    `listeners: [{name: web, port: 80, pool: a, timeouts: slow}]\npools: {a: {backends: all}}\n${more}`;
  assert.deepEqual(found(text('timeoutClasses: {slow: {}, default: {}, spare: {}}')), [
    '3:41: warning: timeoutClasses.spare: no listener or route names it',
  ]);
  assert.deepEqual(found(text('')), [
    '1:54: listeners[0].timeouts: there is no time-out class slow, only default',
  ]);
  const recovery = (written: string) => found(text(`timeoutClasses: {slow: {}}\nrecovery: ${written}`));
  assert.deepEqual(recovery('{spillBytes: 0}'), []);
  assert.deepEqual(recovery('{spillBytes: 65536, requestBytes: 65536}'), []);
  assert.deepEqual(recovery('{spillBytes: 65536}'), [
    '4:24: recovery.spillBytes: must be 0, or at least requestBytes (1048576)',
  ]);
});

test('anchors are followed, and reported where they stand', () => {
  const site = siteOf(`listeners:
  - { name: a, port: 80, routes: &shop [{ match: { pathPrefix: /api }, pool: web }, { pool: web }] }
  - { name: b, port: 81, routes: *shop }
pools: { web: { backends: all } }`);
  assert.deepEqual(site.listeners[0]?.routes, site.listeners[1]?.routes);
  assert.deepEqual(
    found('listeners: &a [*a]\npools: {}')[0],
    '1:16: listeners[0]: *a stands for something that holds it',
  );
});

test('a billion laughs are not unfolded', () => {
  const laughs = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 10; i++)
    laughs.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    );
  const started = performance.now();
  assert.match(found(laughs.join('\n')).join('\n'), /has more than 250000 values/);
  assert.ok(performance.now() - started < 5000);
});

test('redundant networks, unused pools: warnings that do not refuse', () => {
  assert.deepEqual(
    found(`listeners: [{name: web, port: 80, pool: a, allow: [10.0.0.0/9, 10.1.0.0/16, 10.0.0.0/8, 10.0.0.0/8]}]
pools: {a: {backends: all}, b: {backends: all}}`),
    [
      '1:52: warning: listeners[0].allow[0]: 10.0.0.0/9 adds nothing: 10.0.0.0/8 admits it already',
      '1:64: warning: listeners[0].allow[1]: 10.1.0.0/16 adds nothing: 10.0.0.0/8 admits it already',
      '1:89: warning: listeners[0].allow[3]: 10.0.0.0/8 is listed twice',
      '2:29: warning: pools.b: no listener leads to it',
    ],
  );
});

test('problems are one printable line each', () => {
  const text = formatProblem({
    severity: 'error',
    file: 'x.yaml',
    line: 1,
    column: 2,
    path: 'a\u001b[2J',
    sentence: 'b\nc\u202ed',
  });
  assert.equal(text, 'x.yaml:1:2: a\\u001b[2J: b\\u000ac\\u202ed');
});

const LINE = /^[^\n]*:[1-9]\d*:[1-9]\d*: (?:warning: )?[^\n]+$/;

function isSoundVerdict(text: string): void {
  const checked = checkSite(text, EXAMPLE, { backends });
  if (!checked.ok) assert.ok(checked.problems.length > 0);
  const lines = text.split('\n').length;
  for (const problem of [...(checked.ok ? [] : checked.problems), ...checked.warnings]) {
    assert.match(formatProblem(problem), LINE);
    if (problem.file === EXAMPLE) assert.ok(problem.line <= lines + 1, formatProblem(problem));
  }
}

test('no text makes a check throw', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), isSoundVerdict), { numRuns: 500 });
  const yamlish = fc.array(
    fc.constantFrom(
      ...'-:?[]{}#&*!|>\'"%@`,\n\t \r',
      'a',
      'b: ',
      '- ',
      '&a ',
      '*a',
      '!!set ',
      '!!binary ',
      '<<: ',
      '---\n',
      'listeners',
      'pools',
      '__proto__',
      'constructor',
      '~',
      '1',
      '.inf',
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(
      yamlish.map(parts => parts.join('')),
      isSoundVerdict,
    ),
    { numRuns: 1500 },
  );
});

test('no damage to a sound file makes a check throw', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '',
      '\n',
      '  ',
      ':',
      '- ',
      '[',
      '}',
      '"',
      '#',
      'null',
      '-1',
      '1e9',
      '&a ',
      '*a',
      'web',
      '!!omap ',
    ),
    fc.string({ maxLength: 6 }),
  );
  const damage = fc.record({ at: fc.nat(example.length), length: fc.nat(40), piece });
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), wounds => {
      let text = example;
      for (const { at, length, piece } of wounds) text = text.slice(0, at) + piece + text.slice(at + length);
      isSoundVerdict(text);
    }),
    { numRuns: 400 },
  );
});

test('no value in the place of another makes a check throw', () => {
  // JSON is YAML: any values at the paths that the schema knows.
  const any = fc.jsonValue({ maxDepth: 2 });
  const some = <T>(value: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 6, arbitrary: value }, { weight: 1, arbitrary: any });
  const route = some(
    fc.record({
      match: some(fc.record({ methods: any, host: any, pathPrefix: any, header: any, cookie: any })),
      pool: some(fc.constantFrom('a', 'b')),
      tags: some(fc.record({ kind: any, deterministic: any, idempotent: any })),
      mask: any,
      timeouts: some(fc.constantFrom('a', 'default')),
      journal: any,
    }),
  );
  const listener = some(
    fc.record(
      {
        name: some(fc.constantFrom('a', 'b')),
        port: some(fc.nat(70_000)),
        routes: some(fc.array(route, { maxLength: 4 })),
        pool: some(fc.constant('a')),
        allow: some(fc.array(some(fc.constantFrom('10.0.0.0/8', '10.1.0.0/16')))),
        auth: some(fc.record({ basic: some(fc.record({ realm: any, htpasswd: any })) })),
      },
      { requiredKeys: [] },
    ),
  );
  const pool = some(fc.record({ backends: some(fc.array(some(fc.constantFrom('backend-1', 'backend-3')))) }));
  const site = some(
    fc.record({
      listeners: some(fc.array(listener, { maxLength: 4 })),
      pools: some(fc.dictionary(fc.constantFrom('a', 'b', 'toString'), pool)),
      limits: any,
      timeoutClasses: some(fc.dictionary(fc.constantFrom('a', 'toString'), some(fc.record({ first: any })))),
      recovery: any,
    }),
  );
  fc.assert(
    fc.property(site, value => isSoundVerdict(JSON.stringify(value, null, 1))),
    { numRuns: 500 },
  );
});
