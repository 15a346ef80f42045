import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_HEAD, readHead } from '../src/head.ts';

const read = (text: string, final?: 'full' | 'finished') => readHead(Buffer.from(text, 'latin1'), final);

test('a head is complete at its empty line, whatever follows', () => {
  const verdict = read('POST /send?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
  assert.deepEqual(verdict, {
    kind: 'complete',
    head: { method: 'POST', target: '/send?x=1', version: '1.1', length: 55 },
  });
});

test('every proper prefix of a good head is incomplete, never refused', () => {
  const head = 'GET / HTTP/1.1\r\nHost: example\r\nAccept: */*\r\n\r\n';
  for (let length = 0; length < head.length; length++) {
    assert.equal(read(head.slice(0, length)).kind, 'incomplete', `after ${length} bytes`);
  }
});

for (const [name, text, status] of [
  ['a bare line feed', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 400],
  ['a NUL', 'GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n', 400],
  ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 400],
  ['a folded field', 'GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n', 400],
  ['no version', 'GET /\r\n\r\n', 400],
  ['two spaces', 'GET  / HTTP/1.1\r\n\r\n', 400],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\n', 505],
  ['TLS', '\x16\x03\x01\x02', 400],
  ['a whole head with bare line feeds', 'GET / HTTP/1.1\nHost: a\n\n', 400],
] as const) {
  test(`refused: ${name}`, () => {
    const verdict = read(text);
    assert.equal(verdict.kind === 'refused' ? verdict.status : verdict.kind, status);
  });
}

test('empty lines before the request line are passed over (RFC 9112 §2.2)', () => {
  const verdict = read('\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal(verdict.kind === 'complete' && verdict.head.target, '/');
  assert.equal(read('\r\n').kind, 'incomplete');
});

test('a client that closes its half in the middle of a head is told so', () => {
  const verdict = read('GET / HTTP/1.1\r\nHo', 'finished');
  assert.equal(verdict.kind === 'refused' && verdict.status, 400);
});

test('a head that does not end is refused with 431', () => {
  const long = `GET / HTTP/1.1\r\nX: ${'a'.repeat(MAX_HEAD)}`;
  const verdict = read(long);
  assert.equal(verdict.kind === 'refused' && verdict.status, 431);
  const full = read('GET / HTTP/1.1\r\nX: ', 'full');
  assert.equal(full.kind === 'refused' && full.status, 431);
});

test('garbage gets a verdict, never an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      assert.ok(['incomplete', 'complete', 'refused'].includes(readHead(bytes).kind));
    }),
  );
});
