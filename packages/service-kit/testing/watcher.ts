// Probes one target and prints each change of what it hears as a line of JSON.
// argv: own id, key (hex), target's id, address, port, interval in ms.

import { startLiveness } from '../src/liveness.ts';

const [id, key, targetId, address, port, intervalMs] = process.argv.slice(2);
const liveness = await startLiveness({
  port: 0,
  key: Buffer.from(key!, 'hex'),
  self: { id: Number(id), epoch: Math.floor(Date.now() / 1000) },
  targets: [
    {
      name: 'target',
      id: Number(targetId),
      address: address!,
      port: Number(port),
      intervalMs: Number(intervalMs),
      misses: 3,
    },
  ],
});
liveness.onChange((_, state) => process.stdout.write(`${JSON.stringify(state)}\n`));
