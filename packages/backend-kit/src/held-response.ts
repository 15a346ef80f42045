// A response that does not leave before it may (P9.2): what the application writes is collected, and goes out in a form that
// depends on nothing but what was collected.

import { type ServerResponse, STATUS_CODES } from 'node:http';
import { pairsOf, rawNames, type WholeResponse, writeHead, writeWhole } from './whole-response.ts';

/** What was collected: all of it, or as much as was to be waited for. */
export interface Collected {
  readonly whole: boolean;
  readonly response: WholeResponse;
  readonly body: Buffer;
  /** No body goes with it, whatever its fields say. */
  readonly isBodiless: boolean;
  /** Whether the connection goes on after it. */
  readonly keepAlive: boolean;
}

export interface HeldResponseOptions {
  /** Bytes that are collected; a longer body is not waited for. */
  readonly limit: number;
  /** For the `Date` field. */
  readonly date: Date;
  /** What a record says of it; else as the application and the connection have it. */
  readonly keepAlive?: boolean | undefined;
  /** Called once. What was collected goes out when it is kept with true; with false the connection is cut. */
  readonly onCollected: (collected: Collected) => Promise<boolean>;
  /** The connection ended, or what the application said of itself was not true, before there was a whole response. Called once. */
  readonly onAbandoned: () => void;
}

/** Longer bodies without a length leave in chunks of this size, whatever pieces the application wrote. */
const CHUNK_BYTES = 65_536;

const held = new WeakMap<ServerResponse, HeldResponse>();

/** The response's body comes from a source that tells it nothing of itself. */
export function comesInPieces(response: ServerResponse): void {
  held.get(response)?.comesInPieces();
}

type Chunk = string | Uint8Array;
type Done = (error?: Error | null) => void;

export class HeldResponse {
  readonly #response: ServerResponse;
  readonly #options: HeldResponseOptions;
  #phase: 'holding' | 'deciding' | 'open' | 'abandoned' = 'holding';
  #chunks: Buffer[] = [];
  #size = 0;
  #ended = false;
  /** What is written comes from a stream, which ends with the connection. */
  #isPiped = false;
  #trailers: string[] = [];
  readonly #done: Done[] = [];

  constructor(response: ServerResponse, options: HeldResponseOptions) {
    this.#response = response;
    this.#options = options;
    this.#hold();
    held.set(response, this);
    response.on('pipe', () => this.comesInPieces());
    response.on('unpipe', () => {
      this.#isPiped = false;
    });
    // An application that had its request and has said nothing yet may well finish: then there is a response, for a later run.
    response.once('close', () => {
      if (this.#size > 0 || this.#isPiped || !response.req.complete) this.#abandon();
    });
  }

  /** What is written next ends with the connection, whole or not. */
  comesInPieces(): void {
    this.#isPiped = true;
    if (this.#response.destroyed) this.#abandon();
  }

  #abandon(): void {
    if (this.#phase !== 'holding') return;
    this.#phase = 'abandoned';
    this.#chunks = [];
    for (const done of this.#done) done(new Error('the connection has ended'));
    this.#options.onAbandoned();
  }

  #hold(): void {
    // Own properties hide the methods of the prototype until the response is open.
    Object.assign(this.#response, {
      writeHead: this.#writeHead.bind(this),
      write: this.#write.bind(this),
      end: this.#end.bind(this),
      addTrailers: this.#addTrailers.bind(this),
      flushHeaders: () => {},
      writeEarlyHints: (_hints: unknown, callback?: () => void) => callback?.(),
    });
  }

  #release(): void {
    const held = this.#response as unknown as Record<string, unknown>;
    for (const name of [
      'writeHead',
      'write',
      'end',
      'addTrailers',
      'flushHeaders',
      'writeEarlyHints',
      'writableEnded',
    ]) {
      delete held[name];
    }
  }

  #writeHead(status: number, ...rest: readonly unknown[]): ServerResponse {
    const response = this.#response;
    if (this.#ended) return response;
    if (this.#size > 0) {
      // An error page in the place of what a stream had begun.
      this.#chunks = [];
      this.#size = 0;
      for (const name of response.getHeaderNames()) response.removeHeader(name);
    }
    response.statusCode = status;
    if (typeof rest[0] === 'string') response.statusMessage = rest[0];
    const fields = (typeof rest[0] === 'string' ? rest[1] : rest[0]) as object | unknown[] | undefined;
    for (const [name, value] of pairsOf(fields)) response.setHeader(name, value);
    return response;
  }

