/**
 * A head that a proxy accepts is read by the servers behind it as the proxy reads it: same method, target and host, and the next
 * request begins where the proxy thinks. Asked are Node's own parser and nginx; each may refuse, none may read something else.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, METHODS } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import fc from 'fast-check';
import { readHead } from '../src/head.ts';

const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx'].find(path => existsSync(path));
const SENTINEL = 'GET /sentinel HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n';

interface Reading {
  status: number;
  /** As the server says it: method, target, host. */
  said: string;
}

/** Sends the bytes and reads the answers until the server closes. */
function ask(port: number, text: string): Promise<Reading[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.setTimeout(5000, () => socket.destroy(new Error(`no end after ${JSON.stringify(answer)}`)));
    socket.on('data', data => {
      answer += data.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(readingsOf(answer)));
    socket.write(Buffer.from(text, 'latin1'));
  });
}

function readingsOf(answer: string): Reading[] {
  return answer
    .split(/(?=HTTP\/1\.[01] \d{3} )/)
    .filter(each => each.startsWith('HTTP/'))
    .map(each => ({ status: Number(each.slice(9, 12)), said: /said<(.*)>/.exec(each)?.[1] ?? '' }));
}

const node = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.end(`said<${request.method} ${request.url} ${request.headers.host ?? ''}>`);
  });
});
node.on('clientError', (_error, socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));

let directory: string;
let nginxPort = 0;
let nginx: ReturnType<typeof spawn> | undefined;

