// A relay in this process, over a log whose disk obeys the test.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readProxyHeader } from '@resplice/protocol';
import { silentLog } from '@resplice/service-kit';
import { Claims } from '../../src/aux/claims.ts';
import { auxiliaryConfig, type Limits, type ServiceConfig } from '../../src/aux/config.ts';
import type { LogFile } from '../../src/aux/disk-log.ts';
import { Gate } from '../../src/aux/gate.ts';
import { HttpRelay } from '../../src/aux/http/relay.ts';
import { Outcomes } from '../../src/aux/outcomes.ts';
import { SmtpRelay } from '../../src/aux/smtp/relay.ts';
import { AuxiliaryTally } from '../../src/aux/tally.ts';
import { ADDRESSES, freePort } from './fixture.ts';

export class Disk {
  readonly directory = mkdtempSync(join(tmpdir(), 'relay-'));
  readonly tally = new AuxiliaryTally();
  /** Called before each write. */
  onWrite: (bytes: Buffer) => Promise<void> | void = () => {};

  async outcomes(): Promise<Outcomes> {
    const { directory, tally } = this;
    return await Outcomes.open({
      ...{ directory, keepMs: 3_600_000, maxBytes: 1 << 30, tally },
      create: path => this.#create(path),
      onClaim() {},
      onState() {},
    });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #create(path: string): Promise<LogFile> {
    const file: FileHandle = await open(path, 'wx');
    return {
      writev: (async (buffers: Buffer[], position: number) => {
        await this.onWrite(Buffer.concat(buffers));
        return await file.writev(buffers, position);
      }) as FileHandle['writev'],
      write: file.write.bind(file) as FileHandle['write'],
      datasync: () => file.datasync(),
      close: () => file.close(),
    };
  }
}

export interface RelayOptions {
  readonly protocol: ServiceConfig['protocol'];
  /** The auxiliary server's port. */
  readonly upstream: number;
  readonly outcomes: Outcomes;
  readonly tally: AuxiliaryTally;
  readonly limits?: Partial<Limits>;
}

export async function startRelay({ protocol, upstream, outcomes, tally, ...more }: RelayOptions) {
  const service = {
    ...{ name: protocol, protocol, listen: { address: '127.0.0.1', port: await freePort() } },
    upstream: { host: '127.0.0.1', port: upstream },
    knowsTransactions: false,
  };
  const { limits } = auxiliaryConfig.pick({ limits: true }).parse({ limits: more.limits });
  const log = silentLog();
  const claims = new Claims(tally, () => {}, log);
  const errors: Error[] = [];
  const options = { service, claims, outcomes, limits, tally, log };
  const fail = (error: Error) => void errors.push(error);
  const made =
    protocol === 'smtp' ? new SmtpRelay({ ...options, fail }) : new HttpRelay({ ...options, fail });
  const backends = new Map(Object.entries(ADDRESSES).map(([name, address]) => [address as string, name]));
  const gate = new Gate({ ...options, backends, onArrival: arrival => made.receive(arrival) });
  await gate.listen();
  return {
    port: service.listen.port,
    relay: made,
    gate,
    /** That were nobody's fault but ours. */
    errors,
    async close() {
      made.close();
      await gate.close();
    },
  };
}

/** A server behind a PROXY header. */
export async function startHttp(listener: RequestListener) {
  const http = createServer(listener);
  const server = createTcpServer(async socket => {
    socket.on('error', () => {});
    const header = await readProxyHeader(socket, 5000).catch(() => undefined);
    if (header !== undefined) http.emit('connection', socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      http.closeAllConnections();
    },
  };
}
