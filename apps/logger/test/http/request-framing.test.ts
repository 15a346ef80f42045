import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readHead } from '../../../proxy/src/head.ts';
import { MAX_HEAD } from '../../src/http/message-framing.ts';
import { RequestFraming } from '../../src/http/request-framing.ts';
import { request } from './fixtures/streams.ts';
import { anyCuts, BYTES, type Call, outline, requestSink, toldOfRequests } from './fixtures/told.ts';

const broken = (stream: string | Buffer) => {
  const calls = toldOfRequests(stream);
  const [what, at, reason] = calls.at(-1) ?? [];
  assert.equal(what, 'broken', JSON.stringify(calls));
  return { at, reason: String(reason), before: outline(calls.slice(0, -1)) };
};

test('a head says what routes and boundaries need', () => {
  const text =
    'POST /send?x HTTP/1.1\r\nHost: a\r\nCookie:\t s=1; t \r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n';
  const seen: unknown[] = [];
  new RequestFraming().feed(Buffer.from(text), 0, text.length, {
    ...requestSink([]),
    head: head => {
      seen.push(head.field('host'), head.field('cookie'), head.field('authorization'), head.size);
      seen.push(head.routable());
    },
  });
  const fields = [
    { name: 'Host', value: 'a' },
    { name: 'Cookie', value: 's=1; t' },
    { name: 'Expect', value: '100-Continue' },
    { name: 'Content-Length', value: '5' },
  ];
  assert.deepEqual(seen, [
    'a',
    's=1; t',
    undefined,
    text.length,
    { method: 'POST', target: '/send?x', version: '1.1', fields },
  ]);
  const [[, at, bodyAt, told, , bytes] = []] = toldOfRequests(text);
  assert.deepEqual([at, bodyAt, bytes], [0, text.length, text]);
  assert.deepEqual(told, {
    method: 'POST',
    target: '/send?x',
    minor: 1,
    body: 'length',
    length: 5,
    close: false,
    upgrade: false,
    expectContinue: true,
  });
});

for (const [lines, close, upgrade] of [
  ['HTTP/1.1\r\nHost: a', false, false],
  ['HTTP/1.1\r\nConnection: Close', true, false],
  ['HTTP/1.1\r\nConnection: te , close', true, false],
  ['HTTP/1.1\r\nConnection: te\r\nConnection: close', true, false],
  ['HTTP/1.1\r\nConnection: close\r\nConnection: te', true, false],
  ['HTTP/1.1\r\nConnection: closed, not-close', false, false],
  ['HTTP/1.1\r\nX-Connection: close', false, false],
  ['HTTP/1.0\r\nHost: a', true, false],
  ['HTTP/1.0\r\nConnection: Keep-Alive', false, false],
  ['HTTP/1.0\r\nConnection: keep-alive, close', true, false],
  ['HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket', false, true],
  ['HTTP/1.1\r\nUpgrade: websocket', false, false],
  ['HTTP/1.1\r\nConnection: upgrade', false, false],
] as const) {
  test(`GET / ${JSON.stringify(lines)}: close ${close}, upgrade ${upgrade}`, () => {
    const [call] = toldOfRequests(`GET / ${lines}\r\n\r\n`);
    const told = call?.[3] as { close: boolean; upgrade: boolean };
    assert.deepEqual([told.close, told.upgrade], [close, upgrade]);
  });
}

test('pipelined requests are told apart, empty lines between them belong to none', () => {
  const get = 'GET / HTTP/1.1\r\n\r\n';
  const post = 'POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n';
  assert.equal(
    outline(toldOfRequests(`${get}${post}abc\r\n${get}`)),
    'head@0-18 end@18 head@18-56 end@59 head@61-79 end@79',
  );
});

test('chunks with extensions, padded sizes, a trailer; the next request follows at once', () => {
  const head = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  const chunks = '3;a="b;c"\r\nabc\r\n00C  \r\n0\r\n\r\nGET / H\r\n0 ;x\r\nX-Sum: 1\r\nY:\r\n\r\n';
  const end = head.length + chunks.length;
  assert.equal(
    outline(toldOfRequests(`${head}${chunks}GET / HTTP/1.1\r\n\r\n`)),
    `head@0-${head.length} end@${end} head@${end}-${end + 18} end@${end + 18}`,
  );
});

