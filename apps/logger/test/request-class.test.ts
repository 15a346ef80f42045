import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestClass } from '../src/detector/index.ts';

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
