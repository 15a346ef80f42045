// One connection to the SMTP server.

import { connect, type Socket } from 'node:net';
import { encodeProxyHeader, type ProxyHeader } from '@resplice/protocol';
import { type Reply, ReplyParser } from './reply.ts';

/** The connection is gone: refused, broken off, silent for too long, or not SMTP. What was asked last may have been done. */
export class UpstreamLostError extends Error {
  constructor(why: string) {
    super(`the SMTP server is lost: ${why}`);
    this.name = 'UpstreamLostError';
  }
}

export interface UpstreamOptions {
  readonly host: string;
  readonly port: number;
  /** Silence in its turn, ms. */
  readonly patienceMs: number;
}

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: UpstreamLostError): void;
}

export class Upstream {
  readonly #socket: Socket;
  readonly #patienceMs: number;
  readonly #parser = new ReplyParser();
  /** For replies that are to come, in order. */
  #waiting: Waiting[] = [];
  /** Commands that were sent before they were asked for. */
  readonly #ahead: { readonly line: string; readonly answer: Promise<Reply> }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #lost: UpstreamLostError | undefined;

  private constructor({ host, port, patienceMs }: UpstreamOptions) {
    this.#patienceMs = patienceMs;
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('data', bytes => this.#take(bytes));
    this.#socket.on('error', error => this.abort(error.message));
    this.#socket.on('close', () => this.abort('it ended the connection'));
  }

  /**
   * Connects in the name of whom the header says.
   * @returns the connection, and what it was greeted with
   * @throws UpstreamLostError
   */
  static async open(
    options: UpstreamOptions,
    header: ProxyHeader,
  ): Promise<{ upstream: Upstream; greeting: Reply }> {
    const upstream = new Upstream(options);
    upstream.#socket.write(encodeProxyHeader(header));
    return { upstream, greeting: await upstream.#reply() };
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** A command, or the final dot, without its line end. @throws UpstreamLostError */
  async command(line: string): Promise<Reply> {
    if (this.#lost !== undefined) throw this.#lost;
    const sent = this.#ahead.shift();
    // Somebody else was expected: to have been introduced does no harm (RFC 5321 4.1.4).
    if (sent !== undefined && sent.line !== line && /^(EHLO|HELO) /i.test(sent.line)) {
      await sent.answer;
      return await this.command(line);
    }
    if (sent !== undefined && sent.line !== line) {
      this.abort('it was told something else already');
      throw this.#lost!;
    }
    const answer = sent?.answer ?? this.#reply();
    if (sent === undefined) this.#socket.write(`${line}\r\n`, 'latin1');
    const reply = await answer;
    // By this it says that it ends the connection (RFC 5321 3.8).
    if (reply.code === 421) this.abort(reply.text.trimEnd());
    return reply;
  }

  /** Sends commands that will be asked for one by one, in one go (RFC 2920). */
  sendAhead(lines: readonly string[]): void {
    if (this.#lost !== undefined || this.#ahead.length > 0) return;
    for (const line of lines) {
      const answer = this.#reply();
      // Asked for later, or never.
      answer.catch(() => {});
      this.#ahead.push({ line, answer });
    }
    this.#socket.write(`${lines.join('\r\n')}\r\n`, 'latin1');
  }

  /** Content; resolves when there is room for more. @throws UpstreamLostError */
  async write(bytes: Buffer): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#socket.write(bytes)) return;
    await new Promise<void>(resolve => {
      const go = (): void => {
        this.#socket.off('drain', go).off('close', go);
        resolve();
      };
      this.#socket.on('drain', go).on('close', go);
    });
    if (this.#lost !== undefined) throw this.#lost;
  }

  /** Good-bye in passing: nothing is under way. */
  quit(): void {
    if (this.#lost !== undefined) return;
    if (this.#ahead.length > 0) {
      this.abort('it was left');
      return;
    }
    this.#lost = new UpstreamLostError('it was left');
    this.#socket.end('QUIT\r\n');
    // It ends, too, or is left alone with it.
    this.#timer = setTimeout(() => this.#socket.destroy(), 1000);
    this.#socket.once('close', () => clearTimeout(this.#timer));
  }

  /** Ends it without a word: half a message is none (RFC 5321 4.1.1.4). */
  abort(why: string): void {
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#lost ??= new UpstreamLostError(why);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#lost);
  }

  #reply(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#watch();
    });
  }

  /** Its turn begins, or goes on. */
  #watch(): void {
    clearTimeout(this.#timer);
    const ms = this.#patienceMs;
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.abort(`it is silent for ${ms} ms`), ms);
  }

  #take(bytes: Buffer): void {
    let replies: Reply[];
    try {
      replies = this.#parser.take(bytes);
    } catch (error) {
      this.abort((error as Error).message);
      return;
    }
    for (const reply of replies) {
      const next = this.#waiting.shift();
      // Unasked, it can only be good-bye; and the next command would take it for its own answer.
      if (next === undefined) {
        this.abort(`unasked: ${reply.text.trimEnd()}`);
        return;
      }
      this.#watch();
      next.resolve(reply);
    }
  }
}
