// Stands in for a proxy: answers liveness probes, and ends connections itself instead of splicing them.
// argv: name, id, probe port, key (hex), then [address, port] on which a TCP server says the name and hangs up.

import { createServer } from 'node:net';
import { startLiveness } from '../src/liveness.ts';

const [name, id, port, key, address, serverPort] = process.argv.slice(2);
createServer(socket => socket.on('error', () => {}).end(name!)).listen(Number(serverPort), address!);
const liveness = await startLiveness({
  port: Number(port),
  key: Buffer.from(key!, 'hex'),
  self: { id: Number(id), epoch: Math.floor(Date.now() / 1000) },
});
liveness.setReady(true);
