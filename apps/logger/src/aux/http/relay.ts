// All exchanges with one HTTP server: one request and its response for each step of a transaction. The response goes to the back
// end when the whole of it is recorded.

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Speaker } from '../claims.ts';
import type { Arrival } from '../gate.ts';
import type { DialogueKey } from '../outcomes.ts';
import type { AuxiliaryRelay, ServiceOptions } from '../service.ts';
import { type Answer, Exchange, NoAnswerError, type Question, type Stream } from './exchange.ts';

/** Asked or being asked. */
interface Pending {
  readonly exchange: Exchange;
  readonly speaker: Speaker;
  /** How to undo that it is about to be asked; undefined: it changes nothing, or cannot be recorded. */
  readonly intent: Promise<(() => void) | undefined>;
  /** Half of it came, and somebody else comes with it anew. */
  isGivenUp: boolean;
  /** Its body has come as a whole. */
  question: Question | undefined;
  /** Resolves when it may be given. */
  answer: Promise<Answer | Stream>;
}

/** Change nothing (RFC 9110 9.2.1): their responses need not wait for the disk. */
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Have the same effect however often they are made (RFC 9110 9.2.2). */
const IDEMPOTENT = new Set([...SAFE, 'PUT', 'DELETE']);

const isAnswer = (answer: Answer | Stream): answer is Answer => 'body' in answer;

const isSame = (a: Question, b: Question): boolean =>
  a.method === b.method && a.path === b.path && a.digest === b.digest;

function refuse(response: ServerResponse, status: number, why: string): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' }).end(`${why}\n`);
}

