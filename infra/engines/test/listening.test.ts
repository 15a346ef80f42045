import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { listensBeside } from '../src/listening.ts';

test('a port is seen to be listened on while it is, on IPv4 and IPv6, and no other is', async () => {
  for (const host of ['127.0.0.1', '0.0.0.0', '::1']) {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    assert.equal(listensBeside(process.pid, port), true, host);
    server.close();
    await once(server, 'close');
    assert.equal(listensBeside(process.pid, port), false, host);
  }
});

test('nobody listens beside a process that is gone', () => {
  assert.equal(listensBeside(2 ** 22 + 1, 1), false);
});
