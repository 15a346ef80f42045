// One request to an HTTP server and its response, which outlives the back end that asked.

import { request as ask, type ClientRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { encodeProxyHeader, type ProxyHeader } from '@resplice/protocol';

/** What a request is; the same transaction run again asks the same. */
export interface Question {
  readonly method: string;
  readonly path: string;
  /** SHA-256 of the body, hex. */
  readonly digest: string;
}

export interface Answer {
  readonly status: number;
  readonly reason: string;
  /** Names and values in turn, as they came, without those of the connection. */
  readonly headers: string[];
  readonly body: Buffer;
}

/** No answer came. `mayHaveRun`: the server may have got the request. */
export class NoAnswerError extends Error {
  readonly mayHaveRun: boolean;

  constructor(why: string, mayHaveRun: boolean) {
    super(`the HTTP server gave no answer: ${why}`);
    this.mayHaveRun = mayHaveRun;
  }
}

/** Longer than what is recorded: it passes as it comes. */
export interface Stream {
  readonly head: Omit<Answer, 'body'>;
  /** What has come of the body. */
  readonly begun: readonly Buffer[];
  readonly rest: IncomingMessage;
}

/** Of the connection, not of the message (RFC 9110 7.6.1). */
const HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The headers, names and values in turn, that are to be passed on. */
export function endToEnd(raw: readonly string[]): string[] {
  const named = new Set(HOP);
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() === 'connection') {
      for (const name of raw[i + 1]!.split(',')) named.add(name.trim().toLowerCase());
    }
  }
  const kept: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    if (!named.has(raw[i]!.toLowerCase())) kept.push(raw[i]!, raw[i + 1]!);
  }
  return kept;
}

/** A body without a length goes on without one. */
function codingOf(raw: readonly string[]): string[] {
  const isChunked = raw.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'transfer-encoding');
  return isChunked ? ['Transfer-Encoding', 'chunked'] : [];
}

/** A body that is not announced ends with the head. */
function lengthOf(raw: readonly string[]): number {
  const at = raw.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-length');
  return at < 0 ? 0 : Number(raw[at + 1]);
}

export interface ExchangeOptions {
  readonly host: string;
  readonly port: number;
  readonly patienceMs: number;
  /** Longest body that is collected, bytes. */
  readonly maxBytes: number;
  /** Names the transaction to the server. */
  readonly header: ProxyHeader;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
}

/** The asking side: write the body, end it, and wait for the answer. */
export class Exchange {
  readonly #request: ClientRequest;
  readonly #maxBytes: number;
  /** @throws NoAnswerError */
  readonly answer: Promise<Answer | Stream>;
  /** Of the request's body, until the server can know its end. */
  #leftBytes: number;
  #isAsked = false;

  constructor(options: ExchangeOptions) {
    const { host, port, patienceMs, maxBytes, header, method, path, headers } = options;
    this.#maxBytes = maxBytes;
    const own = endToEnd(headers);
    const coding = codingOf(headers);
    this.#leftBytes = coding.length > 0 ? Number.POSITIVE_INFINITY : lengthOf(own);
    this.#request = ask({
      method,
      path,
      setDefaultHeaders: false,
      headers: [...own, ...coding, 'Connection', 'close'],
      createConnection: () => {
        const socket = connect({ host, port, noDelay: true });
        socket.write(encodeProxyHeader(header));
        return socket;
      },
    });
    this.#request.setTimeout(patienceMs, () => this.abort(`it is silent for ${patienceMs} ms`));
    this.answer = this.#collect();
    // Whoever asked may be gone.
    this.answer.catch(() => {});
  }

  /** The request's last byte may have gone out. */
  get isAsked(): boolean {
    return this.#isAsked;
  }

  /** Part of the request's body; resolves when there is room for more. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#request.destroyed) return;
    this.#leftBytes -= bytes.length;
    // With a Content-Length, the server knows the end when it sees it.
    if (this.#leftBytes <= 0) this.#isAsked = true;
    if (this.#request.write(bytes)) return;
    await new Promise<void>(resolve => {
      const go = (): void => {
        this.#request.off('drain', go).off('close', go);
        resolve();
      };
      this.#request.on('drain', go).on('close', go);
    });
  }

  /** The request is complete. */
  end(): void {
    if (this.#request.destroyed) return;
    this.#isAsked = true;
    this.#request.end();
  }

  abort(why: string): void {
    this.#request.destroy(new Error(why));
  }

  #collect(): Promise<Answer | Stream> {
    const request = this.#request;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        const isUnreachable = (error as NodeJS.ErrnoException).syscall === 'connect';
        reject(new NoAnswerError(error.message, this.#isAsked && !isUnreachable));
      };
      request.on('error', fail);
      request.once('response', response => {
        const head = {
          status: response.statusCode ?? 502,
          reason: response.statusMessage ?? '',
          headers: endToEnd(response.rawHeaders),
        };
        const parts: Buffer[] = [];
        let bytes = 0;
        const take = (part: Buffer): void => {
          parts.push(part);
          bytes += part.length;
          if (bytes <= this.#maxBytes) return;
          response.pause();
          response.off('data', take).off('end', end).off('aborted', broken);
          resolve({ head, begun: parts, rest: response });
        };
        const end = (): void => resolve({ ...head, body: Buffer.concat(parts) });
        const broken = (): void => fail(new Error('it broke off in the middle of its response'));
        response.on('data', take).on('end', end).on('aborted', broken);
        response.on('error', fail);
      });
    });
  }
}
