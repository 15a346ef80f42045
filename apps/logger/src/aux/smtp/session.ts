// One back end's connection: what it says, in order, and what it is answered.

import type { ProxyHeader } from '@resplice/protocol';
import type { Speaker } from '../claims.ts';
import type { Limits } from '../config.ts';
import { LogWriteError } from '../disk-log.ts';
import type { Arrival } from '../gate.ts';
import type { AuxiliaryTally } from '../tally.ts';
import { type Dialogue, MismatchError, RefusedError, type Voice } from './dialogue.ts';
import { EndedError, Input, ViolationError } from './input.ts';
import { keyOf } from './mail.ts';
import { isPositive, type Reply, reply } from './reply.ts';
import { type Upstream, UpstreamLostError } from './upstream.ts';

/** For a last word to somebody who does not listen, ms. */
const CUT_MS = 1000;

const IDLE = reply(421, '4.4.2 You said nothing for too long');
const MISMATCH = reply(451, '4.3.0 This is not what was begun in this transaction');
const ORDER = reply(503, '5.5.1 Not in this order');
/** A message of which we could not say later whether it was accepted is not begun. */
const NO_RECORD = reply(451, '4.3.1 The answer could not be recorded: nothing was sent');

export class Session implements Speaker, Voice {
  readonly transaction: string;
  readonly backend: string;
  readonly caller: Arrival['caller'];
  readonly header: ProxyHeader;
  readonly credentials: string[] = [];
  readonly #arrival: Arrival;
  readonly #limits: Limits;
  readonly #tally: AuxiliaryTally;
  readonly #input: Input;
  readonly #gone = Promise.withResolvers<never>();
  #dialogue!: Dialogue;
  /** It is the back end's turn to speak. */
  #isListening = false;
  /** Which of the dialogue's messages. */
  #index = 0;
  /** The present message's sender was accepted. */
  #hasSender = false;
  /** Keys of its accepted recipients. */
  #recipients = new Set<string>();
  /** It said good-bye. */
  hasQuit = false;

  constructor(arrival: Arrival, limits: Limits, tally: AuxiliaryTally) {
    const { transaction, backend, caller, route, socket } = arrival;
    this.transaction = transaction;
    this.backend = backend;
    this.caller = caller;
    this.header = { transaction, caller, route };
    this.#arrival = arrival;
    this.#limits = limits;
    this.#tally = tally;
    this.#input = new Input(socket);
    this.#gone.promise.catch(() => {});
    socket.once('close', () => this.#gone.reject(new EndedError()));
    socket.setTimeout(limits.idleMs, () => {
      if (this.#isListening) this.#end(IDLE.text);
    });
  }

  cut(): void {
    this.#end('');
  }

  /** Ends it; whoever waits in it hears of that at once. */
  #end(words: string): void {
    const { socket } = this.#arrival;
    this.#gone.reject(new EndedError());
    if (socket.destroyed) return;
    socket.end(words, 'latin1', () => socket.destroy());
    // One that is frozen may take nothing any more.
    const timer = setTimeout(() => socket.destroy(), CUT_MS);
    socket.once('close', () => clearTimeout(timer));
  }

  /** Resolves when it is over. */
  async run(dialogue: Dialogue): Promise<void> {
    this.#dialogue = dialogue;
    try {
      await this.#send(await this.#unlessGone(dialogue.greet(this)));
      while (!this.hasQuit) {
        const line = await this.#line();
        if (line === undefined) return;
        await this.#send(await this.#obey(line));
      }
    } catch (error) {
      await this.#explain(error);
    } finally {
      this.credentials.length = 0;
      this.#arrival.socket.destroySoon();
    }
  }

  async challenge(challenge: Reply): Promise<string> {
    await this.#send(challenge);
    const line = await this.#line();
    if (line === undefined) throw new EndedError();
    return line;
  }

  async #obey(line: string): Promise<Reply> {
    const verb = /^[a-z]+/i.exec(line)?.[0].toUpperCase() ?? '';
    switch (verb) {
      case 'EHLO':
      case 'HELO':
        this.#reset();
        return await this.#unlessGone(this.#dialogue.hello(line, this));
      case 'AUTH':
        return await this.#unlessGone(this.#dialogue.auth(line, this));
      case 'MAIL':
      case 'RCPT':
        return await this.#envelope(verb, line);
      case 'DATA':
        return await this.#data();
      case 'RSET':
        this.#reset();
        return reply(250, '2.0.0 Flushed');
      case 'NOOP':
        return reply(250, '2.0.0 OK');
      case 'QUIT':
        this.hasQuit = true;
        return reply(221, '2.0.0 Bye');
      default:
        this.#tally.violations++;
        return reply(502, '5.5.1 This command cannot be followed here');
    }
  }

