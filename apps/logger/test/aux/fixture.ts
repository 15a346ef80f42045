// An auxiliary logger as a process, an SMTP server behind it, a way between the two that can be held up, and back ends that stop
// in the middle of what they say.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChannelClient, kitKeyOf } from '@resplice/kit-channel';
import { encodeProxyHeader } from '@resplice/protocol';
import { ask, until } from '@resplice/service-kit/testing';
import type { Limits, ServiceConfig } from '../../src/aux/config.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

/** Back ends by their names. */
export const ADDRESSES = { 'backend-1': '127.0.0.2', 'backend-2': '127.0.0.3' } as const;
export type BackendName = keyof typeof ADDRESSES;

export interface Status {
  readonly services: readonly { name: string; connections: number; dialogues: number }[];
  readonly log: { recorded: number; syncs: number };
  readonly metrics: Record<string, number>;
}

/** Free now, and none that the kernel gives to outgoing connections: a daemon that starts again finds it free again. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const isFree = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

export interface LoggerOptions {
  readonly protocol: ServiceConfig['protocol'];
  /** Port of the auxiliary server on 127.0.0.1. */
  readonly upstream: number;
  readonly limits?: Partial<Limits>;
}

/** The daemon; whatever ends it, it can be started again with the same log. */
export class LoggerProcess {
  readonly directory = mkdtempSync(join(tmpdir(), 'auxiliary-'));
  readonly #socket = join(this.directory, 'admin.sock');
  readonly port: number;
  readonly #commitPort: number;
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(
    [port, commitPort]: [number, number],
    { protocol, upstream, limits = {} }: LoggerOptions,
  ) {
    this.port = port;
    this.#commitPort = commitPort;
    writeFileSync(join(this.directory, 'key'), `${'5a'.repeat(32)}\n`, { mode: 0o600 });
    const config = {
      name: 'auxlogger-1',
      id: 501,
      role: 'auxiliary',
      keyFile: join(this.directory, 'key'),
      admin: { socket: this.#socket },
      backends: Object.entries(ADDRESSES).map(([name, address]) => ({ name, address })),
      services: [
        {
          name: 'service',
          protocol,
          listen: { address: '127.0.0.1', port },
          upstream: { host: '127.0.0.1', port: upstream },
        },
      ],
      commits: { listen: { address: '127.0.0.1', port: commitPort }, from: ['logger-1'] },
      logDirectory: join(this.directory, 'log'),
      limits,
    };
    writeFileSync(join(this.directory, 'config.json'), JSON.stringify(config));
  }

  static async start(options: LoggerOptions): Promise<LoggerProcess> {
    const logger = new LoggerProcess([await freePort(), await freePort()], options);
    await logger.start();
    return logger;
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, [MAIN, '--config', join(this.directory, 'config.json')]);
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', bytes => {
        this.#output += String(bytes);
      });
    }
    await until(
      'the auxiliary logger is ready',
      async () => {
        if (child.exitCode !== null) throw new Error(`it ended:\n${this.#output}`);
        return await ask(this.#socket, '/healthz').then(
          ({ code }) => code === 200,
          () => false,
        );
      },
      20_000,
    );
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  /** Its standard output so far. */
  get output(): string {
    return this.#output;
  }

  async status(): Promise<Status> {
    return JSON.parse((await ask(this.#socket, '/status')).body);
  }

  /** One of its counters. */
  async count(event: string): Promise<number> {
    return (await this.status()).metrics[`events_total.${event}`] ?? Number.NaN;
  }

  /** Says, as the front-end logger does, that clients have the responses of these transactions. */
  async commit(transactions: readonly string[]): Promise<void> {
    const client = new ChannelClient({
      kitKey: kitKeyOf(Buffer.alloc(32, 0x5a)),
      self: 'logger-1',
      peer: { name: 'auxlogger-1', address: '127.0.0.1', port: this.#commitPort },
    });
    try {
      await client.tried;
      if (!client.tell({ type: 'commit', transactions: [...transactions] }))
        throw new Error('nobody hears it');
      // It answers nothing of the kind, but behind what was told before.
      await assert.rejects(client.request({ type: 'status' }), /nobody answers status/);
    } finally {
      client.close();
    }
  }

  /** All that it has written to disk. */
  log(): string {
    const directory = join(this.directory, 'log');
    return readdirSync(directory)
      .map(name => readFileSync(join(directory, name), 'latin1'))
      .join('');
  }

  /** Changes a byte of each record that holds this, as a failing disk may. */
  spoilLog(text: string): void {
    const directory = join(this.directory, 'log');
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      const content = readFileSync(path, 'latin1');
      const file = openSync(path, 'r+');
      for (let at = content.indexOf(text); at >= 0; at = content.indexOf(text, at + 1)) {
        writeSync(file, '?', at);
      }
      closeSync(file);
    }
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The way to a server: answers can be kept from coming back. */
export class Way {
  readonly #server: Server;
  readonly #pairs = new Set<[Socket, Socket]>();
  #isHeld = false;
  #instead: string | undefined;
  #port = 0;
  /** Connections so far. */
  connections = 0;
  /** All that went to the server, a character for each byte. */
  sent = '';

  private constructor(target: number) {
    this.#server = createServer({ noDelay: true }, client => this.#lead(client, target));
  }

  static async to(target: number): Promise<Way> {
    const way = new Way(target);
    way.#server.listen(0, '127.0.0.1');
    await once(way.#server, 'listening');
    return way;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on the server hears, and is not heard. */
  hold(): void {
    this.#isHeld = true;
    for (const [, server] of this.#pairs) server.pause();
  }

  release(): void {
    this.#isHeld = false;
    for (const [, server] of this.#pairs) server.resume();
  }

  /** Once, this is heard in the place of what the server says next. */
  replaceNext(reply: string): void {
    this.#instead = reply;
  }

  /** Breaks all connections off. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  /** Nobody gets through. */
  async away(): Promise<void> {
    this.#port = this.port;
    await this.close();
  }

  async back(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #lead(client: Socket, target: number): void {
    this.connections++;
    const server = connect({ host: '127.0.0.1', port: target, noDelay: true });
    const pair: [Socket, Socket] = [client, server];
    this.#pairs.add(pair);
    client.on('data', bytes => {
      this.sent += bytes.toString('latin1');
      server.write(bytes);
    });
    server.on('data', bytes => {
      client.write(this.#instead ?? bytes);
      this.#instead = undefined;
    });
    if (this.#isHeld) server.pause();
    for (const socket of pair) {
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#pairs.delete(pair);
        for (const each of pair) each.destroy();
      });
    }
  }
}

export interface CallerOptions {
  readonly transaction: string;
  readonly backend?: BackendName;
  readonly attempt?: number;
  readonly epoch?: number;
  readonly step?: number;
  /** On no client's behalf. */
  readonly isOwn?: boolean;
}

export function headerOf({ transaction, backend = 'backend-1', ...more }: CallerOptions): Buffer {
  const { attempt = 0, epoch = 1000, step = 0, isOwn = false } = more;
  const client = { address: '192.0.2.9', port: 50_000 };
  return encodeProxyHeader({
    route: isOwn ? undefined : { client, server: { address: '10.62.0.10', port: 80 } },
    transaction,
    caller: { backend: Number(backend.slice(-1)), epoch, attempt, step },
  });
}

/** A back end's connection, its header sent. */
export async function dial(port: number, options: CallerOptions): Promise<Socket> {
  const localAddress = ADDRESSES[options.backend ?? 'backend-1'];
  const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true });
  await once(socket, 'connect');
  socket.write(headerOf(options));
  return socket;
}

/** A back end that says what it is told to, and no more. */
export class Talker {
  readonly socket: Socket;
  /** All that it was answered. */
  heard = '';
  isOver = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', bytes => {
      this.heard += bytes.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isOver = true;
    });
  }

  static async dial(port: number, options: CallerOptions): Promise<Talker> {
    return new Talker(await dial(port, options));
  }

  say(text: string): void {
    if (!this.socket.destroyed) this.socket.write(text, 'latin1');
  }

  /** Waits for a reply's last line with this code behind what has been waited for before. */
  async hear(code: number): Promise<void> {
    const reply = new RegExp(`^${code} .*\r\n`, 'm');
    await until(`${code}`, () => {
      if (this.isOver && !reply.test(this.heard)) throw new Error(`instead of ${code}: ${this.heard}`);
      return reply.test(this.heard);
    });
    this.heard = this.heard.replace(new RegExp(`^[\\s\\S]*?^${code} .*\r\n`, 'm'), '');
  }

  async over(): Promise<void> {
    await until('the connection to be over', () => this.isOver);
  }
}
