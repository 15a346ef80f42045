// The side of a channel that asks. Keeps itself connected.

import { connect, type TLSSocket } from 'node:tls';
import { FrameReader, frame, type Message } from './frame.ts';
import { channelKey, tlsOptions } from './key.ts';
import { type Answer, answer, type Request } from './messages.ts';

const PING_MS = 250;
/** A peer that says nothing for so long is given up, milliseconds. */
const SILENCE_MS = 1000;
/**
 * A kernel that has not accepted by then, milliseconds, was away when it was asked, and is asked anew: the SYN would be repeated
 * after a second, and a back end that is back would do without its records for so long.
 */
const CONNECT_MS = 200;
const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 250;
const DEADLINE_MS = 1000;
/** What may wait to be sent, bytes. */
const MAX_UNSENT = 256 * 1024 * 1024;

/**
 * Why there is no answer. `away`: not connected, or no longer. `late`: not within the deadline; it may have been heard.
 * `full`: too much waits already. `wrong`: the peer says that it cannot be answered.
 */
export class ChannelError extends Error {
  readonly code: 'away' | 'late' | 'full' | 'wrong';

  constructor(code: ChannelError['code'], message: string) {
    super(message);
    this.name = 'ChannelError';
    this.code = code;
  }
}

export interface ChannelClientOptions {
  readonly kitKey: Uint8Array;
  /** Our name, which the server must know. */
  readonly self: string;
  readonly peer: { readonly name: string; readonly address: string; readonly port: number };
  readonly onUp?: () => void;
  readonly onDown?: () => void;
}

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: ChannelError) => void;
  readonly onPart: ((part: Answer) => void) | undefined;
  /** Starts anew with each part. */
  readonly timer: NodeJS.Timeout;
}

export class ChannelClient {
  readonly #options: ChannelClientOptions;
  readonly #key: Buffer;
  readonly #waiting = new Map<number, Waiting>();
  #socket: TLSSocket | undefined;
  #reader = new FrameReader();
  #connected = false;
  #closed = false;
  #nextId = 1;
  #pauseMs = FIRST_PAUSE_MS;
  #timer: NodeJS.Timeout | undefined;
  #heardMs = 0;
  readonly #tried = Promise.withResolvers<void>();

  /** Connects at once, and again whenever the connection ends, until `close`. */
  constructor(options: ChannelClientOptions) {
    this.#options = options;
    this.#key = channelKey(options.kitKey);
    this.#dial();
  }

  get name(): string {
    return this.peer.name;
  }

  /** Whom it calls, and where. */
  get peer(): ChannelClientOptions['peer'] {
    return this.#options.peer;
  }

  get isUp(): boolean {
    return this.#connected;
  }

  /** When the peer was last heard, milliseconds of `performance.now()`. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** Kept when the first attempt to connect has succeeded or failed. */
  get tried(): Promise<void> {
    return this.#tried.promise;
  }

