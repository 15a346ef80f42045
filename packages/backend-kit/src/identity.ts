// Who is at the other end of a socket: the agent knows the client's connection behind it.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { type KitConnection, kitConnection } from '@resplice/kit-channel';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';

const DEADLINE_MS = 1000;
/** An agent that did not answer in time is not asked for so long. */
const REST_MS = 2000;
/** Longest line of the agent's, characters. */
const MAX_LINE = 4096;

const identity = kitConnection.omit({ client: true, clientPort: true }).extend({
  /** Requests that were given to back ends before this socket's first; `UNKNOWN_START`: nobody knows. */
  start: z.int().min(0).max(65_535),
  /** Another back end had the connection before. */
  moved: z.boolean(),
  /** When the agent learnt of it, CLOCK_MONOTONIC. */
  sinceNs: z.string().regex(/^\d+$/),
});

export interface Identity {
  readonly connection: KitConnection;
  readonly start: number;
  readonly moved: boolean;
  readonly since: bigint;
}

type Settle = (line: string | undefined) => void;

/** Asks the agent; one JSON line for each question, answered in order. */
export class AgentClient {
  readonly #port: number;
  #socket: Socket | undefined;
  #asked: Settle[] = [];
  /** After a silence nobody is asked, so that not every request waits for it, `performance.now()`. */
  #silentUntil = 0;

  constructor(port: number) {
    this.#port = port;
  }

  /** Undefined: the agent does not know such a connection, or is away. Never throws. */
  async ask(client: string, clientPort: number, port: number): Promise<Identity | undefined> {
    if (performance.now() < this.#silentUntil) return undefined;
    const line = await this.#exchange(JSON.stringify({ client, clientPort, port }));
    if (line === undefined) return undefined;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return undefined;
    }
    const parsed = identity.safeParse(value);
    if (!parsed.success) return undefined;
    const { start, moved, sinceNs, ...rest } = parsed.data;
    return { connection: { client, clientPort, ...rest }, start, moved, since: BigInt(sinceNs) };
  }

  close(): void {
    this.#socket?.destroy();
  }

  #exchange(text: string): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#socket ??= this.#open();
    const socket = this.#socket;
    // An agent that is silent is as good as none; later answers would be taken for others'.
    const timer = setTimeout(() => {
      this.#silentUntil = performance.now() + REST_MS;
      socket.destroy();
    }, DEADLINE_MS);
    this.#asked.push(line => {
      clearTimeout(timer);
      resolve(line);
    });
    socket.write(`${text}\n`);
    return promise;
  }

  #open(): Socket {
    const socket = createConnection({ host: '127.0.0.1', port: this.#port, noDelay: true });
    const asked: Settle[] = [];
    this.#asked = asked;
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (more: string) => {
      text += more;
      const lines = text.split('\n');
      text = lines.pop()!;
      for (const line of lines) asked.shift()?.(line);
      if (text.length > MAX_LINE) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
      for (const settle of asked.splice(0)) settle(undefined);
    });
    return socket;
  }
}

interface Arrival {
  /** When the socket was accepted, CLOCK_MONOTONIC nanoseconds. */
  readonly at: bigint;
  requests: number;
  /** Asked for once. */
  identity?: Promise<Identity | undefined> | Identity;
}

/** A request's place on its socket. */
interface Place {
  readonly arrival: Arrival;
  /** Requests of this socket before it. */
  readonly index: number;
}

/**
 * A request's connection and its index on the socket. `stale`: the socket's ports belong to another connection by now. Undefined:
 * nobody knows it.
 */
export type Behind = { readonly identity: Identity; readonly index: number } | 'stale' | undefined;

/** Counts requests on their sockets, and asks who is behind those. */
export class Arrivals {
  readonly #agent: AgentClient;
  readonly #sockets = new WeakMap<Socket, Arrival>();
  readonly #requests = new WeakMap<object, Place>();

  constructor(agent: AgentClient) {
    this.#agent = agent;
  }

  /** @param last from this number on a connection is ended */
  attach(server: Server, last: number): void {
    server.on('connection', socket => {
      this.#sockets.set(socket, { at: process.hrtime.bigint(), requests: 0 });
    });
    const count = (request: IncomingMessage, response: ServerResponse): void => {
      const arrival = this.#sockets.get(request.socket);
      if (arrival === undefined) return;
      const index = arrival.requests++;
      this.#requests.set(request, { arrival, index });
      const { identity: known } = arrival;
      const start = known === undefined || known instanceof Promise ? 0 : known.start;
      if (start + index >= last) response.shouldKeepAlive = false;
    };
    // Before the application: it may answer in the same turn.
    server.prependListener('request', count);
    // What Node answers by itself, and goes on: the logger counts it, so it counts here.
    server.on('checkExpectation', (request, response) => {
      count(request, response);
      response.writeHead(417).end();
    });
  }

  /** Who is behind a request: at once, where its socket's was asked for before. */
  of({ raw }: FastifyRequest): Behind | Promise<Behind> {
    const place = this.#requests.get(raw);
    if (place === undefined) return undefined;
    const { arrival, index } = place;
    const { remoteAddress = '', remotePort = 0, localPort = 0 } = raw.socket;
    arrival.identity ??= this.#ask(arrival, remoteAddress.replace(/^::ffff:/, ''), remotePort, localPort);
    const behind = (identity: Identity | undefined): Behind => {
      if (identity === undefined) return undefined;
      return identity.since > arrival.at ? 'stale' : { identity, index };
    };
    return arrival.identity instanceof Promise ? arrival.identity.then(behind) : behind(arrival.identity);
  }

  async #ask(
    arrival: Arrival,
    client: string,
    clientPort: number,
    port: number,
  ): Promise<Identity | undefined> {
    const identity = await this.#agent.ask(client, clientPort, port);
    if (identity === undefined) delete arrival.identity;
    else arrival.identity = identity;
    return identity;
  }
}
