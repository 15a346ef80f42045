// The way to an SMTP server, on which things go wrong at a named moment of the dialogue.

import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net';

export const phases = ['greeting', 'EHLO', 'AUTH', 'MAIL', 'RCPT', 'DATA', 'dot'] as const;
export type Phase = (typeof phases)[number];

/**
 * refuse: the answer is this code instead, and the server hears nothing. silence: no answer, and the server hears nothing.
 * cut: the connection ends before the server hears it. lose: the server hears it and answers, and the connection ends before the client
 * hears that. replace: the server hears it, and the client hears this code in the place of its answer.
 */
export type Fault =
  | {
      readonly phase: Phase;
      readonly kind: 'refuse' | 'replace';
      readonly code: number;
      readonly times?: number;
    }
  | { readonly phase: Phase; readonly kind: 'silence' | 'cut' | 'lose'; readonly times?: number };

function phaseOf(line: string): Phase | undefined {
  // Refused EHLO, clients try its predecessor.
  const verb = line.slice(0, 4).toUpperCase().replace('HELO', 'EHLO');
  return phases.find(each => each.slice(0, 4) === verb);
}

export class FaultyPath {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: number;
  #fault: Fault | undefined;
  #left = 0;
  /** How often the fault has fired. */
  fired = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer(client => this.#lead(client));
  }

  /** @param target port on 127.0.0.1 */
  static async to(target: number): Promise<FaultyPath> {
    const path = new FaultyPath(target);
    path.#server.listen(0, '127.0.0.1');
    await once(path.#server, 'listening');
    return path;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on, until healed or `times` have passed. */
  set(fault: Fault): void {
    this.#fault = fault;
    this.#left = fault.times ?? Number.POSITIVE_INFINITY;
    this.fired = 0;
  }

  heal(): void {
    this.#fault = undefined;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #strikes(phase: Phase | undefined): Fault | undefined {
    const fault = this.#fault;
    if (fault === undefined || fault.phase !== phase || this.#left === 0) return undefined;
    this.#left--;
    this.fired++;
    return fault;
  }

  #lead(client: Socket): void {
    const server = dial(this.#target, '127.0.0.1');
    const both = [client, server];
    for (const socket of both) {
      this.#sockets.add(socket);
      const end = (): void => {
        this.#sockets.delete(socket);
        for (const each of both) each.destroy();
      };
      socket.on('error', end);
      socket.on('close', end);
    }
    const strike = (fault: Fault, bytes?: Buffer): void => {
      if (fault.kind === 'refuse') client.write(`${fault.code} refused on the way\r\n`);
      else if (fault.kind === 'cut') client.destroy();
      else if (fault.kind === 'lose' || fault.kind === 'replace') {
        const end = 'code' in fault ? `${fault.code} said on the way\r\n` : '';
        server.removeListener('data', pass);
        server.once('data', () => client.end(end, () => client.destroy()));
        if (bytes !== undefined) server.write(bytes);
      }
    };
    const pass = (bytes: Buffer): void => {
      // One command at a time, or answers of ours would overtake the server's.
      client.write(bytes.toString('latin1').replace('250-PIPELINING\r\n', ''), 'latin1');
    };
    const greeting = this.#strikes('greeting');
    if (greeting !== undefined) strike(greeting);
    else server.on('data', pass);
    let content = false;
    let held = Buffer.alloc(0);
    client.on('data', bytes => {
      held = Buffer.concat([held, bytes]);
      // The end of the content may be all that comes.
      const end = content ? '\r\n.\r\n' : '\r\n';
      const at = held.indexOf(end);
      if (at < 0) return;
      const unit = held.subarray(0, at + end.length);
      held = held.subarray(at + end.length);
      const phase = content ? 'dot' : phaseOf(unit.toString('latin1'));
      const fault = this.#strikes(phase);
      if (fault === undefined) server.write(unit);
      else strike(fault, unit);
      content = phase === 'DATA' && fault === undefined;
    });
  }
}