  #write(chunk: Chunk, encoding?: BufferEncoding | Done, callback?: Done): boolean {
    // Somebody has taken hold of the method before it was given back.
    if (this.#phase === 'open') return this.#response.write(chunk, encoding as BufferEncoding, callback);
    const done = typeof encoding === 'function' ? encoding : callback;
    if (this.#phase === 'abandoned') {
      if (done !== undefined) process.nextTick(done, new Error('the connection has ended'));
      return true;
    }
    if (done !== undefined) this.#done.push(done);
    this.#add(chunk, encoding);
    if (this.#phase === 'holding' && this.#size > this.#options.limit) this.#decide();
    return this.#phase === 'holding';
  }

  #end(
    chunk?: Chunk | Done | null,
    encoding?: BufferEncoding | Done | null,
    callback?: Done | null,
  ): ServerResponse {
    if (this.#phase === 'open') {
      return this.#response.end(chunk as Chunk, encoding as BufferEncoding, callback as () => void);
    }
    if (this.#ended || this.#phase === 'abandoned') return this.#response;
    for (const done of [chunk, encoding, callback]) if (typeof done === 'function') this.#done.push(done);
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') this.#add(chunk, encoding);
    this.#ended = true;
    // As after Node's own `end`: nobody answers a second time.
    Object.defineProperty(this.#response, 'writableEnded', { configurable: true, get: () => true });
    if (this.#phase === 'holding') this.#decide();
    return this.#response;
  }

  #addTrailers(fields: object | unknown[]): void {
    this.#trailers.push(...pairsOf(fields).flatMap(([name, value]) => [name, String(value)]));
  }

  #add(chunk: Chunk, encoding?: unknown): void {
    const bytes =
      typeof chunk === 'string'
        ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
        : Buffer.from(chunk);
    this.#chunks.push(bytes);
    this.#size += bytes.length;
  }

  #decide(): void {
    const { req } = this.#response;
    const whole = this.#ended;
    const collected = this.#collected(whole);
    // What is said of half a request is not the answer to the request; what fails when nobody is there may have failed of
    // that; and what is shorter than it says is no response.
    const isAloneAndFails = req.socket.destroyed && this.#response.statusCode >= 500;
    const isOfHalf = req.destroyed && !req.complete;
    if (isOfHalf || isAloneAndFails || (whole && !isAsLongAsItSays(collected))) {
      this.#abandon();
      this.#response.destroy();
      return;
    }
    this.#phase = 'deciding';
    void this.#options
      .onCollected(collected)
      .then(leaves => (leaves ? this.#open(collected) : this.#response.destroy()))
      // Whatever went wrong: half a response is worse than none.
      .catch(() => this.#response.destroy());
  }

  #collected(whole: boolean): Collected {
    const response = this.#response;
    const asked = response.getHeader('connection');
    const keepAlive =
      this.#options.keepAlive ??
      (response.shouldKeepAlive && !(typeof asked === 'string' && /\bclose\b/i.test(asked)));
    const body = Buffer.concat(this.#chunks, this.#size);
    if (response.sendDate && !response.hasHeader('date')) {
      response.setHeader('Date', this.#options.date.toUTCString());
    }
    response.setHeader('Connection', keepAlive ? 'keep-alive' : 'close');
    const status = response.statusCode;
    const measured = response.hasHeader('content-length') || response.hasHeader('transfer-encoding');
    const isBodiless = status < 200 || status === 204 || status === 304 || response.req.method === 'HEAD';
    if (whole && !measured && !isBodiless) response.setHeader('Content-Length', String(body.length));
    const headers = rawNames(response).flatMap(name => {
      const value = response.getHeader(name)!;
      return Array.isArray(value) ? value.flatMap(each => [name, each]) : [name, String(value)];
    });
    const reason = response.statusMessage || STATUS_CODES[status] || 'unknown';
    return {
      whole,
      response: { status, reason, headers, trailers: this.#trailers },
      body: isBodiless ? Buffer.alloc(0) : body,
      isBodiless,
      keepAlive,
    };
  }

  #open({ whole, response: collected, body }: Collected): void {
    const response = this.#response;
    this.#phase = 'open';
    this.#release();
    response.once('finish', () => {
      for (const done of this.#done) done();
    });
    if (whole) {
      writeWhole(response, { ...collected, trailers: this.#trailers }, body);
      return;
    }
    writeHead(response, collected);
    const chunked = !collected.headers.some((name, i) => i % 2 === 0 && /^content-length$/i.test(name));
    const pieces = Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [];
    if (chunked) {
      this.#rechunk(pieces);
      return;
    }
    if (this.#ended) response.end(pieces);
    else if (response.write(pieces)) response.emit('drain');
  }

  /** From here on pieces leave in chunks of one size: a later run that is given other pieces makes the same bytes of them. */
  #rechunk(first: Buffer): void {
    const response = this.#response;
    const write = response.write.bind(response);
    const end = response.end.bind(response);
    let rest = Buffer.alloc(0);
    const push = (bytes: Buffer): boolean => {
      rest = Buffer.concat([rest, bytes]);
      let fits = true;
      while (rest.length >= CHUNK_BYTES) {
        fits = write(rest.subarray(0, CHUNK_BYTES));
        rest = rest.subarray(CHUNK_BYTES);
      }
      return fits;
    };
    const finish = (): void => {
      if (this.#trailers.length > 0) response.addTrailers(pairsOf(this.#trailers) as [string, string][]);
      if (rest.length > 0) end(rest);
      else end();
    };
    const fits = push(first);
    if (this.#ended) {
      finish();
      return;
    }
    Object.assign(response, {
      write: (chunk: Chunk, encoding?: unknown, callback?: Done) => {
        const done = typeof encoding === 'function' ? (encoding as Done) : callback;
        if (done !== undefined) process.nextTick(done);
        return push(bytesOf(chunk, encoding));
      },
      end: (chunk?: Chunk | Done | null, encoding?: unknown, callback?: Done) => {
        for (const done of [chunk, encoding, callback]) {
          if (typeof done === 'function') response.once('finish', done as () => void);
        }
        if (chunk !== undefined && chunk !== null && typeof chunk !== 'function')
          push(bytesOf(chunk, encoding));
        this.#release();
        finish();
        return response;
      },
    });
    if (fits) response.emit('drain');
  }
}

/** Bodies that are not sent have the length that they would have. */
function isAsLongAsItSays({ response: { headers }, body, isBodiless }: Collected): boolean {
  const at = headers.findIndex((name, i) => i % 2 === 0 && /^content-length$/i.test(name));
  return at < 0 || isBodiless || Number(headers[at + 1]) === body.length;
}

function bytesOf(chunk: Chunk, encoding: unknown): Buffer {
  if (typeof chunk !== 'string') return Buffer.from(chunk);
  return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
}
