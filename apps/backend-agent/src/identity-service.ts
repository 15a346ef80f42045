// Tells the application beside it which client's connection a socket of its is (P4.6): the kernel shows it the client's address, but
// neither the VIP nor the numbers that make a connection unlike all others from that port.

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { formatIp, parseIp, startOf } from '@resplice/dataplane';
import { ipAddress, type Log, port } from '@resplice/service-kit';
import { z } from 'zod';
import type { Binding, BindingKey } from './layout.generated.ts';

/** Bytes of a question; who sends more without a line's end is cut off. */
const MOST_BYTES = 512;

const question = z.strictObject({ client: ipAddress, clientPort: port, port });

/** What an application learns of a connection that it has accepted. */
export interface Identity {
  vip: string;
  vipPort: number;
  /** The client's initial sequence number, and the cookie that it was answered with. */
  originalIsn: number;
  p0: number;
  /** Requests of the connection that back ends were given before its first one here, 0…65,533; 65,535: nobody knows. */
  start: number;
  /** Whether another back end had it before. */
  moved: boolean;
  /** CLOCK_MONOTONIC when it was bound, ns, as `process.hrtime.bigint()` counts: later than the socket means that the port was used again. */
  sinceNs: string;
}

/**
 * Answers questions on the loopback device, a JSON object a line, in the order in which they come. No authentication: whoever may open
 * sockets on this host could as well look at those of the application.
 */
export class IdentityService {
  readonly #find: (key: BindingKey) => Binding | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(find: (key: BindingKey) => Binding | undefined, log: Log) {
    this.#find = find;
    this.#server = createServer(socket => this.#serve(socket));
    this.#server.on('error', error => log.error({ error: error.message }, 'identity service'));
  }

  /** @throws Error when the port is taken */
  async listen(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setEncoding('utf8');
    socket.setNoDelay(true);
    let rest = '';
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      if (lines.length > 0)
        socket.write(lines.map(line => `${JSON.stringify(this.answer(line))}\n`).join(''));
      if (rest.length > MOST_BYTES) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }

  /** @param line a question as it is on the wire */
  answer(line: string): Identity | { error: string } {
    const asked = question.safeParse(parsed(line));
    if (!asked.success)
      return { error: 'malformed: expected {"client":"10.61.0.2","clientPort":40000,"port":8080}' };
    const { client, clientPort, port } = asked.data;
    const binding = this.#find({ client: parseIp(client), clientPort, localPort: port });
    // What a former version has bound says too little.
    if (!binding || binding.numbered === 0) return { error: 'unknown' };
    const { vip, vipPort, originalIsn, originalP0, order, createdNs } = binding;
    return {
      ...{ vip: formatIp(vip), vipPort, originalIsn, p0: originalP0 },
      ...{ start: startOf(order), moved: order !== 0, sinceNs: String(createdNs) },
    };
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
