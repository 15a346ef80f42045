/** Times of the framings, in µs a message: `node apps/logger/bench/framing.ts`. On a machine that does nothing else. */
import { RequestFraming, type RequestSink } from '../src/http/request-framing.ts';
import { ResponseFraming, type ResponseSink } from '../src/http/response-framing.ts';
import { time } from './time.ts';

const browser = [
  'GET /static/scripts/application.js?v=20260301 HTTP/1.1',
  'Host: www.example.org',
  'Connection: keep-alive',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Encoding: gzip, deflate',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Referer: http://www.example.org/',
  'Cookie: session=0123456789abcdef0123456789abcdef',
];
const short = ['GET /one-kilobyte.bin HTTP/1.1', 'Host: 10.60.0.1', 'User-Agent: wrk/4.1', 'Accept: */*'];
const nginx = [
  'HTTP/1.1 200 OK',
  'Server: nginx/1.22.1',
  'Date: Tue, 03 Mar 2026 10:00:00 GMT',
  'Content-Type: application/octet-stream',
  'Content-Length: 1024',
  'Last-Modified: Mon, 02 Mar 2026 10:00:00 GMT',
  'Connection: keep-alive',
  'ETag: "65e2f1a0-400"',
  'Accept-Ranges: bytes',
];
const bytesOf = (lines: string[], body = 0) =>
  Buffer.from(`${lines.join('\r\n')}\r\n\r\n${'x'.repeat(body)}`);

let told = 0;
const common = {
  end: () => told++,
  opaque: () => told++,
  broken: (_: number, reason: string) => {
    throw new Error(reason);
  },
};
const requests: RequestSink = { ...common, head: () => told++ };
const responses: ResponseSink = {
  ...common,
  method: () => 'GET',
  head: () => told++,
  interim: () => told++,
};

/** The message in a ring, at places that change. The last byte of its head differs from that of the one before: it has to be read. */
function ringOf(message: Buffer): { ring: Buffer; next: () => number } {
  const ring = Buffer.alloc(1 << 22);
  const places = Math.floor(ring.length / message.length);
  const last = message.indexOf('\r\n\r\n') - 1;
  for (let i = 0; i < places; i++) {
    message.copy(ring, i * message.length);
    ring[i * message.length + last]! ^= i & 1;
  }
  let place = 0;
  return {
    ring,
    next: () => {
      place = place + 1 === places ? 0 : place + 1;
      return place * message.length;
    },
  };
}

for (const [name, lines] of [
  ['short request', short],
  ['browser request', browser],
] as const) {
  const message = bytesOf([...lines]);
  const { ring, next } = ringOf(message);
  const framing = new RequestFraming();
  time(`${name}, ${message.length} bytes`, () => {
    const at = next();
    framing.feed(ring, at, at + message.length, requests);
  });
  const half = message.length >> 1;
  time(`${name}, in two pieces`, () => {
    const at = next();
    framing.feed(ring, at, at + half, requests);
    framing.feed(ring, at + half, at + message.length, requests);
  });
  let length = 0;
  const reading: RequestSink = {
    ...requests,
    head: head => {
      length += head.target.length + head.field('host')!.length;
    },
  };
  time(`${name}, target and host read`, () => {
    const at = next();
    framing.feed(ring, at, at + message.length, reading);
  });
  told += length;
}

const answer = bytesOf(nginx, 1024);
const { ring, next } = ringOf(answer);
const framing = new ResponseFraming();
time(`response, ${answer.length} bytes`, () => {
  const at = next();
  framing.feed(ring, at, at + answer.length, responses);
});
time('response, its body skipped', () => {
  const at = next();
  framing.feed(ring, at, at + answer.length - 1024, responses);
  framing.skip(1024, responses);
});

const connections = 100_000;
globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
const idle = Array.from({ length: connections }, () => ({
  request: new RequestFraming(),
  response: new ResponseFraming(),
}));
const question = bytesOf(short);
for (const { request, response } of idle) {
  request.feed(question, 0, question.length, requests);
  response.feed(answer, 0, answer.length, responses);
}
globalThis.gc?.();
const held = (process.memoryUsage().heapUsed - before) / idle.length;
if (globalThis.gc)
  console.log(`bytes for both framings of one of ${idle.length} connections: ${held.toFixed(0)}`);
// What is counted cannot be left out.
if (told === 0) throw new Error('nothing was told');
