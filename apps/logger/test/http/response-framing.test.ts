import assert from 'node:assert/strict';
import { request as ask } from 'node:http';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { ResponseParser } from '../../../../e2e/fixtures/response-parser.ts';
import { MAX_HEAD } from '../../src/http/message-framing.ts';
import { ResponseFraming } from '../../src/http/response-framing.ts';
import { response } from './fixtures/streams.ts';
import {
  anyCuts,
  BYTES,
  type Call,
  feedCut,
  outline,
  responseSink,
  toldOfResponses,
  WHOLE,
} from './fixtures/told.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n';

test('a head says how its body ends, and whether its content can be told from another', () => {
  const told = (lines: string, method = 'GET') => {
    const [call] = toldOfResponses(`HTTP/1.1 ${lines}\r\n\r\n`, [method]);
    const { status, body, length, close, hasValidator } = call![3] as Record<string, unknown>;
    return [status, body, length, close, hasValidator];
  };
  const length = 'Content-Length: 9';
  assert.deepEqual(told(`200 OK\r\n${length}`), [200, 'length', 9, false, false]);
  assert.deepEqual(told(`200 OK\r\n${length}\r\nETag: "x"`), [200, 'length', 9, false, true]);
  assert.deepEqual(told(`200 OK\r\n${length}\r\nETag: W/"x"`), [200, 'length', 9, false, false]);
  assert.deepEqual(told(`200 OK\r\n${length}\r\nLast-Modified: x`), [200, 'length', 9, false, true]);
  assert.deepEqual(told('200 OK\r\nETag: "x"\r\nTransfer-Encoding: chunked'), [
    200,
    'chunked',
    0,
    false,
    false,
  ]);
  assert.deepEqual(told('200'), [200, 'until-close', 0, true, false]);
  assert.deepEqual(told(`200 OK\r\nConnection: close\r\n${length}`), [200, 'length', 9, true, false]);
  assert.deepEqual(told(`200 OK\r\n${length}\r\nETag: "x"`, 'HEAD'), [200, 'none', 0, false, false]);
  assert.deepEqual(told('200 OK\r\nTransfer-Encoding: chunked', 'HEAD'), [200, 'none', 0, false, false]);
  assert.deepEqual(told('204 No Content'), [204, 'none', 0, false, false]);
  assert.deepEqual(told(`304 Not Modified\r\n${length}`), [304, 'none', 0, false, false]);
  assert.deepEqual(told(`400 Bad Request\r\n${length}`, 'CONNECT'), [400, 'length', 9, false, false]);
});

test('the methods of the requests decide, in their order', () => {
  const methods = ['HEAD', 'GET', 'HEAD'];
  assert.equal(
    outline(toldOfResponses(`${OK}${OK}abc${OK}`, methods)),
    'head@0-38 end@38 head@38-76 end@79 head@79-117 end@117',
  );
});

test('interim responses come before the response', () => {
  const hundred = 'HTTP/1.1 100 Continue\r\n\r\n';
  const calls = toldOfResponses(`${hundred}HTTP/1.1 103 \r\nLink: x\r\n\r\n${OK}abc`, ['POST']);
  assert.equal(outline(calls), 'interim@100-0-25 interim@103-25-51 head@51-89 end@92');
});

test('a stream is opaque behind a 101, and behind what accepts a CONNECT', () => {
  const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n';
  assert.equal(outline(toldOfResponses(`${switching}\0\n${OK}`, ['GET'])), 'interim@101-0-48 opaque@48');
  assert.equal(outline(toldOfResponses(`${OK}\0\n${OK}`, ['CONNECT'])), 'head@0-38 opaque@38');
});

test('what only the end of the stream ends is ended by it; elsewhere it may not end, or nothing was open', () => {
  assert.equal(outline(toldOfResponses('HTTP/1.0 200 OK\r\n\r\nabc', ['GET'], WHOLE)), 'head@0-19');
  const closed = (stream: string) => toldOfResponses(stream, ['GET'], WHOLE, true).slice(-2);
  assert.deepEqual(closed('HTTP/1.0 200 OK\r\n\r\nabc'), [
    ['end', 22],
    ['finish', true],
  ]);
  assert.deepEqual(closed(`${OK}abc`), [
    ['end', 41],
    ['finish', true],
  ]);
  assert.deepEqual(closed(`${OK}ab`).at(-1), ['finish', false]);
  assert.deepEqual(closed('HTTP/1.1 2').at(-1), ['finish', false]);
  assert.deepEqual(closed(''), [['finish', true]]);
  assert.deepEqual(closed(`${OK.replace('Content-Length: 3', 'Transfer-Encoding: chunked')}3\r\n`).at(-1), [
    'finish',
    false,
  ]);
});