  async #envelope(verb: 'MAIL' | 'RCPT', line: string): Promise<Reply> {
    if (this.#hasSender === (verb === 'MAIL')) return ORDER;
    const key = keyOf(line);
    let answer: Reply;
    try {
      const ahead = verb === 'MAIL' ? this.#input.linesAhead(/^RCPT TO:/i, /^DATA$/i) : [];
      if (ahead.length > 0) void this.#dialogue.foresee(this.#index, [line, ...ahead]);
      answer = await this.#unlessGone(this.#dialogue.say(this.#index, key, line, this));
    } catch (error) {
      return this.#mismatch(error);
    }
    if (!isPositive(answer)) return answer;
    if (verb === 'MAIL') this.#hasSender = true;
    else this.#recipients.add(key);
    return answer;
  }

  async #data(): Promise<Reply> {
    if (this.#recipients.size === 0) return ORDER;
    let begun: Awaited<ReturnType<Dialogue['data']>>;
    try {
      begun = await this.#unlessGone(this.#dialogue.data(this.#index, this.#recipients, this));
    } catch (error) {
      return this.#mismatch(error);
    }
    const { answer, upstream, final } = begun;
    if (upstream === undefined && final === undefined) return answer;
    try {
      await this.#send(answer);
      await this.#content(upstream);
    } catch (error) {
      if (upstream !== undefined) this.#dialogue.abort(upstream);
      throw error instanceof UpstreamLostError ? new EndedError(error.message) : error;
    }
    const answered = final ?? (await this.#finish(upstream!));
    // Refused for now: the next attempt is the same message.
    if (final !== undefined || this.#dialogue.mail(this.#index).final !== undefined) this.#index++;
    this.#forget();
    return answered;
  }

  /** @param upstream undefined: it is known already */
  async #content(upstream: Upstream | undefined): Promise<void> {
    let bytes = 0;
    this.#isListening = true;
    try {
      const parts = this.#input.content();
      for (;;) {
        const { value, done } = await this.#unlessGone(parts.next());
        if (done) return;
        bytes += value.length;
        if (bytes > this.#limits.messageBytes) {
          throw new ViolationError(`a message of more than ${this.#limits.messageBytes} bytes`);
        }
        if (upstream !== undefined) await this.#unlessGone(upstream.write(value));
      }
    } finally {
      this.#isListening = false;
    }
  }

  async #finish(upstream: Upstream): Promise<Reply> {
    try {
      return await this.#unlessGone(this.#dialogue.finish(this.#index, upstream));
    } catch (error) {
      const isSent = this.#dialogue.mail(this.#index).final !== undefined;
      if (error instanceof LogWriteError && !isSent) {
        this.#dialogue.discard(this.#index);
        return NO_RECORD;
      }
      // In doubt, or answered and not recorded: no answer at all is the only true one.
      throw error instanceof UpstreamLostError ? new EndedError(error.message) : error;
    }
  }

  #mismatch(error: unknown): Reply {
    if (!(error instanceof MismatchError)) throw error;
    this.#tally.mismatches++;
    this.#dialogue.discard(this.#index);
    this.#forget();
    return MISMATCH;
  }

  /** The message that was begun is given up. */
  #reset(): void {
    if (this.#hasSender) this.#dialogue.discard(this.#index);
    this.#forget();
  }

  #forget(): void {
    this.#hasSender = false;
    this.#recipients = new Set();
  }

  async #line(): Promise<string | undefined> {
    this.#isListening = true;
    try {
      return await this.#unlessGone(this.#input.line());
    } finally {
      this.#isListening = false;
    }
  }

  /** @throws EndedError when nothing may be said */
  async #send({ code, text }: Reply): Promise<void> {
    const { socket } = this.#arrival;
    // "Not now" would mean that the message is not delivered. It may be.
    if (code >= 400 && code < 500 && this.#dialogue.isInDoubt) throw new EndedError();
    if (socket.write(text, 'latin1')) return;
    const drained = Promise.withResolvers<void>();
    socket.once('drain', drained.resolve);
    await this.#unlessGone(drained.promise);
  }

  async #unlessGone<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#gone.promise]);
  }

  async #explain(error: unknown): Promise<void> {
    if (error instanceof EndedError) return;
    if (error instanceof LogWriteError) {
      this.#tally.unrecorded++;
      return;
    }
    let last: Reply;
    if (error instanceof RefusedError) last = error.reply;
    else if (error instanceof ViolationError) {
      this.#tally.violations++;
      last = reply(500, `5.5.2 ${error.message}`);
    } else if (error instanceof UpstreamLostError) {
      last = reply(421, '4.4.1 The mail server cannot be reached');
    } else throw error;
    await this.#send(last).catch(() => {});
  }
}
