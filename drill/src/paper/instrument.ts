/**
 * What the drill adds to the webmail's HTTP server, and to nothing else of it: objects of a wanted size, requests that take a
 * wanted time, and word of which requests it has in its hands. The application behind it is the same program.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** `bytes` of a body that depends on nothing but the name; beside the webmail's own files, and as much the same everywhere. */
export const OBJECT_PATH = '/assets/calibration';
/**
 * Milliseconds that the server is to take for a request, fractions allowed: before it begins to work, for its own pages; in the middle
 * of the answer, for added objects. There nobody on the way can hide a failure by asking somebody else instead.
 */
export const TIME_HEADER = 'x-calibration-ms';
/** The same for what is no file: a browser cannot say it of some requests only. */
export const PAGE_TIME_HEADER = 'x-calibration-page-ms';
const FILES = '/assets/';
const TOKEN_HEADER = 'x-request-token';
const EVENTS_PATH = '/events';
/** Also tells which back end it is. */
const SIGN_OF_LIFE_PATH = '/healthz';

const MOST_BYTES = 10_000_000;
const MOST_MS = 60_000;
/** Older steps are forgotten. */
const MOST_STEPS = 100_000;

/** The bytes of an object: the same from every back end, and of every run. */
export function objectBytes(name: string, bytes: number): Buffer {
  const seed = Buffer.from(`${name} `);
  return Buffer.alloc(bytes, seed);
}

/** Where an object of that name and size is. */
export function objectAddress(name: string, bytes: number): string {
  return `${OBJECT_PATH}?name=${encodeURIComponent(name)}&bytes=${bytes}`;
}

/** What such an address stands for; undefined: it is none. */
export function objectAt(address: string): Buffer | undefined {
  const { pathname, searchParams } = new URL(address, 'http://any');
  if (pathname !== OBJECT_PATH) return undefined;
  const bytes = Math.min(MOST_BYTES, Math.max(0, Math.trunc(Number(searchParams.get('bytes'))) || 0));
  return objectBytes(searchParams.get('name') ?? '', bytes);
}

interface Step {
  readonly step: 'begin' | 'executed' | 'finish';
  readonly token: string;
}

/** What has become of requests with a token; the same lines as the demonstration site's, which drills read. */
class Told {
  readonly #process = randomUUID();
  readonly #steps: Step[] = [];
  readonly #followers = new Set<ServerResponse>();

  note(step: Step): void {
    this.#steps.push(step);
    if (this.#steps.length > MOST_STEPS) this.#steps.shift();
    const line = `${JSON.stringify(step)}\n`;
    for (const follower of this.#followers) follower.write(line);
  }

  follow(response: ServerResponse): void {
    const lines = [{ process: this.#process }, ...this.#steps].map(line => JSON.stringify(line));
    response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    response.write(`${lines.join('\n')}\n`);
    this.#followers.add(response);
    response.once('close', () => this.#followers.delete(response));
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

function answer(response: ServerResponse, type: string, body: Buffer): void {
  response.writeHead(200, headersOf(type, body));
  response.end(body);
}

function headersOf(type: string, body: Buffer): Record<string, string | number> {
  return { 'content-type': type, 'content-length': body.length, 'cache-control': 'no-store' };
}

const OBJECT_TYPE = 'application/octet-stream';

/** The first half of an answer. @returns what sends the other one */
function begin(response: ServerResponse, object: Buffer): () => void {
  const half = object.length >> 1;
  response.writeHead(200, headersOf(OBJECT_TYPE, object));
  response.write(object.subarray(0, half));
  return () => response.end(object.subarray(half));
}

/** Puts it between the server and all that listens for its requests, now or later. */
export function instrument(server: Server): void {
  const told = new Told();
  const sign = Buffer.from(JSON.stringify({ ready: true, backend: process.env.BACKEND_ID ?? null }));
  const emit = server.emit.bind(server) as (event: string, ...rest: unknown[]) => boolean;

  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const object = objectAt(request.url ?? '/');
    if (object) answer(response, OBJECT_TYPE, object);
    else if (request.url === EVENTS_PATH) told.follow(response);
    else if (request.url === SIGN_OF_LIFE_PATH) answer(response, 'application/json', sign);
    else emit('request', request, response);
  };

  const take = (request: IncomingMessage, response: ServerResponse): void => {
    const token = textOf(request.headers[TOKEN_HEADER]);
    if (token !== undefined) {
      told.note({ step: 'begin', token });
      response.once('close', () => told.note({ step: 'finish', token }));
    }
    const header = request.url?.startsWith(FILES) ? undefined : request.headers[PAGE_TIME_HEADER];
    const wanted = Number(textOf(header ?? request.headers[TIME_HEADER]) ?? 0);
    if (!(wanted > 0)) {
      serve(request, response);
      return;
    }
    const object = objectAt(request.url ?? '/');
    const goOn = object ? begin(response, object) : (): void => serve(request, response);
    const timer = setTimeout(goOn, Math.min(wanted, MOST_MS));
    response.once('close', () => clearTimeout(timer));
  };

  const instrumented = (event: string, ...rest: unknown[]): boolean => {
    if (event !== 'request') return emit(event, ...rest);
    take(rest[0] as IncomingMessage, rest[1] as ServerResponse);
    return true;
  };
  server.emit = instrumented as typeof server.emit;
}
