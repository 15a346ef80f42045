/**
 * What it costs to deliver a logged request again: reading it from the log, in memory and on disk, and making and sending its
 * packets. Sends to a port of the loopback that nobody has; needs CAP_NET_RAW. `node apps/logger/bench/replay.ts [directory]`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { parseIp, RawSender } from '@resplice/dataplane';
import { Backends, Wire } from '@resplice/splice';
import { RequestLog } from '../src/request-log.ts';
import { RequestStore } from '../src/request-store.ts';

const BYTES = 20_000_000;
const SEGMENT = 1460;
/** As large as the Replayer's. */
const BURST = 256 << 10;
const ROUNDS = 10;

const directory = mkdtempSync(join(process.argv[2] ?? '/var/tmp', 'replay-'));
const loopback = { name: 'loopback', id: 1, address: '127.0.0.1', port: 9 };
const [backend] = new Backends([loopback]).all;
const sender = new RawSender();
const wire = new Wire(sender, { id: 1 }, new Uint8Array(16), { bytes: SEGMENT });
const address = parseIp('127.0.0.1');
const entry = { client: address, clientPort: 9, vip: address, vipPort: 80, isn: 0, delta: 0 };

async function logged(requestBytes: number): Promise<RequestLog> {
  const limits = { requestBytes, spillBytes: 2 * BYTES };
  const store = new RequestStore({
    ...{ limits, directory },
    onFailure: error => {
      throw error;
    },
  });
  const log = new RequestLog(store, () => {
    throw new Error('the request was not kept');
  });
  const piece = new Uint8Array(SEGMENT * 4).fill(7);
  while (log.size < BYTES) {
    log.append(piece, 0, piece.length);
    if (log.held > requestBytes) await turn();
  }
  while (log.held > requestBytes) await turn();
  return log;
}

for (const [name, requestBytes] of [
  ['memory', 2 * BYTES],
  ['disk', 1 << 20],
] as const) {
  const log = await logged(requestBytes);
  const rates: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let at = 0; at < BYTES; at += BURST) {
      const payload = log.read(at, at + BURST);
      wire.deliver(backend!, entry, { sequence: at, acknowledgement: 0, window: 1, payload, fin: false });
      await turn();
    }
    const { user, system } = process.cpuUsage(before);
    rates.push(BYTES / (user + system));
  }
  rates.sort((a, b) => a - b);
  const megabytes = rates[ROUNDS >> 1]!;
  process.stdout.write(`from ${name}: ${megabytes.toFixed(0)} MB for each second of processor time\n`);
  log.close();
}
process.stdout.write(`${JSON.stringify(sender.errors)} not sent\n`);
wire.close();
rmSync(directory, { recursive: true });
