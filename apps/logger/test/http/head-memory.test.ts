/** A head that comes a second time is not read again: what is told of it must be the same, whatever came in between. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestFraming } from '../../src/http/request-framing.ts';
import { ResponseFraming } from '../../src/http/response-framing.ts';
import { type Call, requestSink, responseSink } from './fixtures/told.ts';

const TRAILED = 'Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Trailer: a long one: b\r\n\r\n';

/** Each in memory of its own, at another place, that is overwritten afterwards, as a ring's is. */
let shift = 0;
function pieceOf(text: string): [bytes: Buffer, start: number, end: number] {
  shift = (shift + 3) % 16;
  const bytes = Buffer.alloc(shift + text.length + 8, '\r\n');
  bytes.write(text, shift, 'latin1');
  return [bytes, shift, shift + text.length];
}

/** Others have come again lately, or nothing is remembered; another head than any of the tests is the last one. */
function prime(): void {
  for (let i = 0; i < 40; i++) {
    toldOfRequest('OPTIONS * HTTP/1.1\r\nX: y\r\n\r\n');
    toldOfResponse('HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n');
  }
}

function toldOfRequest(text: string): Call[] {
  const calls: Call[] = [];
  const [bytes, start, end] = pieceOf(text);
  new RequestFraming().feed(bytes, start, end, requestSink(calls));
  bytes.fill('\n');
  return calls;
}

function toldOfResponse(text: string, method = 'GET'): Call[] {
  const calls: Call[] = [];
  const [bytes, start, end] = pieceOf(text);
  new ResponseFraming().feed(bytes, start, end, responseSink(calls, [method]));
  bytes.fill('\n');
  return calls;
}

const requests = [
  'GET /a?b HTTP/1.1\r\nHost: a\r\nCookie: s=1\r\n\r\n',
  'POST /longer/target HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n',
  'DELETE / HTTP/1.0\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\n\r\n',
  'BREW /pot HTTP/1.1\r\n\r\n',
];
const responses = [
  'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "x"\r\n\r\n',
  'HTTP/1.1 404 Not Found\r\nLast-Modified: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 204 No Content\r\nX: y\r\n\r\n',
];

const betweenRequests: Record<string, string[]> = {
  nothing: [],
  'other heads': requests,
  'a trailer': [`POST / HTTP/1.1\r\n${TRAILED}`],
  'half a first line': ['GET /a'],
  'half a head': ['GET /a?b HTTP/1.1\r\nHost: an'],
  'a flawed first line': ['GET  HTTP/1.1\r\n\r\n'],
  'a flawed field': ['GET /a?b HTTP/1.1\r\nHost: a\r\nCookie : s=1\r\n\r\n'],
  'a flawed body': ['PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n'],
  'one that is too long to remember': [`GET /long HTTP/1.1\r\nX: ${'y'.repeat(3000)}\r\n\r\n`],
  'one of too many fields to remember': [`GET /many HTTP/1.1\r\n${'X: y\r\n'.repeat(80)}\r\n`],
};

for (const [what, between] of Object.entries(betweenRequests)) {
  test(`a request that comes twice, with ${what} in between`, () => {
    for (const text of requests) {
      prime();
      const first = toldOfRequest(text);
      assert.equal(first[0]?.[0], 'head', text);
      for (const each of between) toldOfRequest(each);
      assert.deepEqual(toldOfRequest(text), first);
      assert.deepEqual(toldOfRequest(text), first);
    }
  });
}

for (const [what, between] of Object.entries({
  nothing: [],
  'other heads': responses,
  'a trailer': [`HTTP/1.1 200 OK\r\n${TRAILED}`],
  'half a head': ['HTTP/1.1 200 OK\r\nContent-Len'],
  'a flawed status line': ['HTTP/1.5 200 OK\r\n\r\n'],
  'a flawed head': ['HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n'],
  'an interim one': ['HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'],
})) {
  test(`a response that comes twice, with ${what} in between`, () => {
    for (const text of responses) {
      prime();
      const first = toldOfResponse(text);
      assert.equal(first[0]?.[0], 'head', text);
      for (const each of between) toldOfResponse(each);
      assert.deepEqual(toldOfResponse(text), first);
    }
  });
}

test('the same head answers HEAD, GET and CONNECT, each in its own way', () => {
  prime();
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: "x"\r\n\r\n';
  const body = (method: string) => {
    const [call] = toldOfResponse(`${head}${method === 'GET' ? 'abc' : ''}`, method);
    const told = call![3] as { body: string; length: number; hasValidator: boolean };
    return [told.body, told.length, told.hasValidator];
  };
  for (const method of ['HEAD', 'GET', 'CONNECT', 'GET', 'HEAD', 'GET'])
    assert.deepEqual(body(method), method === 'GET' ? ['length', 3, true] : ['none', 0, false], method);
  // Without a length only GET's has a body, and its end closes the connection.
  const open = 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n';
  const closes = (method: string) => (toldOfResponse(open, method)[0]![3] as { close: boolean }).close;
  assert.deepEqual(['GET', 'HEAD', 'GET', 'HEAD'].map(closes), [true, false, true, false]);
});

test('a head that only begins like the last one, or is a part of it, is read anew', () => {
  const [head] = requests as [string];
  prime();
  toldOfRequest(head);
  const calls: Call[] = [];
  const framing = new RequestFraming();
  for (const part of [head.slice(0, 30), head.slice(30), head, head])
    framing.feed(...pieceOf(part), requestSink(calls));
  const ats = calls.filter(([what]) => what === 'head').map(([, at, bodyAt]) => [at, bodyAt]);
  assert.deepEqual(
    ats,
    [0, 1, 2].map(i => [i * head.length, (i + 1) * head.length]),
  );
  const longer = head.replace('s=1', 's=1; t');
  const [told] = toldOfRequest(longer);
  assert.deepEqual((told![4] as { value: string }[])[1]?.value, 's=1; t');
});

test('empty lines before it count as before', () => {
  const [head] = requests as [string];
  prime();
  const plain = toldOfRequest(head);
  const [[, at, bodyAt, ...rest] = []] = toldOfRequest(`\r\n\r\n${head}`);
  assert.deepEqual([at, bodyAt], [4, 4 + head.length]);
  assert.deepEqual(rest, plain[0]?.slice(3));
});

test('what another connection goes on with is no part of it', () => {
  const [head] = requests as [string];
  const late: [string, string][] = [
    [
      `POST /upload HTTP/1.1\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n`,
      'X-Trailer: c\r\nY: d\r\n\r\n',
    ],
    ['PUT /a/longer/one HTTP/1.1\r\nX-Field: y\r\n', 'Content-Length: 0\r\nZ: z\r\n\r\n'],
    ['GET /anot', 'her HTTP/1.1\r\nX: y\r\nZ: z\r\n\r\n'],
    ['GET /anot', 'her HTTP/1.1\r\nX: y\r\nZ'],
  ];
  for (const [before, after] of late) {
    prime();
    const other = new RequestFraming();
    other.feed(...pieceOf(before), requestSink([]));
    const first = toldOfRequest(head);
    other.feed(...pieceOf(after), requestSink([]));
    assert.deepEqual(toldOfRequest(head), first, before);
  }
});

test('heads come again after many that did not', () => {
  const [head] = requests as [string];
  prime();
  const first = toldOfRequest(head);
  for (let i = 0; i < 100; i++) {
    const [call] = toldOfRequest(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.equal((call![3] as { target: string }).target, `/${i}`);
  }
  for (let i = 0; i < 40; i++) assert.deepEqual(toldOfRequest(head), first);
});
