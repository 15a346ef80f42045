/** The demonstration site through the tier, without faults: every kind of transfer, and what `status` says of it. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { HUNDRED_MB, HUNDRED_MB_SHA256, patternSlice, siteFiles } from '@resplice/demo';
import { curl, curlDownload } from './fixtures/curl.ts';
import { patternHash } from './fixtures/known-bytes.ts';
import { Lab, labTest } from './fixtures/lab.ts';
import { waitFor } from './fixtures/wait.ts';

let lab: Lab;
before(async () => {
  lab = await Lab.up();
});
after(() => lab?.down());
const theLab = (): Lab => lab;

labTest('curl gets the page, its head and its pictures', theLab, async () => {
  const page = await curl(lab.clientNamespace, [lab.vip.url]);
  assert.equal(page.code, 0, page.stderr);
  assert.equal(page.stdout, siteFiles()[0]!.content().toString());
  const head = await curl(lab.clientNamespace, ['--head', lab.vip.url]);
  assert.match(head.stdout, /^HTTP\/1.1 200 OK\r\n/);
  assert.match(head.stdout, new RegExp(`content-length: ${Buffer.byteLength(page.stdout)}\r\n`, 'i'));
  for (const { path, content } of siteFiles()) {
    const { code, bytes, stderr } = await curlDownload(lab.clientNamespace, [
      new URL(path, lab.vip.url).href,
    ]);
    assert.deepEqual([code, bytes, stderr], [0, content().length, ''], path);
  }
});

labTest('curl gets a byte range', theLab, async () => {
  const url = `${lab.vip.url.replace(/\/$/, '')}/100mb.bin`;
  const { code, bytes } = await curlDownload(lab.clientNamespace, ['--range', '1048570-3048575', url]);
  assert.deepEqual([code, bytes], [0, 2_000_006]);
  const client = await lab.client();
  const headers = { Range: 'bytes=1048570-1048585' };
  const part = await client.fetch(lab.site, { path: '/100mb.bin', headers, patternFrom: 1_048_570 });
  assert.deepEqual([part.status, part.received, part.firstDifference], [206, 16, -1]);
});

labTest('curl gets 100 MB with the published hash, with a length and chunked', theLab, async () => {
  for (const path of ['/100mb.bin', '/bytes/100000000?chunked=1']) {
    const { code, bytes, sha256, stderr } = await curlDownload(lab.clientNamespace, [
      `http://${lab.vip.address}:${lab.vip.port}${path}`,
    ]);
    assert.deepEqual([code, bytes, sha256, stderr], [0, HUNDRED_MB, HUNDRED_MB_SHA256, ''], path);
  }
});

labTest('uploads arrive whole: with a length, chunked, and asked for first', theLab, async () => {
  const client = await lab.client();
  const bytes = 50_000_000;
  for (const chunked of [false, true]) {
    const upload = { bytes, chunked };
    const exchange = await client.fetch(lab.site, { method: 'POST', path: '/upload', upload });
    assert.deepEqual(JSON.parse(exchange.text!), { bytes, sha256: patternHash(bytes) });
  }
  const body = patternSlice(0, 1_000_000).toString('latin1');
  const asked = await curl(
    lab.clientNamespace,
    [
      '-X',
      'POST',
      '-H',
      'Expect: 100-continue',
      '--data-binary',
      '@-',
      `${lab.vip.url.replace(/\/$/, '')}/upload`,
    ],
    body,
  );
  assert.equal(JSON.parse(asked.stdout).bytes, Buffer.byteLength(body), asked.stderr);
});

labTest('a kept-alive connection is one connection, all the way to the application', theLab, async () => {
  const client = await lab.client();
  const connection = await client.connect(lab.site);
  const backends = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { text } = await connection.request({ path: '/whoami' }).done;
    const { backend, client: seen } = JSON.parse(text!);
    backends.add(backend);
    assert.equal(
      `${seen.address}:${seen.port}`,
      connection.local,
      "the application sees the client's own address",
    );
  }
  assert.equal(backends.size, 1);
  const listed = await lab.connection(connection.local);
  assert.equal(listed.backend, [...backends][0]);
  assert.match(listed.proxy, /^proxy-[12]$/);
  const status = await lab.status();
  assert.equal(status.connections.filter(each => each.client === connection.local).length, 1);
  await connection.close();
});

labTest('connections are spread over the back ends', theLab, async () => {
  const client = await lab.client();
  const connections = await Promise.all(Array.from({ length: 8 }, () => client.connect(lab.site)));
  const backends = await Promise.all(
    connections.map(async each => JSON.parse((await each.request({ path: '/whoami' }).done).text!).backend),
  );
  assert.deepEqual([...new Set(backends)].sort(), ['backend-1', 'backend-2']);
  await Promise.all(connections.map(each => each.close()));
});

labTest('200 connections at once, 1 MB each, every hash right', theLab, async () => {
  const client = await lab.client();
  const bytes = 1_000_000;
  const connections = await Promise.all(Array.from({ length: 200 }, () => client.connect(lab.site)));
  assert.equal(new Set(connections.map(each => each.local)).size, 200);
  const exchanges = await Promise.all(
    connections.map(each => each.request({ path: `/bytes/${bytes}`, patternFrom: 0 }).done),
  );
  for (const { sha256, received, firstDifference, local } of exchanges) {
    assert.deepEqual([received, firstDifference, sha256], [bytes, -1, patternHash(bytes)], local);
  }
  const listed = new Set((await lab.status()).connections.map(each => each.client));
  const missing = connections.filter(each => !listed.has(each.local));
  assert.deepEqual(
    missing.map(each => each.local),
    [],
    'status lists every one of them',
  );
  await Promise.all(connections.map(each => each.close()));
});

labTest('a hundred POSTs are executed once each', theLab, async () => {
  const client = await lab.client();
  const tokens = Array.from({ length: 100 }, (_, i) => `once-${process.pid}-${i}`);
  await Promise.all(
    tokens.map(token =>
      client.fetch(lab.site, { method: 'POST', path: '/count', headers: { 'X-Request-Token': token } }),
    ),
  );
  const executed = (await lab.counts()).flatMap(({ tokens }) => tokens);
  const mine = executed.filter(token => tokens.includes(token)).sort();
  assert.deepEqual(mine, [...tokens].sort());
});

labTest('Connection: close ends with FIN, and the connection leaves the list', theLab, async () => {
  const client = await lab.client();
  const connection = await client.connect(lab.site);
  const headers = { Connection: 'close' };
  const exchange = await connection.request({ path: '/bytes/300000', headers, patternFrom: 0 }).done;
  assert.deepEqual([exchange.received, exchange.firstDifference], [300_000, -1]);
  await assert.rejects(
    waitFor('the FIN', 1000, () =>
      connection.request({ path: '/', deadlineMs: 500 }).done.then(
        () => false,
        error => error,
      ),
    ).then(error => {
      throw error;
    }),
    /^Error: closed/,
  );
  await connection.close();
});