for (const [name, stream] of [
  ['a bare line feed', 'GET / HTTP/1.1\n'],
  ['a bare line feed behind a field', 'GET / HTTP/1.1\r\nHost: a\n'],
  ['a carriage return in a field', 'GET / HTTP/1.1\r\nX: a\rb'],
  ['a NUL', 'GET / HTTP/1.1\r\nHost: a\0'],
  ['a space before the colon', 'GET / HTTP/1.1\r\nHost '],
  ['a folded field', 'GET / HTTP/1.1\r\nHost: a\r\n '],
  ['a field without a name', 'GET / HTTP/1.1\r\n:'],
  ['no version', 'GET /\r\n'],
  ['another protocol', '\x16'],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n'],
  ['no target', 'GET  HTTP/1.1\r\n'],
  ['two spaces', 'GET  / HTTP/1.1\r\n'],
  ['a target in two parts', 'GET /a b HTTP/1.1\r\n'],
  ['a target beyond ASCII', 'GET /\xe4 HTTP/1.1\r\n'],
  ['a method of 33 letters', `${'A'.repeat(33)} / HTTP/1.1\r\n`],
  ['both lengths', 'POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['lengths that differ', 'POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n'],
  ['a length twice', 'POST / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n'],
  ['a signed length', 'POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n'],
  ['an empty length', 'POST / HTTP/1.1\r\nContent-Length: \r\n\r\n'],
  ['a length beyond 2^53', 'POST / HTTP/1.1\r\nContent-Length: 9007199254740993\r\n\r\n'],
  ['another coding', 'POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
  ['a coding twice', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a coding in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['GET with content', 'GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n'],
  ['101 fields', `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(101)}\r\n`],
  ['2,000 fields', `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(2000)}\r\n`],
] as const) {
  test(`${name} breaks the stream at the head's first byte, as soon as it is there`, () => {
    const first = 'GET /first HTTP/1.1\r\n\r\n';
    assert.equal(toldOfRequests(stream.slice(0, -1)).length, 0, 'one byte less says nothing');
    const { at, before } = broken(first + stream);
    assert.equal(before, `head@0-${first.length} end@${first.length}`);
    assert.equal(at, first.length);
    const verdict = readHead(Buffer.from(`${stream}\r\n\r\n\r\n`, 'latin1'));
    assert.ok(verdict.kind === 'refused' && verdict.reason !== 'no Host', 'a proxy refuses it too');
  });
}

for (const [name, chunks, at] of [
  ['a size that is no number', 'x\r\n', 0],
  ['an empty size', '\r\n', 0],
  ['an empty size with an extension', ';a\r\n', 0],
  ['a signed size', '-1\r\n', 0],
  ['a hexadecimal prefix', '0x3\r\n', 0],
  ['a size beyond 2^53', 'fffffffffffffff\r\n', 0],
  ['a bare line feed behind a size', '3\nabc', 0],
  ['a bare line feed in an extension', '3;a\nabc', 0],
  ['a carriage return in an extension', '3;a\rb', 0],
  ['data beyond a chunk', '3\r\nabcd\r\n', 6],
  ['a line feed alone behind a chunk', '3\r\nabc\n', 6],
  ['a malformed trailer', '0\r\nX : y\r\n\r\n', 3],
] as const) {
  test(`${name} breaks the stream at that line`, () => {
    const head = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
    assert.equal(broken(head + chunks).at, head.length + at);
  });
}

test('a head of 65,536 bytes is followed, a longer one is not, however long it may still become', () => {
  const start = 'GET / HTTP/1.1\r\nHost: a\r\nX: ';
  const head = `${start}${'y'.repeat(MAX_HEAD - start.length - 4)}\r\n\r\n`;
  assert.equal(outline(toldOfRequests(head)), `head@0-${MAX_HEAD} end@${MAX_HEAD}`);
  assert.equal(readHead(Buffer.from(head)).kind, 'complete');
  for (const longer of [head.replace('y', 'yy'), `\r\n${head}`, `${start}${'y'.repeat(MAX_HEAD)}`]) {
    assert.match(broken(longer).reason, /65536 bytes/);
    assert.deepEqual(toldOfRequests(longer, BYTES), toldOfRequests(longer));
    assert.equal(readHead(Buffer.from(longer)).kind, 'refused');
  }
});

test('chunk lines and trailers that do not end break the stream at 65,536 bytes', () => {
  const head = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  for (const endless of [
    `3;${'a'.repeat(MAX_HEAD)}`,
    '0'.repeat(MAX_HEAD + 1),
    `0\r\n${'X: y\r\n'.repeat(11_000)}`,
  ]) {
    const calls = toldOfRequests(head + endless);
    assert.match(String(calls.at(-1)?.[2]), /more than 65536 bytes/);
    assert.deepEqual(toldOfRequests(head + endless, BYTES), calls);
  }
});

test('nothing is told of an opaque stream, nor of one that is broken', () => {
  const calls: Call[] = [];
  const sink = requestSink(calls);
  const framing = new RequestFraming();
  const text = 'GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
  framing.feed(Buffer.from(text), 0, text.length, sink);
  framing.becomeOpaque(sink);
  framing.becomeOpaque(sink);
  framing.feed(Buffer.from(text), 0, text.length, sink);
  framing.feed(Buffer.from('\0\n'), 0, 2, sink);
  assert.equal(outline(calls), `head@0-${text.length} end@${text.length} opaque@${text.length}`);
  assert.deepEqual(
    [framing.position, framing.lost, framing.skippable],
    [2 * text.length + 2, true, Infinity],
  );

  const other: Call[] = [];
  const refused = new RequestFraming();
  refused.feed(Buffer.from(`\n${text}`), 0, text.length + 1, requestSink(other));
  refused.becomeOpaque(requestSink(other));
  assert.equal(outline(other), 'broken@0');
  assert.equal(refused.position, text.length + 1);
});

test('what is held of a head in pieces is let go with its last one, and by a reset', () => {
  const calls: Call[] = [];
  const framing = new RequestFraming();
  const text = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  framing.feed(text, 0, 20, requestSink(calls));
  assert.ok(framing.heldBytes > 0 && !framing.idle);
  assert.deepEqual([framing.headAt, framing.position], [0, 20]);
  framing.feed(text, 20, text.length, requestSink(calls));
  assert.equal(framing.heldBytes, 0);
  assert.deepEqual([framing.idle, framing.headAt], [true, text.length]);
  framing.feed(text, 0, 20, requestSink(calls));
  assert.equal(framing.headAt, text.length);
  framing.reset();
  assert.deepEqual([framing.heldBytes, framing.position, framing.idle], [0, 0, true]);
  framing.feed(text, 0, text.length, requestSink(calls));
  assert.equal(outline(calls), 'head@0-27 end@27 head@0-27 end@27');
});

test('more than can be skipped is refused', () => {
  const framing = new RequestFraming();
  const sink = requestSink([]);
  assert.throws(() => framing.skip(1, sink), RangeError);
  const text = Buffer.from('PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n');
  framing.feed(text, 0, text.length, sink);
  assert.throws(() => framing.skip(4, sink), /only 3 can/);
  assert.throws(() => framing.skip(-1, sink), RangeError);
  assert.throws(() => framing.skip(Number.NaN, sink), RangeError);
  framing.skip(3, sink);
  assert.ok(framing.idle);
});

test('lengths beyond 32 bits are exact', () => {
  const calls: Call[] = [];
  const framing = new RequestFraming();
  const sink = requestSink(calls);
  const head = Buffer.from('PUT / HTTP/1.1\r\nContent-Length: 900719925474099\r\n\r\n');
  framing.feed(head, 0, head.length, sink);
  framing.skip(900719925474098, sink);
  assert.ok(!framing.idle);
  framing.feed(Buffer.from('xG'), 0, 2, sink);
  assert.deepEqual(calls.at(-1), ['end', head.length + 900719925474099]);
  assert.equal(framing.headAt, head.length + 900719925474099);
});

test('a stream of generated requests is told as it was made, wherever it is cut', () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 4 }), anyCuts, (requests, cuts) => {
      const stream = Buffer.concat(requests.flatMap(each => [Buffer.from(each.before), each.bytes]));
      const whole = toldOfRequests(stream);
      let at = 0;
      const expected = requests.map(({ before, bytes, head, method, target }) => {
        const start = at + before.length;
        at = start + bytes.length;
        return `${method} ${target} ${start}-${start + head} ${at}`;
      });
      const heads = whole.filter(([what]) => what === 'head');
      const ends = whole.filter(([what]) => what === 'end');
      assert.equal(whole.length, heads.length + ends.length);
      assert.deepEqual(
        heads.map(([, from, bodyAt, told], i) => {
          const { method, target } = told as { method: string; target: string };
          return `${method} ${target} ${from}-${bodyAt} ${ends[i]?.[1]}`;
        }),
        expected,
      );
      assert.deepEqual(toldOfRequests(stream, cuts), whole);
      assert.deepEqual(toldOfRequests(stream, BYTES), whole);
    }),
    { numRuns: 300 },
  );
});