  /**
   * Asks, and waits for the answer.
   * @param deadlineMs between now and the answer, or between two parts of it; one that has begun to come is waited for as long as it
   * goes on coming
   * @param onPart gets the answer's parts
   * @throws ChannelError
   */
  request(
    asked: Request,
    {
      body,
      deadlineMs = DEADLINE_MS,
      onPart,
    }: { body?: Uint8Array; deadlineMs?: number; onPart?: (part: Answer) => void } = {},
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const id = this.#nextId++;
    const problem = this.#put({ ...asked, id }, body);
    if (problem !== undefined) {
      reject(problem);
      return promise;
    }
    let knownMs = performance.now();
    const late = (): void => {
      if (!this.#waiting.has(id)) return;
      // A long one takes longer than that. Within a frame nothing else comes, so what was heard is part of an answer.
      if (this.#reader.isAmid && this.#heardMs > knownMs) {
        knownMs = this.#heardMs;
        timer.refresh();
        return;
      }
      this.#waiting.delete(id);
      reject(new ChannelError('late', `${this.name} has not answered ${asked.type} within ${deadlineMs} ms`));
    };
    // Behind what has arrived already: if it was we who were held up, the answer is there.
    const timer = setTimeout(() => setImmediate(late), deadlineMs);
    this.#waiting.set(id, { resolve, reject, onPart, timer });
    return promise;
  }

  /** Says something that is not answered. False: it was not sent. */
  tell(said: Request, body?: Uint8Array): boolean {
    return this.#put(said, body) === undefined;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    this.#tried.resolve();
  }

  #put(header: object, body?: Uint8Array): ChannelError | undefined {
    const socket = this.#socket;
    if (!this.#connected || socket === undefined) return new ChannelError('away', `${this.name} is away`);
    if (socket.writableLength > MAX_UNSENT)
      return new ChannelError('full', `too much waits for ${this.name}`);
    let pieces: Buffer[];
    try {
      pieces = frame(header, body);
    } catch (error) {
      return new ChannelError('wrong', (error as Error).message);
    }
    socket.cork();
    for (const piece of pieces) socket.write(piece);
    socket.uncork();
    return undefined;
  }

  #dial(): void {
    const { self, peer } = this.#options;
    const socket = connect({
      ...tlsOptions,
      host: peer.address,
      port: peer.port,
      pskCallback: () => ({ psk: this.#key, identity: self }),
      // There is no certificate: who has the key is who we want.
      checkServerIdentity: () => undefined,
    });
    this.#socket = socket;
    const reader = new FrameReader();
    this.#reader = reader;
    this.#heardMs = performance.now();
    const listen = (): void => {
      const patience = socket.connecting ? CONNECT_MS : SILENCE_MS + PING_MS;
      if (performance.now() - this.#heardMs > patience) socket.destroy();
      else if (this.#connected && !socket.destroyed) this.#put({ type: 'ping' });
    };
    const ping = setInterval(() => setImmediate(listen), PING_MS);
    ping.unref();
    socket.setNoDelay();
    socket.on('connect', () => {
      this.#heardMs = performance.now();
    });
    socket.on('secureConnect', () => {
      this.#connected = true;
      this.#heardMs = performance.now();
      this.#pauseMs = FIRST_PAUSE_MS;
      this.#tried.resolve();
      this.#options.onUp?.();
    });
    socket.on('data', bytes => {
      this.#heardMs = performance.now();
      try {
        for (const message of reader.read(bytes)) this.#take(message);
      } catch {
        // Not a peer of ours, or of another version: there is nothing to be had from it.
        socket.destroy();
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearInterval(ping);
      this.#lost();
    });
  }

  #lost(): void {
    const wasConnected = this.#connected;
    this.#connected = false;
    this.#tried.resolve();
    for (const [id, { reject, timer }] of this.#waiting) {
      this.#waiting.delete(id);
      clearTimeout(timer);
      reject(new ChannelError('away', `${this.name} has gone away`));
    }
    if (wasConnected) this.#options.onDown?.();
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.#dial(), this.#pauseMs);
    this.#timer.unref();
    this.#pauseMs = Math.min(this.#pauseMs * 2, LAST_PAUSE_MS);
  }

  #take({ header, body }: Message): void {
    const { id, ...fields } = header;
    const waiting = this.#waiting.get(id as number);
    if (waiting === undefined) return;
    const { resolve, reject, onPart, timer } = waiting;
    const parsed = answer.safeParse(fields);
    if (parsed.success && parsed.data.type === 'part') {
      timer.refresh();
      onPart?.({ ...parsed.data, body });
      return;
    }
    this.#waiting.delete(id as number);
    clearTimeout(timer);
    if (parsed.success) resolve({ ...parsed.data, body });
    else reject(new ChannelError('wrong', `${this.name} answers: ${String(fields.message ?? fields.type)}`));
  }
}
