import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolError, type ResponseHead, ResponseParser } from '../fixtures/response-parser.ts';

interface Seen {
  heads: ResponseHead[];
  interim: number[];
  body: string;
  ended: number;
}

function read(method: string, pieces: readonly string[]): Seen & { parser: ResponseParser } {
  const seen: Seen = { heads: [], interim: [], body: '', ended: 0 };
  const parser = new ResponseParser({
    interim: status => seen.interim.push(status),
    head: head => seen.heads.push(head),
    body: data => {
      seen.body += Buffer.from(data).toString('latin1');
    },
    end: () => {
      seen.ended++;
    },
  });
  parser.expect(method);
  for (const piece of pieces) parser.feed(Buffer.from(piece, 'latin1'));
  return Object.assign(seen, { parser });
}

const responses = {
  length: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello',
  chunked:
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n',
  interim: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
};

for (const [name, text] of Object.entries(responses)) {
  test(`${name}: the same result wherever the segments are cut`, () => {
    for (let cut = 1; cut < text.length; cut++) {
      const seen = read('GET', [text.slice(0, cut), text.slice(cut)]);
      assert.deepEqual([seen.body, seen.ended, seen.parser.busy], ['hello', 1, false], `cut at ${cut}`);
    }
    const seen = read('GET', [...text]);
    assert.deepEqual([seen.body, seen.ended], ['hello', 1], 'byte by byte');
  });
}

test('fields are joined, interim answers are told', () => {
  assert.equal(read('GET', [responses.length]).heads[0]!.headers['x-a'], '1, 2');
  assert.deepEqual(read('GET', [responses.interim]).interim, [100]);
});

test('responses that have no body by their nature', () => {
  assert.equal(read('HEAD', ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n']).ended, 1);
  assert.equal(read('GET', ['HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n']).ended, 1);
  assert.equal(read('GET', ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n']).ended, 1);
});

test('without a length, only the end of the stream ends the body', () => {
  const seen = read('GET', ['HTTP/1.0 200 OK\r\n\r\nhel', 'lo']);
  assert.deepEqual([seen.ended, seen.parser.busy, seen.heads[0]!.framing], [0, true, 'close']);
  assert.equal(seen.parser.finish(), true);
  assert.equal(seen.ended, 1);
  assert.equal(read('GET', [responses.length.slice(0, -1)]).parser.finish(), false, 'a truncation');
});

for (const [name, text] of Object.entries({
  'a status line that is none': 'HTP/1.1 200 OK\r\n\r\n',
  'a header field that is none': 'HTTP/1.1 200 OK\r\nnonsense\r\n\r\n',
  'a length that is none': 'HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello',
  'bytes behind the response': `${responses.length}!`,
  'a second response': responses.length + responses.length,
  'a chunk size that is none': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
  'a chunk longer than it says':
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n',
})) {
  test(`refused: ${name}`, () => {
    assert.throws(() => read('GET', [text]), ProtocolError);
  });
}

test('a request cannot be announced while a response is due', () => {
  const { parser } = read('GET', ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel']);
  assert.throws(() => parser.expect('GET'), ProtocolError);
});
