import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { parseIp } from '@resplice/dataplane';
import { AppCheck, listens } from '../src/app-check.ts';

const ADDRESS = parseIp('10.64.0.11');
const line = (local: string, state: string) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 502 1 0 100 0 0 10 0`;

for (const [name, row, expected] of [
  ['all addresses', line('00000000:1F90', '0A'), true],
  ['this address', line('0B00400A:1F90', '0A'), true],
  ['the loopback only', line('0100007F:1F90', '0A'), false],
  ['another port', line('00000000:1F91', '0A'), false],
  ['a connection, not a listener', line('0B00400A:1F90', '01'), false],
  ['IPv6, all addresses', line('00000000000000000000000000000000:1F90', '0A'), true],
  ['IPv6, this address mapped', line('0000000000000000FFFF00000B00400A:1F90', '0A'), true],
  ['IPv6 loopback', line('00000000000000000000000001000000:1F90', '0A'), false],
  ['nothing at all', '', false],
] as const) {
  test(`${name}: ${expected ? 'accepts' : 'does not accept'}`, () => {
    const header =
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
    assert.equal(listens(`${header}\n${row}\n`, ADDRESS, 8080), expected);
  });
}

async function listen(): Promise<Server> {
  const server = createServer();
  server.listen(0, '127.0.0.1', 1);
  await once(server, 'listening');
  return server;
}

test('follows a server that goes and comes, and makes no connection to it', async () => {
  const server = await listen();
  const { port } = server.address() as AddressInfo;
  let connections = 0;
  server.on('connection', socket => {
    connections++;
    socket.destroy();
  });
  const changes: boolean[] = [];
  let changed = () => {};
  const check = new AppCheck({
    address: parseIp('127.0.0.1'),
    port,
    onChange(accepting) {
      changes.push(accepting);
      changed();
    },
  });
  const nextChange = () =>
    new Promise<void>(resolve => {
      changed = resolve;
    });
  try {
    await nextChange();
    const gone = nextChange();
    server.close();
    await gone;
    const back = nextChange();
    server.listen(port, '127.0.0.1');
    await back;
    assert.deepEqual(changes, [true, false, true]);
    assert.equal(connections, 0);
    const client = connect(port, '127.0.0.1');
    await once(client, 'connect');
    client.destroy();
    assert.equal(check.accepting, true);
  } finally {
    check.close();
    server.close();
  }
});
