import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite, test } from 'node:test';
import { until } from '@resplice/service-kit/testing';
import { ServerCheck } from '../src/server-check.ts';

/** @param port 0: any */
async function serve(answer: RequestListener, port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer(answer).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

async function end(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}

/** What was told so far. */
function watch(port: number): { check: ServerCheck; told: (string | undefined)[] } {
  const told: (string | undefined)[] = [];
  return { told, check: new ServerCheck({ address: '127.0.0.1', port, onChange: each => told.push(each) }) };
}

suite('the check of the server beside', () => {
  test('tells when it answers, when it is gone, and when it is back', async () => {
    const { server, port } = await serve((_, response) => response.end());
    const { check, told } = watch(port);
    await until('the first answer', () => told.length === 1);
    assert.deepEqual(told, [undefined]);
    await end(server);
    await until('its end to be noticed', () => told.length === 2);
    assert.match(told[1]!, /ECONNREFUSED/);
    const again = await serve((_, response) => response.end(), port);
    await until('its return to be noticed', () => told.length === 3);
    assert.deepEqual(told[2], undefined);
    check.close();
    await end(again.server);
  });

  test('an answer other than 200 is not well', async () => {
    const { server, port } = await serve((_, response) => response.writeHead(503).end());
    const { check, told } = watch(port);
    await until('the answer', () => told.length === 1);
    assert.equal(told[0], 'the server answers 503');
    check.close();
    await end(server);
  });

  test('one that takes the request and says nothing is not well', async () => {
    const { server, port } = await serve(() => {});
    const { check, told } = watch(port);
    await until('patience to end', () => told.length === 1);
    assert.match(told[0]!, /no answer within 500 ms/);
    check.close();
    await end(server);
  });

  test('one connection serves many looks', async () => {
    let connections = 0;
    let requests = 0;
    const { server, port } = await serve((_, response) => {
      requests++;
      response.end();
    });
    server.on('connection', () => connections++);
    const { check } = watch(port);
    await until('three looks', () => requests >= 3);
    assert.equal(connections, 1);
    check.close();
    await end(server);
  });
});
