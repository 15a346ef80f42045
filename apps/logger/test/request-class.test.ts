import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestClasses, requestClass } from '../src/detector/index.ts';

const read = { kind: 'read', route: -1 };
const segment = (target: string) => requestClass('web', read, target).split(' ')[3];

test('listener, kind, route and first segment tell requests apart', () => {
  assert.equal(requestClass('web', read, '/reports/7?x=/y'), 'web read -1 reports');
  assert.equal(requestClass('shop', { kind: 'update', route: 2 }, '/'), 'shop update 2 ');
});

test('a segment ends where a path or a segment does, in every form of a target', () => {
  for (const target of ['/api', '/api/', '/api/v2', '/api?a', 'http://x.example/api/b', 'HTTP://x/api'])
    assert.equal(segment(target), 'api', target);
  for (const target of ['/', '/?api', '//api', 'http://x', 'http://x/', ''])
    assert.equal(segment(target), '', target);
});

test('keys, numbers and escapes are one class together', () => {
  for (const target of ['/12345', '/4f1d0a77', '/%61pi', `/${'a'.repeat(25)}`, `/${'a'.repeat(25)}/b`])
    assert.equal(segment(target), '*', target);
  for (const target of ['/v2', '/item-17', `/${'a'.repeat(24)}`])
    assert.notEqual(segment(target), '*', target);
});

test('a name that is at hand is the one that would be made', () => {
  const classes = new RequestClasses();
  const targets = [
    '/',
    '//x',
    '/?x',
    '/api',
    '/api/',
    '/api?a',
    '/api2',
    '/12345',
    '/%61pi',
    'http://x/api',
    '*',
    '',
  ];
  for (const length of [23, 24, 25, 26, 27]) {
    const segment = 'a'.repeat(length);
    targets.push(`/${segment}`, `/${segment}/b`, `/${segment}?b`, `/${segment.slice(1)}%`);
  }
  // More of them than there is room for.
  for (let i = 0; i < 1000; i++) targets.push(`/other-${i}/x`);
  const traits = [read, { kind: 'update', route: -1 }, { kind: 'read', route: 1 }];
  for (let round = 0; round < 3; round++)
    for (const target of targets)
      for (const each of traits) {
        const bytes = Buffer.from(`GET ${target} HTTP/1.1`);
        const name = classes.of(80, each, { bytes, from: 4, to: 4 + target.length });
        assert.equal(name, requestClass('80', each, target), target);
        assert.equal(
          classes.of(81, each, { bytes, from: 4, to: 4 + target.length }),
          requestClass('81', each, target),
        );
      }
});
