/** Routes that let a test see what happened: who answered, how often something ran, and one that makes wait. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { MAX_BYTES, PatternStream } from '../byte-pattern.ts';
import type { History, Step } from '../history.ts';
import { tokenOf } from '../token.ts';
import { bodyOf } from './uploads.ts';

/** The longest wait that a caller may ask for, in milliseconds. */
const MAX_WAIT_MS = 60_000;
/** Tokens kept for /counts; older ones are forgotten so that a long benchmark does not fill the memory. */
const MAX_TOKENS = 100_000;

interface Wait {
  Querystring: { ms: number };
}

const ms = { type: 'integer', minimum: 0, maximum: MAX_WAIT_MS, default: 0 };
const waitSchema = { querystring: { type: 'object', properties: { ms } } };

interface Count {
  Querystring: { ms: number; bytes?: number };
}

const bytes = { type: 'integer', minimum: 0, maximum: MAX_BYTES };
const countSchema = { querystring: { type: 'object', properties: { ms, bytes } } };

export interface ProbeOptions {
  /** This back end's name, the one thing in which back ends differ. */
  readonly backend: string;
  readonly history: History;
}

export async function probes(app: FastifyInstance, { backend, history }: ProbeOptions): Promise<void> {
  let count = 0;
  const tokens: string[] = [];
  const process = randomUUID();

  app.get('/healthz', async () => ({ ready: true }));

  app.get('/whoami', async request => ({
    backend,
    client: { address: request.socket.remoteAddress, port: request.socket.remotePort },
  }));

  app.get<Wait>('/slow', { schema: waitSchema }, async request => {
    await delay(request.query.ms);
    return { waitedMs: request.query.ms };
  });

  // The side effect happens once the whole request is here and *before* the wait: a request that is run a second
  // time while its first answer is pending shows as a second count and as a doubled token.
  app.post<Count>('/count', { schema: countSchema }, async (request, reply) => {
    for await (const _ of bodyOf(request) ?? []) {
      // Nothing in it is of interest.
    }
    count++;
    const token = tokenOf(request);
    if (token !== undefined) {
      tokens.push(token);
      history.note({ step: 'executed', token });
    }
    if (tokens.length > MAX_TOKENS) tokens.shift();
    const mine = count;
    const { ms: waitMs, bytes: size } = request.query;
    await delay(waitMs);
    if (size === undefined) return { count: mine };
    reply.header('content-type', 'application/octet-stream').header('content-length', size);
    return reply.send(new PatternStream(0, size));
  });

  app.get('/counts', async () => ({ backend, count, tokens }));

  // Without an end. What was written has left the process when its effect has happened: who follows this from beside it
  // knows what had been executed when the process is killed.
  app.get('/events', (request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    const write = (line: Step | { process: string }) => reply.raw.write(`${JSON.stringify(line)}\n`);
    write({ process });
    request.raw.once('close', history.follow(write));
  });
}
