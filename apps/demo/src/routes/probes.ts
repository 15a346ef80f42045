/** Routes that let a test see what happened: who answered, how often something ran, and one that makes wait. */
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { bodyOf } from './uploads.ts';

/** The longest wait that a caller may ask for, in milliseconds. */
const MAX_WAIT_MS = 60_000;
/** Tokens kept for /counts; older ones are forgotten so that a long benchmark does not fill the memory. */
const MAX_TOKENS = 100_000;

interface Wait {
  Querystring: { ms: number };
}

const waitSchema = {
  querystring: {
    type: 'object',
    properties: { ms: { type: 'integer', minimum: 0, maximum: MAX_WAIT_MS, default: 0 } },
  },
};

/** `backend` is this back end's name, the one thing in which back ends differ. */
export async function probes(app: FastifyInstance, { backend }: { backend: string }): Promise<void> {
  let count = 0;
  const tokens: string[] = [];

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
  app.post<Wait>('/count', { schema: waitSchema }, async request => {
    for await (const _ of bodyOf(request) ?? []) {
      // Nothing in it is of interest.
    }
    count++;
    const token = request.headers['x-request-token'];
    if (token !== undefined) tokens.push(String(token));
    if (tokens.length > MAX_TOKENS) tokens.shift();
    const mine = count;
    await delay(request.query.ms);
    return { count: mine };
  });

  app.get('/counts', async () => ({ backend, count, tokens }));
}
