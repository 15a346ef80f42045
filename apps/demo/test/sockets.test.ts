/** What only shows on a real socket: back-pressure, chunking, interim answers, and main.ts as a process. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildDemo } from '../src/app.ts';
import { HUNDRED_MB_SHA256, patternSlice } from '../src/byte-pattern.ts';

const app = buildDemo({ backend: 'backend-1' });
let origin = '';
before(async () => {
  origin = await app.listen({ host: '127.0.0.1', port: 0 });
});
after(() => app.close());

async function hashOf(response: Response): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of response.body!) hash.update(chunk);
  return hash.digest('hex');
}

test('100 MB arrive with the published hash, with a length and chunked', async () => {
  const plain = await fetch(`${origin}/100mb.bin`);
  assert.equal(plain.headers.get('content-length'), '100000000');
  assert.equal(await hashOf(plain), HUNDRED_MB_SHA256);
  const chunked = await fetch(`${origin}/bytes/100000000?chunked=1`);
  assert.equal(chunked.headers.get('content-length'), null);
  assert.equal(chunked.headers.get('transfer-encoding'), 'chunked');
  assert.equal(await hashOf(chunked), HUNDRED_MB_SHA256);
});

test('a reader that does not read costs no memory', { timeout: 20_000 }, async () => {
  const { port } = app.server.address() as AddressInfo;
  const before = process.memoryUsage().arrayBuffers;
  const sockets = Array.from({ length: 20 }, () => connect(port, '127.0.0.1').pause());
  await Promise.all(sockets.map(socket => once(socket, 'connect')));
  for (const socket of sockets) socket.write('GET /bytes/1073741824 HTTP/1.1\r\nHost: x\r\n\r\n');
  // A condition, not a pause: the server has begun to answer each of them and has answered somebody else since.
  await Promise.all(sockets.map(socket => once(socket.resume(), 'data').then(() => socket.pause())));
  await hashOf(await fetch(`${origin}/bytes/50000000`));
  const grown = process.memoryUsage().arrayBuffers - before;
  for (const socket of sockets) socket.destroy();
  assert.ok(grown < 150e6, `${grown} bytes are held for 20 readers`);
});

test('an upload that asks first (Expect: 100-continue) is invited, then hashed', async () => {
  const body = patternSlice(0, 1_000_000);
  const request = http.request(`${origin}/upload`, {
    method: 'POST',
    headers: { expect: '100-continue', 'content-length': body.length },
  });
  request.flushHeaders();
  await once(request, 'continue');
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const answer = JSON.parse(Buffer.concat(await response.toArray()).toString());
  assert.deepEqual(answer, { bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') });
});

test('an upload that breaks off is no answer and harms nobody else', async () => {
  const { port } = app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  socket.end('POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nshort');
  const answer = Buffer.concat(await socket.toArray()).toString();
  assert.doesNotMatch(answer, /^HTTP\/1.1 200/);
  assert.equal((await fetch(`${origin}/healthz`)).status, 200);
});

test('/whoami tells the connection as the application sees it', async () => {
  const { port } = app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const local = { address: socket.localAddress, port: socket.localPort };
  socket.end('GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const answer = Buffer.concat(await socket.toArray()).toString();
  assert.deepEqual(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))), {
    backend: 'backend-1',
    client: local,
  });
});

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

test('main.ts listens where PORT says and ends cleanly on SIGTERM', { timeout: 20_000 }, async () => {
  const child = spawn(process.execPath, [main], {
    env: { PORT: '0', BACKEND_ID: 'backend-7' },
    stdio: 'pipe',
  });
  try {
    let log = '';
    for await (const chunk of child.stdout) {
      log += chunk;
      if (log.includes('Server listening')) break;
    }
    const port = /:(\d+)"/.exec(log)?.[1];
    const answer = await fetch(`http://127.0.0.1:${port}/whoami`);
    assert.equal(((await answer.json()) as { backend: string }).backend, 'backend-7');
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
  } finally {
    child.kill('SIGKILL');
  }
});

test('main.ts refuses a port that is none, with exit code 78', async () => {
  const child = spawn(process.execPath, [main], {
    env: { PORT: 'eighty' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [said, [code]] = await Promise.all([child.stderr.toArray(), once(child, 'exit')]);
  assert.equal(code, 78);
  assert.equal(Buffer.concat(said).toString(), 'config: PORT: not a port: eighty\n');
});
