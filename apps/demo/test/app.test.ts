import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { buildDemo } from '../src/app.ts';
import { HUNDRED_MB, HUNDRED_MB_SHA256, patternSlice } from '../src/byte-pattern.ts';
import { pictures } from '../src/pictures/gallery.ts';
import { siteFiles } from '../src/site-files.ts';

const one = buildDemo({ backend: 'backend-1' });
const two = buildDemo({ backend: 'backend-2' });
after(() => Promise.all([one.close(), two.close()]));

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

test('two back ends answer with the same heads and the same bytes', async () => {
  const paths = [
    ...siteFiles().map(file => file.path),
    '/bytes/70000',
    '/bytes/5?chunked=1',
    '/100mb.sha256',
  ];
  for (const url of paths) {
    const [a, b] = await Promise.all([one.inject(url), two.inject(url)]);
    assert.equal(a.statusCode, 200, url);
    assert.equal(sha256(a.rawPayload), sha256(b.rawPayload), url);
    const { date: _a, ...headA } = a.headers;
    const { date: _b, ...headB } = b.headers;
    assert.deepEqual(headA, headB, url);
  }
});

test('the page shows a dozen pictures, says what it is and publishes the hash', async () => {
  const { body } = await one.inject('/');
  assert.match(body, /demonstration/);
  assert.match(body, new RegExp(`data-size="${HUNDRED_MB}"`));
  assert.match(body, new RegExp(`data-sha256="${HUNDRED_MB_SHA256}"`));
  assert.match(body, /href="\/100mb.bin"/);
  const sources = [...body.matchAll(/src="\/pictures\/([^"]+)"/g)].map(match => match[1]);
  assert.deepEqual(
    sources,
    pictures.map(picture => picture.name),
  );
  assert.equal(sources.length, 12);
});

test('pictures have strong validators, and a browser that has one is told so', async () => {
  for (const { name } of pictures) {
    const url = `/pictures/${name}`;
    const first = await one.inject(url);
    const etag = String(first.headers.etag);
    assert.match(etag, /^"[\w-]{43}"$/);
    const again = await two.inject({ url, headers: { 'if-none-match': etag } });
    assert.equal(again.statusCode, 304);
    assert.equal(again.rawPayload.length, 0);
    const head = await one.inject({ method: 'HEAD', url });
    assert.equal(head.headers['content-length'], String(first.rawPayload.length));
    assert.equal(head.rawPayload.length, 0);
  }
});

test('a byte range is the same cut of the same file', async () => {
  const part = await one.inject({ url: '/bytes/3000000', headers: { range: 'bytes=1048570-1048585' } });
  assert.equal(part.statusCode, 206);
  assert.equal(part.headers['content-range'], 'bytes 1048570-1048585/3000000');
  assert.deepEqual(part.rawPayload, Buffer.concat([patternSlice(1048570, 6), patternSlice(1048576, 10)]));
  const etag = String(part.headers.etag);
  const stale = await one.inject({ url: '/bytes/30', headers: { range: 'bytes=1-2', 'if-range': etag } });
  assert.equal(stale.statusCode, 200, 'If-Range of another version');
  const beyond = await one.inject({ url: '/bytes/30', headers: { range: 'bytes=30-' } });
  assert.equal(beyond.statusCode, 416);
  assert.equal(beyond.headers['content-range'], 'bytes */30');
});

test('HEAD tells the length of 1 GiB without making it', async () => {
  const before = process.cpuUsage();
  const head = await one.inject({ method: 'HEAD', url: `/bytes/${2 ** 30}` });
  assert.equal(head.headers['content-length'], String(2 ** 30));
  assert.equal(head.headers['accept-ranges'], 'bytes');
  assert.ok(process.cpuUsage(before).user < 200_000, 'nothing was generated');
});

test('sizes and waits out of range are refused', async () => {
  for (const url of ['/bytes/-1', `/bytes/${2 ** 30 + 1}`, '/bytes/ten', '/slow?ms=60001', '/slow?ms=soon']) {
    assert.equal((await one.inject(url)).statusCode, 400, url);
  }
  assert.equal((await one.inject('/nothing')).statusCode, 404);
});

test('an empty file is empty', async () => {
  const empty = await one.inject('/bytes/0');
  assert.equal(empty.headers['content-length'], '0');
  assert.equal(empty.rawPayload.length, 0);
  assert.equal((await one.inject('/bytes/0?chunked=1')).rawPayload.length, 0);
});

test('an upload is told back as length and hash, whatever its type', async () => {
  const payload = Buffer.from(patternSlice(77, 300_000));
  for (const type of ['application/json', 'application/octet-stream', 'text/plain']) {
    const answer = await one.inject({
      method: 'POST',
      url: '/upload',
      payload,
      headers: { 'content-type': type },
    });
    assert.deepEqual(answer.json(), { bytes: 300_000, sha256: sha256(payload) });
  }
  const nothing = await one.inject({ method: 'POST', url: '/upload' });
  assert.deepEqual(nothing.json(), { bytes: 0, sha256: sha256(Buffer.alloc(0)) });
  const echo = await one.inject({ method: 'POST', url: '/echo', payload });
  assert.equal(sha256(echo.rawPayload), sha256(payload));
});

test('each POST /count is counted, with its token', async () => {
  const app = buildDemo({ backend: 'backend-9' });
  for (const token of ['a', 'b', 'b']) {
    await app.inject({ method: 'POST', url: '/count', headers: { 'x-request-token': token } });
  }
  assert.deepEqual((await app.inject('/counts')).json(), {
    backend: 'backend-9',
    count: 3,
    tokens: ['a', 'b', 'b'],
  });
  await app.close();
});

test('GET /slow waits for as long as it was asked', async () => {
  const started = performance.now();
  const answer = await one.inject('/slow?ms=120');
  assert.deepEqual(answer.json(), { waitedMs: 120 });
  assert.ok(performance.now() - started >= 118);
});

test('POST /count answers with as many known bytes as it is asked for', async () => {
  const answer = await one.inject({ method: 'POST', url: '/count?bytes=70000' });
  assert.equal(answer.headers['content-length'], '70000');
  assert.deepEqual(answer.rawPayload, Buffer.from(patternSlice(0, 70_000)));
});

test('GET /events tells each step of a request with a token, those of before first', async () => {
  const app = buildDemo({ backend: 'backend-9' });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const headers = (token: string) => ({ 'x-request-token': token });
  await fetch(`${url}/whoami`, { headers: headers('a') });
  const { body } = await fetch(`${url}/events`);
  const lines = createInterface({ input: Readable.fromWeb(body!) })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value!);
  assert.match((await next()).process, /^[0-9a-f-]{36}$/);
  assert.deepEqual(await next(), { step: 'begin', token: 'a' });
  assert.deepEqual(await next(), { step: 'finish', token: 'a' });
  for (const path of ['count', 'upload']) {
    await (await fetch(`${url}/${path}`, { method: 'POST', headers: headers(path) })).text();
    for (const step of ['begin', 'executed', 'finish']) assert.deepEqual(await next(), { step, token: path });
  }
  await app.close();
});