test('how much can be skipped is known at once: bodies, chunks, all that has no boundary', () => {
  const framing = new ResponseFraming();
  const calls: Call[] = [];
  const sink = responseSink(calls, ['GET', 'GET', 'GET']);
  const feed = (text: string) => framing.feed(Buffer.from(text), 0, text.length, sink);
  feed(`${OK}a`);
  assert.equal(framing.skippable, 2);
  framing.skip(2, sink);
  assert.deepEqual([framing.skippable, framing.idle], [0, true]);
  feed('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab');
  assert.equal(framing.skippable, 253);
  framing.skip(253, sink);
  assert.equal(framing.skippable, 0);
  feed('\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n');
  assert.equal(framing.skippable, Number.POSITIVE_INFINITY);
  framing.skip(2 ** 40, sink);
  assert.equal(framing.position, 373 + 2 ** 40);
  framing.finish(sink);
  assert.equal(outline(calls), `head@0-38 end@41 head@41-88 end@354 head@354-373 end@${framing.position}`);
});

for (const [name, stream] of [
  ['another protocol', '\x15'],
  ['an error page without a head', '<html></html>\r\n'],
  ['HTTP/2', 'HTTP/2.0 200 OK\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\n'],
  ['a status beyond 599', 'HTTP/1.1 600 OK\r\n'],
  ['an empty line first', '\r\n'],
  ['a bare line feed', 'HTTP/1.1 200 OK\n'],
  ['a folded field', 'HTTP/1.1 200 OK\r\nX: a\r\n '],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nX '],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n'],
  ['both lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['another coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n'],
  ['1,001 fields', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(1001)}\r\n`],
] as const) {
  test(`${name} breaks the stream at its first byte, as soon as it is there`, () => {
    assert.equal(toldOfResponses(stream.slice(0, -1), ['GET']).length, 0, 'one byte less says nothing');
    const calls = toldOfResponses(`${OK}abc${stream}`, ['GET', 'GET']);
    assert.equal(outline(calls), 'head@0-38 end@41 broken@41');
  });
}

test('a byte that no request has asked for breaks the stream', () => {
  assert.deepEqual(toldOfResponses('H', []), [['broken', 0, 'bytes that no request has asked for']]);
  assert.equal(outline(toldOfResponses(`${OK}abcd`, ['GET'])), 'head@0-38 end@41 broken@41');
  assert.equal(outline(toldOfResponses(`${OK}abc`, ['HEAD'])), 'head@0-38 end@38 broken@38');
});

test('a head that does not end breaks the stream at 65,536 bytes', () => {
  const calls = toldOfResponses(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(MAX_HEAD)}`, ['GET']);
  assert.deepEqual(calls, [['broken', 0, 'more than 65536 bytes of head']]);
});

/** What a strict reader of whole responses makes of a stream. */
function parsed(stream: Buffer, methods: readonly string[]): string[] {
  const seen: string[] = [];
  let length = 0;
  let next = 0;
  const parser = new ResponseParser({
    interim: status => seen.push(`interim ${status}`),
    head: head => seen.push(`${head.status} ${head.framing === 'close' ? 'until-close' : head.framing}`),
    body: data => {
      length += data.length;
    },
    end: () => {
      seen.push(`end ${length}`);
      length = 0;
      next++;
      if (next < methods.length) parser.expect(methods[next]!);
    },
  });
  parser.expect(methods[0]!);
  parser.feed(stream);
  assert.ok(!parser.busy);
  return seen;
}

const made = (responses: readonly { interim: string[]; bytes: Buffer }[]) =>
  Buffer.concat(responses.flatMap(each => [Buffer.from(each.interim.join('')), each.bytes]));

/** A stream's last response may be one that only its end ends. */
const whole = response.filter(({ bytes, head, content }) => bytes.length > head || content.length === 0);

test('a stream of generated responses is told as it was made and as another parser reads it, wherever it is cut', () => {
  fc.assert(
    fc.property(fc.array(whole, { minLength: 1, maxLength: 4 }), anyCuts, (responses, cuts) => {
      const stream = made(responses);
      const methods = responses.map(({ method }) => method);
      const calls = toldOfResponses(stream, methods);
      let at = 0;
      const expected = responses.flatMap(({ interim, bytes, head, status }) => {
        const before = interim.map(text => {
          at += text.length;
          return `interim ${text.slice(9, 12)} ${at - text.length}-${at}`;
        });
        const start = at;
        at += bytes.length;
        return [...before, `head ${status} ${start}-${start + head}`, `end ${at}`];
      });
      assert.deepEqual(
        calls.map(([what, from, to, told]) => {
          if (what === 'head') return `head ${(told as { status: number }).status} ${from}-${to}`;
          return what === 'interim' ? `interim ${from} ${to}-${told}` : `${what} ${from}`;
        }),
        expected,
      );
      const lengths = responses.map(({ content, bytes, head }) => (bytes.length > head ? content.length : 0));
      assert.deepEqual(
        parsed(stream, methods),
        calls.map(([what, from, , told]) => {
          if (what === 'interim') return `interim ${from}`;
          if (what === 'end') return `end ${lengths.shift()}`;
          const { status, body } = told as { status: number; body: string };
          return `${status} ${body}`;
        }),
      );
      assert.deepEqual(toldOfResponses(stream, methods, cuts), calls);
      assert.deepEqual(toldOfResponses(stream, methods, BYTES), calls);
    }),
    { numRuns: 500 },
  );
});

