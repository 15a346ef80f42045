import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileRouter } from '@resplice/site-config';
import fc from 'fast-check';
import { MAX_HEAD, readHead } from '../src/head.ts';

const read = (text: string, final?: 'full' | 'finished') => readHead(Buffer.from(text, 'latin1'), final);

test('a head is complete at its empty line, whatever follows', () => {
  const verdict = read('POST /send?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc');
  assert.deepEqual(verdict, {
    kind: 'complete',
    head: {
      method: 'POST',
      target: '/send?x=1',
      version: '1.1',
      fields: [
        { name: 'Host', value: 'a' },
        { name: 'Content-Length', value: '3' },
      ],
      length: 55,
    },
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
  [
    'both lengths',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n',
    400,
  ],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n', 400],
  ['a list of lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n', 400],
  ['a signed length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n', 400],
  ['another coding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 400],
  ['a coding in disguise', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n', 400],
  [
    'a coding twice',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n',
    400,
  ],
  ['a coding in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
  ['GET with content', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n', 400],
  ['HEAD with chunks', 'HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
  ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['a host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['another host in the target', 'GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a user in the target', 'GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a relative target', 'GET index.html HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['an asterisk', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', 400],
  ['a fragment in the target', 'GET /#x HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['another port in the target', 'GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['https on a plain port', 'GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a list of hosts', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', 400],
  ['a control character in the target', 'GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  [
    'lengths that differ',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n',
    400,
  ],
  ['a length with a sign in disguise', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \x0b3\r\n\r\n', 400],
  ['a hexadecimal length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n', 400],
  ['a length beyond 2^53', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\n', 400],
  ['an empty length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n', 400],
  ['a length in parts', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\n', 400],
  ['a coding that is folded', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n', 400],
  [
    'a coding behind a vertical tab',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n',
    400,
  ],
  ['a coding with a parameter', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n', 400],
  ['a coding that is quoted', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "chunked"\r\n\r\n', 400],
  ['identity', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n', 400],
  [
    'a coding with a space before its colon',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n',
    400,
  ],
  [
    'a coding behind a carriage return',
    'POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n',
    400,
  ],
  [
    'a coding behind a line feed',
    'POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n',
    400,
  ],
  ['a coding in no ASCII', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chun\xc4\xb1ed\r\n\r\n', 400],
  ['a field name with a NUL', 'GET / HTTP/1.1\r\nHost: a\r\nX\0Y: z\r\n\r\n', 400],
  ['a field without a name', 'GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n', 400],
  ['a field without a colon', 'GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n', 400],
  ['white space before the first field', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', 400],
  ['a tab in the request line', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a space behind the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', 400],
  ['a space before the method', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a small version', 'GET / http/1.1\r\nHost: a\r\n\r\n', 400],
  ['two digits in the version', 'GET / HTTP/1.10\r\nHost: a\r\n\r\n', 400],
  ['HTTP/0.9, which ends with its line', 'GET /\r\n', 400],
  ['HTTP/3', 'GET / HTTP/3.0\r\nHost: a\r\n\r\n', 505],
  ['a backslash in the host', 'GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n', 400],
  ['a user in the host', 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n', 400],
  ['an absolute target without a host', 'GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['101 fields', `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(100)}\r\n`, 431],
  ['a line of 64 KiB', `GET /${'a'.repeat(MAX_HEAD)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\n', 505],
  ['TLS', '\x16\x03\x01\x02', 400],
  ['a whole head with bare line feeds', 'GET / HTTP/1.1\nHost: a\n\n', 400],
] as const) {
  test(`refused: ${name}`, () => {
    const verdict = read(text);
    assert.equal(verdict.kind === 'refused' ? verdict.status : verdict.kind, status);
  });
}

for (const [name, text] of [
  ['a body with a length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length:  3 \r\n\r\n'],
  ['a body in chunks', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n'],
  ['GET with a length of zero', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'],
  ['HTTP/1.0 without a host', 'GET / HTTP/1.0\r\n\r\n'],
  ['100 fields', `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(99)}\r\n`],
  ['an empty host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
  ['an IPv6 host with a port', 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n'],
  ['the absolute form', 'GET http://A:80/x HTTP/1.1\r\nHost: a:80\r\n\r\n'],
  ['OPTIONS for all', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['DELETE with content', 'DELETE /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n'],
] as const) {
  test(`accepted: ${name}`, () => {
    assert.equal(read(text).kind, 'complete');
  });
}

test('what is refused for its host is what a router would call unclear: one reading serves both', () => {
  const router = compileRouter({
    name: 'web',
    port: 80,
    routes: [{ match: { host: 'a' }, pool: 'a' }],
  });
  const part = fc.constantFrom(
    'a',
    'A',
    'b',
    ':',
    '80',
    '81',
    '@',
    '/',
    '.',
    'http://',
    '?',
    '#',
    '*',
    ',',
    ' ',
  );
  const text = fc.array(part, { maxLength: 6 }).map(parts => parts.join(''));
  fc.assert(
    fc.property(text, text, fc.constantFrom('GET', 'OPTIONS'), (target, host, method) => {
      const verdict = read(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      if (verdict.kind === 'complete') assert.notEqual(router(verdict.head).kind, 'unclear');
    }),
    { numRuns: 2000 },
  );
});

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

const GOOD = 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX: y\r\n\r\n';
for (const [name, character] of [
  ['NUL', '\0'],
  ['carriage return', '\r'],
  ['line feed', '\n'],
  ['vertical tab', '\x0b'],
  ['DEL', '\x7f'],
] as const) {
  test(`a ${name} more, wherever it stands, is never accepted`, () => {
    // Before the last line feed: behind it begins the content.
    for (let at = 0; at < GOOD.length - 1; at++) {
      const verdict = read(GOOD.slice(0, at) + character + GOOD.slice(at), 'finished');
      assert.equal(verdict.kind, 'refused', `at ${at}`);
    }
  });
}