before(async () => {
  node.listen(0, '127.0.0.1');
  await once(node, 'listening');
  if (!NGINX) return;
  directory = mkdtempSync(join(tmpdir(), 'resplice-nginx-'));
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  nginxPort = (free.address() as AddressInfo).port;
  free.close();
  await once(free, 'close');
  const file = join(directory, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${directory}/pid; error_log stderr crit;
     events {}
     http { access_log off; client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy;
       fastcgi_temp_path ${directory}/f; uwsgi_temp_path ${directory}/u; scgi_temp_path ${directory}/s;
       server { listen 127.0.0.1:${nginxPort}; location / { return 200 "said<$request_method $request_uri $http_host>"; } } }`,
  );
  nginx = spawn(NGINX, ['-p', directory, '-c', file], { stdio: 'inherit' });
  await until(
    'nginx answers',
    () =>
      ask(nginxPort, SENTINEL).then(
        ([first]) => first?.status === 200,
        () => false,
      ),
    10_000,
  );
});

after(async () => {
  node.close();
  node.closeAllConnections();
  if (!nginx) return;
  nginx.kill();
  await once(nginx, 'exit');
  rmSync(directory, { recursive: true });
});

const oneOf = (...texts: string[]) => fc.constantFrom(...texts);
const method = fc.oneof(
  oneOf('GET', 'POST', 'POST', 'PUT'),
  fc.constantFrom(...METHODS.filter(name => name !== 'CONNECT')),
  oneOf('get', 'G', 'GETT', 'POST!', 'M-SEARCH'),
);
const target = fc.oneof(
  oneOf(
    '/',
    '/x',
    '/a/../b',
    '//',
    '/%00',
    '/?q',
    '*',
    'http://a/',
    'http://A:80/x?y',
    'http://b/',
    '/a;b',
    '/~"<>',
  ),
  fc.string({ maxLength: 12 }).map(text => `/${text}`),
);
const version = oneOf('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2');
const field = fc.oneof(
  oneOf('Host: a', 'Host: a', 'Host: a:80', 'host:a', 'Host:', 'Host: b', 'HOST:\ta \t', 'Host : a'),
  oneOf(
    'Content-Length: 3',
    'Content-Length:3',
    'content-length: 03',
    'Content-Length: 3 ',
    'Content-Length: 0',
  ),
  oneOf(
    'Content-Length: +3',
    'Content-Length: 3,3',
    'Content-Length: 3;',
    'Content-Length : 3',
    'Content_Length: 3',
  ),
  oneOf(
    'Transfer-Encoding: chunked',
    'transfer-encoding:CHUNKED',
    'Transfer-Encoding: chunked ',
    'Transfer-Encoding: x',
  ),
  oneOf(
    'Transfer-Encoding: chunked, chunked',
    'Transfer_Encoding: chunked',
    'X: \r\n chunked',
    'TE: chunked',
    'X-\x7f: y',
  ),
  oneOf(
    'Accept: */*',
    'X: \xe4\xff',
    'Cookie: a=b',
    'X:',
    'X: a:b',
    '!#$%&: 1',
    'Trailer: X',
    'Content-Encoding: gzip',
  ),
  fc
    .tuple(fc.string({ minLength: 1, maxLength: 6 }), fc.string({ maxLength: 8 }))
    .map(([n, v]) => `${n}: ${v}`),
);
const head = fc
  .tuple(
    method,
    target,
    version,
    oneOf('Host: a', 'Host: a', 'Host: a', 'X: y'),
    fc.array(field, { maxLength: 3 }),
  )
  .map(([m, t, v, f, fields]) => `${m} ${t} ${v}\r\n${[f, ...fields].join('\r\n')}\r\n\r\n`);

/** What follows the head, as the proxy understands it, and then another request. */
function withContent(text: string, fields: readonly { name: string; value: string }[]): string {
  const given = (name: string) => fields.find(each => each.name.toLowerCase() === name)?.value;
  const content = given('transfer-encoding')
    ? '3\r\nabc\r\n0\r\n\r\n'
    : 'abc'.repeat(1000).slice(0, Number(given('content-length') ?? 0));
  return text + content + SENTINEL;
}

const counts = { accepted: 0, refused: 0 };

async function agrees(port: number, text: string): Promise<void> {
  const verdict = readHead(Buffer.from(text, 'latin1'));
  if (verdict.kind !== 'complete' || verdict.head.length !== text.length) return;
  const { fields, method: name, target: wanted, version: spoken } = verdict.head;
  const [first, second, ...more] = await ask(port, withContent(text, fields));
  assert.ok(first, JSON.stringify(text));
  assert.deepEqual(more, [], 'no third request was seen');
  if (first.status >= 400) {
    // Refused whole: then nothing that follows may have been taken for a request.
    counts.refused++;
    if (first.status === 400) assert.equal(second, undefined, JSON.stringify(text));
    return;
  }
  counts.accepted++;
  const host = fields.find(each => each.name.toLowerCase() === 'host')?.value ?? '';
  const bodiless = name === 'HEAD';
  const path = wanted.replace(/^http:\/\/[^/?]*/i, '') || '/';
  if (!bodiless)
    assert.ok(
      [`${name} ${wanted} ${host}`, `${name} ${path} ${host}`].includes(first.said),
      `${JSON.stringify(text)} was read as ${first.said}`,
    );
  // HTTP/1.0 ends the connection, so nothing follows.
  if (spoken === '1.1') assert.equal(second?.said, 'GET /sentinel sentinel', JSON.stringify(text));
}

test("Node's parser reads what a proxy accepts as the proxy does", async t => {
  const { port } = node.address() as AddressInfo;
  await fc.assert(
    fc.asyncProperty(head, text => agrees(port, text)),
    { numRuns: 3000 },
  );
  t.diagnostic(`${counts.accepted} heads accepted by both, ${counts.refused} by the proxy alone`);
  assert.ok(counts.accepted > 100);
});

test('nginx reads what a proxy accepts as the proxy does', {
  skip: !NGINX && 'nginx is not installed',
}, async t => {
  Object.assign(counts, { accepted: 0, refused: 0 });
  await fc.assert(
    fc.asyncProperty(head, text => agrees(nginxPort, text)),
    { numRuns: 3000 },
  );
  t.diagnostic(`${counts.accepted} heads accepted by both, ${counts.refused} by the proxy alone`);
  assert.ok(counts.accepted > 100);
});