test('two pieces, at every cut, read or skipped', () => {
  const stream = Buffer.from(
    `HTTP/1.1 100 Continue\r\n\r\n${OK}abcHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n` +
      `1a;x\r\n${'y'.repeat(26)}\r\n0\r\nX: y\r\n\r\n${OK}HTTP/1.1 200 OK\r\n\r\n0\r\n\r\n`,
  );
  const methods = ['POST', 'GET', 'HEAD', 'GET'];
  const calls = toldOfResponses(stream, methods, WHOLE, true);
  assert.equal(
    outline(calls).replace(/[\d-]/g, ''),
    'interim@ head@ end@ head@ end@ head@ end@ head@ end@ finish@',
  );
  for (let cut = 1; cut < stream.length; cut++) {
    for (const skip of [false, true]) {
      const cuts = { pieces: [cut, stream.length], skips: [skip] };
      assert.deepEqual(toldOfResponses(stream, methods, cuts, true), calls, `cut at ${cut}`);
    }
  }
});

const scraps = fc.constantFrom(
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 100 \r\n\r\n',
  'HTTP/1.0 304\r\n',
  'HTTP/1.1 101 x\r\n',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'ETag: "x"\r\n',
  '\r\n',
  '\r\n',
  '\r',
  '\n',
  'abc',
  '3\r\n',
  '0\r\n',
  'X',
  ':',
  '\0',
  '\xff',
);

test('garbage is told alike, wherever it is cut, and nothing throws', () => {
  const methods = ['GET', 'HEAD', 'CONNECT', 'POST'];
  fc.assert(
    fc.property(fc.array(scraps, { maxLength: 25 }), anyCuts, (pieces, cuts) => {
      const stream = `HTTP/1.1 200 OK\r\n${pieces.join('')}`;
      const calls = toldOfResponses(stream, methods);
      assert.deepEqual(toldOfResponses(stream, methods, cuts), calls);
      assert.deepEqual(toldOfResponses(stream, methods, BYTES), calls);
    }),
    { numRuns: 3000 },
  );
});

test("Node's client reads the same response", async () => {
  await fc.assert(
    fc.asyncProperty(response, async ({ method, bytes, interim }) => {
      const stream = made([{ bytes, interim }]);
      const seen = await readByNode(method, stream);
      const calls: Call[] = [];
      const framing = new ResponseFraming();
      const sink = responseSink(calls, [method]);
      feedCut(framing, stream, WHOLE, sink);
      assert.ok(framing.finish(sink));
      const told = calls.map(([what, at, bodyAt, head]) => {
        if (what === 'interim') return `interim ${at}`;
        if (what !== 'head') return what;
        const { status, body } = head as { status: number; body: string };
        // What only the end of the stream ends: its length says that nothing was left over.
        return body === 'until-close' ? `${status} ${stream.length - (bodyAt as number)}` : String(status);
      });
      const untilClose = told.some(each => / \d+$/.test(each) && !each.startsWith('interim'));
      assert.deepEqual(
        seen.map(each => (untilClose || each.startsWith('interim') ? each : each.replace(/ .*/, ''))),
        told,
      );
    }),
    { numRuns: 200 },
  );
});

/** Interim responses, then the status and the content's length, then `end`. */
function readByNode(method: string, stream: Buffer): Promise<string[]> {
  const [client, server] = duplexPair();
  const seen: string[] = [];
  return new Promise((resolve, reject) => {
    const outgoing = ask({ method, createConnection: () => client as never });
    outgoing.on('continue', () => seen.push('interim 100'));
    outgoing.on('information', ({ statusCode }) => {
      if (statusCode !== 100) seen.push(`interim ${statusCode}`);
    });
    outgoing.on('error', reject);
    outgoing.on('response', incoming => {
      let length = 0;
      incoming.on('data', data => {
        length += data.length;
      });
      incoming.on('error', reject);
      incoming.on('end', () => resolve([...seen, `${incoming.statusCode} ${length}`, 'end']));
    });
    outgoing.end();
    server.once('data', () => server.end(stream));
  });
}