test('two pieces, at every cut', () => {
  const stream = Buffer.from(
    '\r\nPOST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nY: z\r\n\r\n\r\n' +
      'PUT /b HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\nGET /c HTTP/1.1\r\nHost : a\r\n\r\n',
  );
  const whole = toldOfRequests(stream);
  assert.match(outline(whole), /^head@2-\d+ end@\d+ head@\d+-\d+ end@\d+ broken@\d+-?/);
  for (let cut = 1; cut < stream.length; cut++) {
    for (const skip of [false, true]) {
      const cuts = { pieces: [cut, stream.length], skips: [skip] };
      assert.deepEqual(toldOfRequests(stream, cuts), whole, `cut at ${cut}`);
    }
  }
});

const noise = fc.constantFrom(
  'GET / HTTP/1.1\r\n',
  'POST /x HTTP/1.0\r\n',
  'Host: a\r\n',
  'Content-Length: 3\r\n',
  'Content-Length: 03\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close\r\n',
  '\r\n',
  '\r',
  '\n',
  ' ',
  ':',
  ';',
  'abc',
  '3\r\n',
  '0\r\n',
  'X',
  '\0',
  '\xff',
  '\t',
);

test('garbage is told alike, wherever it is cut, and nothing throws', () => {
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 25 }), anyCuts, (scraps, cuts) => {
      const stream = scraps.join('');
      const whole = toldOfRequests(stream);
      assert.deepEqual(toldOfRequests(stream, cuts), whole);
      assert.deepEqual(toldOfRequests(stream, BYTES), whole);
    }),
    { numRuns: 3000 },
  );
});
