// The side of a channel that is asked.

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { FrameReader, frame, type Message } from './frame.ts';
import { channelKey, tlsOptions } from './key.ts';
import { type Fields, type Request, request } from './messages.ts';

/** Clients ping four times a second: one that says nothing for so long is gone, milliseconds. */
const SILENCE_MS = 10_000;
const HANDSHAKE_MS = 5000;
/** Of one caller; then nothing more of it is read until some are answered. */
const MAX_IN_FLIGHT = 1024;
/** Answers that a caller does not fetch, bytes; then nothing more of it is read. */
const MAX_UNSENT = 64 * 1024 * 1024;
const MAX_CONNECTIONS = 1024;

export type Reply = Fields & { readonly body?: Uint8Array };

export interface ChannelServerOptions {
  readonly kitKey: Uint8Array;
  readonly address: string;
  /** 0: any */
  readonly port: number;
  /** Who may call, by name. */
  readonly callers: ReadonlySet<string>;
  /** Several answers are parts of one, the last of which is of another type than `part`. */
  readonly handle: (
    asked: Request,
    body: Buffer,
    caller: string,
  ) => Promise<Reply | undefined> | Reply | undefined | AsyncIterable<Reply>;
  /** Called with what a handler throws and with what callers say wrong; they are told too. */
  readonly onError?: (error: Error, caller: string) => void;
}

export class ChannelServer {
  readonly #options: ChannelServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  readonly #names = new WeakMap<object, string>();

  constructor(options: ChannelServerOptions) {
    this.#options = options;
    const key = channelKey(options.kitKey);
    this.#server = createServer({
      ...tlsOptions,
      handshakeTimeout: HANDSHAKE_MS,
      pskCallback: (socket, identity) => {
        if (!options.callers.has(identity)) return null;
        this.#names.set(socket, identity);
        return key;
      },
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('secureConnection', socket => this.#serve(socket, this.#names.get(socket) ?? ''));
    // Strangers: without the key there is no handshake, and nothing to tell.
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  /** @throws Error when the address cannot be had */
  async listen(): Promise<void> {
    this.#server.listen({ host: this.#options.address, port: this.#options.port });
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serve(socket: TLSSocket, caller: string): void {
    const reader = new FrameReader();
    let inFlight = 0;
    this.#sockets.add(socket);
    socket.setNoDelay();
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const regulate = (): void => {
      const full = inFlight >= MAX_IN_FLIGHT || socket.writableLength > MAX_UNSENT;
      if (full !== socket.isPaused()) socket[full ? 'pause' : 'resume']();
    };
    socket.on('drain', regulate);
    socket.on('data', bytes => {
      try {
        for (const message of reader.read(bytes)) {
          inFlight++;
          void this.#answer(socket, message, caller).finally(() => {
            inFlight--;
            regulate();
          });
        }
        regulate();
      } catch (error) {
        this.#options.onError?.(error as Error, caller);
        socket.destroy();
      }
    });
  }

  async #answer(socket: TLSSocket, { header, body }: Message, caller: string): Promise<void> {
    const { id } = header;
    const put = async ({ body: bytes, ...fields }: Reply): Promise<void> => {
      if (id === undefined || !socket.writable) return;
      let fits = true;
      socket.cork();
      for (const piece of frame({ ...fields, id }, bytes)) fits = socket.write(piece);
      socket.uncork();
      // For answers in parts: no faster than they are fetched.
      if (!fits && fields.type === 'part') await drained(socket);
    };
    try {
      if (header.type === 'ping') {
        if (socket.writable) for (const piece of frame({ type: 'pong', id })) socket.write(piece);
        return;
      }
      const answered = this.#options.handle(request.parse(header), body, caller);
      if (answered !== undefined && Symbol.asyncIterator in answered) {
        for await (const part of answered) await put(part);
        return;
      }
      const reply = await answered;
      if (reply !== undefined) await put(reply);
    } catch (error) {
      this.#options.onError?.(error as Error, caller);
      if (id !== undefined && socket.writable) {
        for (const piece of frame({ type: 'error', id, message: (error as Error).message }))
          socket.write(piece);
      }
    }
  }
}

/** Kept when more may be written, or nothing ever will. */
async function drained(socket: TLSSocket): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]).catch(() => {});
  over.abort();
}
