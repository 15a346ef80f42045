// The application of these tests: one route for every form that a response can have.

import { Readable } from 'node:stream';
import cookie from '@fastify/cookie';
import session from '@fastify/session';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Define } from '../testing/index.ts';

declare module 'fastify' {
  interface Session {
    user?: string;
    count?: number;
  }
}

const HOUR_MS = 3_600_000;

/** What all back ends share, as they would a database. */
export class World {
  /** Effects by transaction. */
  readonly effects = new Map<string, number>();
  /** Every run of a handler: back end and transaction. */
  readonly runs: { readonly name: string; readonly id: string; readonly attempt: number }[] = [];
  /** Differs each time that it is asked for. */
  price = 100;
  /** Handlers wait here while it is closed. */
  #gate: Promise<void> | undefined;
  #open = (): void => {};

  shut(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    this.#open = resolve;
  }

  open(): void {
    this.#gate = undefined;
    this.#open();
  }

  async pass(): Promise<void> {
    await this.#gate;
  }

  /** An effect once, as a database makes it that is keyed by the transaction. */
  effect(id: string): number {
    let number = this.effects.get(id);
    if (number === undefined) {
      number = this.effects.size + 1;
      this.effects.set(id, number);
    }
    return number;
  }
}

export function application(world: World): Define {
  return async (app: FastifyInstance, kit, name) => {
    await app.register(cookie);
    await app.register(session, {
      secret: 'a secret of these tests that is long enough',
      store: kit.sessionStore({ lifetimeMs: HOUR_MS }),
      cookieName: 'session',
      saveUninitialized: false,
      rolling: true,
      idGenerator: request => request!.txn.random(24).toString('base64url'),
      cookie: { secure: false, maxAge: HOUR_MS },
    });
    const run = async ({ txn: { id, attempt } }: FastifyRequest): Promise<number> => {
      world.runs.push({ name, id, attempt });
      await world.pass();
      return world.effect(id);
    };
    const response = { config: { txn: { kind: 'update', journal: 'response' } } } as const;
    const state = { config: { txn: { kind: 'update', journal: 'state' } } } as const;

    app.get('/page', { config: { txn: { kind: 'read', deterministic: true } } }, () => 'always the same');
    app.get('/named', { config: { txn: { kind: 'read' } } }, ({ txn }) => ({
      id: txn.id,
      chance: txn.random(8).toString('hex'),
    }));
    app.get('/untagged', () => 'whatever');
    app.post('/untagged', () => 'whatever');

    // Forms of a response, by name.
    const forms: Record<string, (request: FastifyRequest, reply: FastifyReply, number: number) => unknown> = {
      json: (_request, _reply, number) => ({ number, from: name, at: performance.now() }),
      text: (_request, reply, number) =>
        reply.type('text/plain').send(`${number} ${name} ${performance.now()}`),
      redirect: (_request, reply, number) => reply.redirect(`/page?n=${number}&at=${performance.now()}`, 303),
      empty: (_request, reply) => reply.header('x-from', name).code(204).send(),
      nothing: (_request, reply) => reply.header('x-from', name).send(),
      cookies: (_request, reply) =>
        reply
          .setCookie('a', name)
          .setCookie('b', String(performance.now()))
          .header('X-Mixed-Case', 'kept')
          .send('with cookies'),
      stream: (_request, reply) =>
        reply.type('text/plain').send(Readable.from([name, ' in ', 'pieces ', String(performance.now())])),
      chunked: (_request, reply) => reply.header('transfer-encoding', 'chunked').send(`chunked by ${name}`),
      trailers: (_request, reply) => {
        void reply.trailer('x-sum', (_reply, _payload, done) => done(null, name));
        return reply.send('before trailers');
      },
      raw: (_request, reply) => {
        reply.hijack();
        reply.raw.writeHead(299, 'As It Likes', { 'X-Raw': name, 'Set-Cookie': ['a=1', 'b=2'] });
        reply.raw.write('raw ');
        reply.raw.end(String(performance.now()));
      },
      failing: () => {
        throw new Error(`failed at ${name} ${performance.now()}`);
      },
      breaking: (_request, reply) =>
        reply.send(
          Readable.from(
            (function* () {
              yield 'half of it';
              throw new Error(`broke at ${name}`);
            })(),
          ),
        ),
      close: (_request, reply, number) => reply.header('connection', 'close').send(`bye ${number} ${name}`),
    };
    app.post<{ Params: { form: string } }>('/response/:form', response, async (request, reply) => {
      const number = await run(request);
      return forms[request.params.form]!(request, reply, number);
    });
    app.post<{ Querystring: { bytes: number } }>('/large', response, async (request, reply) => {
      await run(request);
      const piece = Buffer.alloc(65_536, name);
      const pieces = Math.ceil(request.query.bytes / piece.length);
      return reply.type('text/plain').send(Readable.from(Array.from({ length: pieces }, () => piece)));
    });

    app.post('/state/quote', state, async request => {
      const number = await run(request);
      const { txn } = request;
      const price = await txn.input('price', () => world.price++);
      return { number, price, now: txn.now, chance: txn.random(40).toString('hex') };
    });
    app.post<{ Querystring: { piece: number; bytes: number } }>(
      '/state/stream',
      state,
      async (request, reply) => {
        await run(request);
        const { txn, query } = request;
        const seed = await txn.input('seed', () => world.price++);
        const text = Buffer.alloc(Number(query.bytes), `${seed} ${txn.random(3).toString('hex')} `);
        // Other pieces each time: what the client gets must not depend on them.
        const size = Number(query.piece) + world.runs.length * 1000;
        const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
          text.subarray(i * size, (i + 1) * size),
        );
        return reply.type('text/plain').send(Readable.from(pieces));
      },
    );
    app.post('/state/late', state, async (request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200);
      reply.raw.write('x'.repeat(100_000));
      const late = request.txn.input('late', async () => {
        while (!reply.raw.headersSent) await new Promise(resolve => setImmediate(resolve));
        return 1;
      });
      reply.raw.end(await late.catch((error: Error) => error.message));
    });

    app.post<{ Querystring: { user: string } }>('/login', response, async request => {
      await run(request);
      await request.session.regenerate();
      request.session.user = request.query.user;
      return { user: request.query.user };
    });
    app.post('/logout', response, async request => {
      if (request.session.user === undefined) return { error: 'nobody is logged in' };
      await request.session.destroy();
      await run(request);
      return { done: true };
    });
    app.post('/visit', response, async request => {
      request.session.count = (request.session.count ?? 0) + 1;
      await run(request);
      return { count: request.session.count };
    });
    app.get('/whoami', request => ({
      user: request.session.user ?? null,
      count: request.session.count ?? 0,
    }));
    // A session that changes where nothing is journalled.
    app.get('/forget', async request => {
      await request.session.destroy();
      return 'forgotten';
    });
  };
}
