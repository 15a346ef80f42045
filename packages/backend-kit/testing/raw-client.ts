// A client that sees every byte.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A response's bytes, cut off the stream by its length or its chunks. */
export class Answer {
  readonly bytes: Buffer;
  readonly head: string;
  readonly body: Buffer;

  constructor(bytes: Buffer, bodyAt: number) {
    this.bytes = bytes;
    this.head = bytes.toString('latin1', 0, bodyAt);
    this.body = bytes.subarray(bodyAt);
  }

  get status(): number {
    return Number(this.head.slice(9, 12));
  }

  get text(): string {
    return this.body.toString();
  }

  /** Values of a field. */
  all(name: string): string[] {
    return [...this.head.matchAll(new RegExp(`^${name}: (.*)\\r$`, 'gim'))].map(([, value]) => value!);
  }
}

export class RawClient {
  readonly socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  /** What `#received` is the beginning of: grows by doubling. */
  #room: Buffer = Buffer.alloc(65_536);
  #changed = Promise.withResolvers<void>();
  #method = 'GET';
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    const change = (): void => {
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    };
    socket.on('data', bytes => {
      this.#append(bytes);
      change();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
      change();
    });
  }

  #append(bytes: Buffer): void {
    const { length } = this.#received;
    if (length + bytes.length > this.#room.length) {
      const room = Buffer.alloc(2 * (length + bytes.length));
      this.#received.copy(room);
      this.#room = room;
    }
    bytes.copy(this.#room, length);
    this.#received = this.#room.subarray(0, length + bytes.length);
  }

  /** @param from where it comes from; absent: from anywhere */
  static async connect(
    address: string,
    port: number,
    from?: { readonly client: string; readonly clientPort: number },
  ): Promise<RawClient> {
    const local = from === undefined ? {} : { localAddress: from.client, localPort: from.clientPort };
    const socket = connect({ host: address, port, noDelay: true, ...local });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  get localPort(): number {
    return this.socket.localPort!;
  }

  /** Bytes that no answer has been made of yet. */
  get received(): Buffer {
    return this.#received;
  }

  send(method: string, target: string, fields: Record<string, string> = {}, body = ''): void {
    this.#method = method;
    const all = {
      Host: 'example',
      ...(body === '' && method !== 'POST' ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }),
      ...(body === '' ? {} : { 'Content-Type': 'text/plain' }),
      ...fields,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  }

  /** The next answer. @throws Error when the connection ends before it is whole */
  async answer(): Promise<Answer> {
    for (;;) {
      const length = lengthOf(this.#received, this.#method, this.isClosed);
      if (length !== undefined) {
        const bytes = this.#received.subarray(0, length.total);
        this.#room = Buffer.from(this.#received.subarray(length.total));
        this.#received = this.#room;
        return new Answer(bytes, length.head);
      }
      if (this.isClosed) throw new Error(`closed after ${this.#received.length} bytes of an answer`);
      await this.#changed.promise;
    }
  }

  async ask(method: string, target: string, fields?: Record<string, string>, body?: string): Promise<Answer> {
    this.send(method, target, fields, body);
    return await this.answer();
  }

  async closed(): Promise<void> {
    while (!this.isClosed) await this.#changed.promise;
  }

  /** Ends it with a reset, so that its ports can be used again at once. */
  close(): void {
    this.socket.resetAndDestroy();
  }
}

function lengthOf(
  bytes: Buffer,
  method: string,
  isClosed: boolean,
): { head: number; total: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = end + 4;
  const text = bytes.toString('latin1', 0, head);
  if (method === 'HEAD' || / (1\d\d|204|304) /.test(text.slice(0, 14))) return { head, total: head };
  const length = /^content-length: (\d+)\r$/im.exec(text)?.[1];
  if (length !== undefined) {
    const total = head + Number(length);
    return bytes.length < total ? undefined : { head, total };
  }
  if (!/^transfer-encoding: chunked\r$/im.test(text))
    return isClosed ? { head, total: bytes.length } : undefined;
  for (let at = head; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    at = line + 2 + size + 2;
    if (size > 0) continue;
    // Trailers, up to an empty line.
    const last = bytes.indexOf('\r\n\r\n', line);
    return last < 0 ? undefined : { head, total: last + 4 };
  }
}
