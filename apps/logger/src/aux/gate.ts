// Where back ends' connections come in: who it is, for which transaction, and whether it may.

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { type Caller, type ProxyHeader, readProxyHeader } from '@resplice/protocol';
import type { Log } from '@resplice/service-kit';
import type { Limits, ServiceConfig } from './config.ts';
import type { AuxiliaryTally } from './tally.ts';

/** A connection that says for which transaction it is. Nothing has been read of what follows its header. */
export interface Arrival {
  readonly socket: Socket;
  /** The back end's name. */
  readonly backend: string;
  readonly transaction: string;
  readonly caller: Caller;
  /** Undefined: on nobody's behalf, such as a message that is handed over again later. */
  readonly route: ProxyHeader['route'];
}

export interface GateOptions {
  readonly service: ServiceConfig;
  /** Names by address. */
  readonly backends: ReadonlyMap<string, string>;
  readonly limits: Limits;
  readonly tally: AuxiliaryTally;
  readonly log: Log;
  onArrival(arrival: Arrival): void;
}

/** Refusals are logged at most once in so many ms: anybody can cause them. */
const LOG_MS = 1000;

export class Gate {
  readonly #options: GateOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true }, socket => void this.#receive(socket));
    this.#server.maxConnections = options.limits.connections;
    this.#server.on('drop', () => {
      options.tally.turnedAway++;
    });
  }

  /** Connections that are open. */
  get size(): number {
    return this.#sockets.size;
  }

  /** @throws when the address is not ours or the port is taken */
  async listen(): Promise<void> {
    const { address, port } = this.#options.service.listen;
    this.#server.listen(port, address);
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #receive(socket: Socket): Promise<void> {
    const { backends, limits, tally, onArrival } = this.#options;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // A connection that breaks off is no event by itself; who reads it sees that it has ended.
    socket.on('error', () => {});
    const from = socket.remoteAddress ?? '';
    const backend = backends.get(from);
    if (backend === undefined) return this.#refuse(socket, from, 'this is no back end’s address');
    let header: ProxyHeader;
    try {
      header = await readProxyHeader(socket, limits.headerMs);
    } catch (error) {
      return this.#refuse(socket, backend, (error as Error).message);
    }
    const { route, transaction, caller } = header;
    if (transaction === undefined || caller === undefined) {
      const missing = transaction === undefined ? 'transaction ID' : 'caller';
      return this.#refuse(socket, backend, `PROXY header: without a ${missing}`);
    }
    tally.opened++;
    onArrival({ socket, backend, transaction, caller, route });
  }

  #refuse(socket: Socket, from: string, why: string): void {
    const { service, tally, log } = this.#options;
    tally.refusedHeaders++;
    const now = performance.now();
    if (now - this.#loggedAt > LOG_MS) {
      this.#loggedAt = now;
      log.warn({ service: service.name, from, why }, 'connection refused');
    }
    socket.destroy();
  }
}