export class HttpRelay implements AuxiliaryRelay {
  readonly #options: ServiceOptions;
  readonly #server: Server;
  readonly #arrivals = new WeakMap<Socket, Arrival & Speaker>();
  readonly #pending = new Map<string, Pending>();

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(error => options.fail(error as Error));
    });
    this.#server.timeout = options.limits.idleMs;
    // Neither can be recorded.
    this.#server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 501 Not Implemented\r\n\r\n'));
    this.#server.on('connect', (_, socket) => socket.end('HTTP/1.1 501 Not Implemented\r\n\r\n'));
    this.#server.on('clientError', (_, socket) => {
      options.tally.violations++;
      socket.destroy();
    });
  }

  /** Exchanges under way. */
  get size(): number {
    return this.#pending.size;
  }

  receive(arrival: Arrival): void {
    const { claims } = this.#options;
    const { socket } = arrival;
    const speaker = { ...arrival, cut: () => void socket.destroy() };
    if (!claims.admit(speaker)) return;
    socket.once('close', () => claims.leave(speaker));
    this.#arrivals.set(socket, speaker);
    this.#server.emit('connection', socket);
  }

  close(): void {
    for (const { exchange } of this.#pending.values()) exchange.abort('we are closing');
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { service, claims, tally, outcomes, log } = this.#options;
    const speaker = this.#arrivals.get(request.socket)!;
    const key = { service: service.name, transaction: speaker.transaction, step: speaker.caller.step };
    const name = `${key.transaction} ${key.step}`;
    let known = await outcomes.response(key);
    let pending = this.#pending.get(name);
    // Half a request is nobody's: whoever began it is gone, or has come back. Meanwhile others may have come for it, too.
    while (pending !== undefined && pending.question === undefined) {
      await this.#giveUp(name, pending);
      known = await outcomes.response(key);
      pending = this.#pending.get(name);
    }
    // Cut off while it waited, by whoever has it now.
    if (request.socket.destroyed) return;
    if (known === undefined && pending === undefined) {
      return await this.#begin(key, name, speaker, request, response);
    }
    const question = await this.#read(request);
    if (question === undefined) return;
    if (!isSame(question, known?.head ?? pending!.question!)) {
      tally.mismatches++;
      log.warn({ ...key, method: question.method, path: question.path }, 'another request than on record');
      return refuse(response, 409, 'This is not what was asked in this step of the transaction before.');
    }
    if (!claims.isAllowed(speaker)) return;
    if (known !== undefined) {
      tally.replayed++;
      const { status, reason, headers } = known.head;
      return this.#give(response, question.method, { status, reason, headers, body: known.body });
    }
    tally.resumed++;
    await this.#await(key, pending!, response, question.method);
  }

  /** Resolves when it is certain whether it has been asked. */
  async #giveUp(name: string, pending: Pending): Promise<void> {
    const { exchange, speaker, intent } = pending;
    pending.isGivenUp = true;
    exchange.abort('its back end is gone');
    speaker.cut();
    const undo = await intent;
    if (!exchange.isAsked) undo?.();
    this.#forget(name, pending);
  }

  /** Unless another one has its place. */
  #forget(name: string, pending: Pending): void {
    if (this.#pending.get(name) === pending) this.#pending.delete(name);
  }

  /** Asks the server, as the request comes in. */
  async #begin(
    key: DialogueKey,
    name: string,
    speaker: Arrival & Speaker,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { service, limits, tally, outcomes, log } = this.#options;
    const { transaction, caller, route } = speaker;
    const method = request.method ?? 'GET';
    const path = request.url ?? '/';
    if (outcomes.isDoubtful(key) && !this.#mayRepeat(request)) {
      tally.inDoubtRefused++;
      log.error({ ...key, method, path }, 'whether this was done is not known: it is not asked for again');
      response.destroy();
      return;
    }
    tally.dialled++;
    const exchange = new Exchange({
      ...service.upstream,
      ...{ method, path, headers: request.rawHeaders, header: { transaction, caller, route } },
      patienceMs: limits.upstreamMs,
      maxBytes: limits.responseBytes,
    });
    const isSafe = SAFE.has(method);
    const intent = isSafe ? Promise.resolve(undefined) : this.#intend(key);
    const pending: Pending = {
      ...{ exchange, speaker, intent, isGivenUp: false },
      ...{ question: undefined, answer: exchange.answer },
    };
    this.#pending.set(name, pending);
    const undo = await intent;
    if (undo === undefined && !isSafe) {
      exchange.abort('what it would answer could not be recorded');
      this.#forget(name, pending);
      return this.#refuse(key, response, 503, 'The answer could not be recorded: nothing was asked.');
    }
    const question = await this.#read(request, part => exchange.write(part));
    if (question === undefined || pending.isGivenUp) {
      tally.contentsAborted++;
      exchange.abort('its back end broke off');
      if (!exchange.isAsked) undo?.();
      this.#forget(name, pending);
      return;
    }
    pending.question = question;
    pending.answer = this.#finish(key, exchange, question);
    const done = (): void => this.#forget(name, pending);
    pending.answer.then(
      answer => {
        if (isAnswer(answer)) done();
        else answer.rest.once('close', done);
      },
      error => {
        if (error instanceof NoAnswerError && !error.mayHaveRun) undo?.();
        done();
      },
    );
    await this.#await(key, pending, response, method);
  }

  /** Whether a request that may have been done already can be made again without doing it twice. */
  #mayRepeat({ method = 'GET', headers }: IncomingMessage): boolean {
    return (
      IDEMPOTENT.has(method) ||
      this.#options.service.knowsTransactions ||
      headers['idempotency-key'] !== undefined
    );
  }

  /** How to undo it; undefined: the log cannot be written. */
  async #intend(key: DialogueKey): Promise<(() => void) | undefined> {
    return await this.#options.outcomes.intend(key).catch(() => undefined);
  }

  /** No answer at all is the only true one where it may have had its effect, now or before. */
  #refuse(key: DialogueKey, response: ServerResponse, status: number, why: string): void {
    if (this.#options.outcomes.isDoubtful(key)) response.destroy();
    else refuse(response, status, why);
  }

  /** @throws LogWriteError, NoAnswerError */
  async #finish(key: DialogueKey, exchange: Exchange, question: Question): Promise<Answer | Stream> {
    const { outcomes, tally } = this.#options;
    const changes = !SAFE.has(question.method);
    exchange.end();
    const answer = await exchange.answer;
    if (isAnswer(answer)) {
      const { body, ...head } = answer;
      await outcomes.keep({ kind: 'response', ...key, ...question, ...head }, changes, body);
    } else tally.unprotected++;
    return answer;
  }

  async #await(
    key: DialogueKey,
    { answer, exchange }: Pending,
    response: ServerResponse,
    method: string,
  ): Promise<void> {
    try {
      const given = await answer;
      if (isAnswer(given)) return this.#give(response, method, given);
      this.#stream(response, given, exchange);
    } catch (error) {
      if (!(error instanceof NoAnswerError)) this.#options.tally.unrecorded++;
      this.#refuse(key, response, 502, (error as Error).message);
    }
  }

  #give(response: ServerResponse, method: string, { status, reason, headers, body }: Answer): void {
    if (response.destroyed) return;
    const own = headers.filter((_, i) => headers[i - (i % 2)]!.toLowerCase() !== 'content-length');
    const isBodiless = method === 'HEAD' || status === 204 || status === 304;
    response.sendDate = false;
    response.writeHead(status, reason, [
      ...(isBodiless ? headers : [...own, 'Content-Length', String(body.length)]),
      ...['Connection', 'close'],
    ]);
    response.end(isBodiless ? undefined : body);
  }

  #stream(response: ServerResponse, { head, begun, rest }: Stream, exchange: Exchange): void {
    if (response.destroyed) {
      exchange.abort('its back end is gone');
      return;
    }
    // Somebody else has it already, and it is not kept.
    if (rest.readableFlowing === true) return void response.destroy();
    response.once('close', () => {
      if (!response.writableFinished) exchange.abort('its back end is gone');
    });
    response.sendDate = false;
    response.writeHead(head.status, head.reason, [...head.headers, 'Connection', 'close']);
    for (const part of begun) response.write(part);
    rest.once('error', () => response.destroy());
    rest.once('aborted', () => response.destroy());
    rest.pipe(response);
  }

  /** Reads the body; undefined when it breaks off. */
  async #read(
    request: IncomingMessage,
    pass: (part: Buffer) => Promise<void> = async () => {},
  ): Promise<Question | undefined> {
    const hash = createHash('sha256');
    try {
      for await (const part of request) {
        hash.update(part as Buffer);
        await pass(part as Buffer);
      }
    } catch {
      return undefined;
    }
    if (!request.complete) return undefined;
    return { method: request.method ?? 'GET', path: request.url ?? '/', digest: hash.digest('hex') };
  }
}
