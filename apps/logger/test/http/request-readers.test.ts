/** A request is read as the proxies before the logger and the servers behind it read it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { readHead } from '../../../proxy/src/head.ts';
import { RequestFraming } from '../../src/http/request-framing.ts';
import { request } from './fixtures/streams.ts';
import { requestSink, toldOfRequests } from './fixtures/told.ts';

test('a head is read as a proxy reads it', t => {
  const counts = { accepted: 0, refused: 0, misplaced: 0 };
  fc.assert(
    fc.property(
      fc.constantFrom('GET', 'POST', 'HEAD', 'M-SEARCH', 'G\x7f', ''),
      fc.constantFrom('/', '/x?y', '*', 'http://a/', '/#', '/ x', '/\xe4'),
      fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1'),
      fc.array(
        fc.oneof(
          fc.constantFrom(
            'Host: a',
            'Host: a',
            'host:a',
            'Host : a',
            'Content-Length: 3',
            'content-length:\t0 ',
            'Content-Length: 3,3',
            'Content-Length: 1234567890123456',
            'Transfer-Encoding: chunked',
            'transfer-encoding:CHUNKED\t',
            'Transfer-Encoding: x',
            'Transfer-Encoding: chunked,',
            'X-High: \xff',
            'X: \x7f',
            ': a',
            'a',
            'Content-Length:',
          ),
          fc.tuple(fc.string({ maxLength: 6 }), fc.string({ maxLength: 8 })).map(([n, v]) => `${n}: ${v}`),
        ),
        { maxLength: 4 },
      ),
      (method, target, version, fields) => {
        const text = `${[`${method} ${target} ${version}`, 'Host: a', ...fields].join('\r\n')}\r\n\r\n`;
        const verdict = readHead(Buffer.from(text, 'latin1'));
        const calls: unknown[] = [];
        new RequestFraming().feed(Buffer.from(text, 'latin1'), 0, text.length, {
          ...requestSink([]),
          head: head => calls.push({ ...head.routable(), length: head.size }),
          broken: (at, reason) => calls.push(`${at}: ${reason}`),
        });
        if (verdict.kind === 'complete') {
          counts.accepted++;
          assert.deepEqual(calls[0], verdict.head, JSON.stringify(text));
        } else if (verdict.kind === 'refused' && /Host|target|URL/.test(verdict.reason)) {
          counts.misplaced++; // no matter of boundaries
          assert.equal(typeof calls[0], 'object', JSON.stringify(text));
        } else {
          counts.refused++;
          assert.match(String(calls[0]), /^0: /, JSON.stringify(text));
        }
      },
    ),
    { numRuns: 5000 },
  );
  t.diagnostic(JSON.stringify(counts));
  assert.ok(Math.min(...Object.values(counts)) > 100);
});

test("Node's server sees the same requests", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 4 }), async requests => {
      const stream = Buffer.concat(requests.map(each => each.bytes));
      const seen: string[] = [];
      let done = () => {};
      const finished = new Promise<void>(resolve => {
        done = resolve;
      });
      const server = createServer((incoming, response) => {
        let length = 0;
        incoming.on('data', data => {
          length += data.length;
        });
        incoming.on('end', () => {
          seen.push(`${incoming.method} ${incoming.url} ${length}`);
          response.end();
          if (seen.length === requests.length) done();
        });
      });
      server.on('clientError', (error, socket) => {
        seen.push(String(error));
        socket.destroy();
        done();
      });
      const [client, connection] = duplexPair();
      client.resume();
      server.emit('connection', connection);
      client.write(stream);
      await finished;
      client.destroy();
      const heads = toldOfRequests(stream).filter(([what]) => what === 'head');
      const told = heads.map(([, , , head], i) => {
        const { method, target } = head as { method: string; target: string };
        return `${method} ${target} ${requests[i]?.content.length}`;
      });
      assert.deepEqual(seen, told);
    }),
    { numRuns: 150 },
  );
});
