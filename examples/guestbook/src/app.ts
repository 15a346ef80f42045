/** A guestbook that survives the server which serves it. `main.ts` makes it listen. */
import cookie from '@fastify/cookie';
import formbody from '@fastify/formbody';
import session from '@fastify/session';
import { type BackendKit, backendKit } from '@resplice/backend-kit';
import Fastify, { type FastifyInstance } from 'fastify';
import { Book } from './book.ts';

declare module 'fastify' {
  interface Session {
    name?: string;
  }
}

export interface GuestbookOptions {
  /** Directory that all back ends share. */
  readonly book: string;
  /** Signs session cookies: at least 32 characters, the same on every back end. */
  readonly secret: string;
  /** Default: what the environment says. */
  readonly kit?: BackendKit;
}

const DAY_MS = 24 * 3_600_000;
const fortunes = [
  'A letter is on its way.',
  'Somebody thinks of you.',
  'The best is yet to come.',
  'Ask again.',
];

export async function buildGuestbook(options: GuestbookOptions): Promise<FastifyInstance> {
  const { kit = backendKit() } = options;
  const book = new Book(options.book);
  const app = Fastify({ forceCloseConnections: true });
  await app.register(kit.plugin);
  await app.register(formbody);
  await app.register(cookie);
  await app.register(session, {
    secret: options.secret,
    store: kit.sessionStore({ lifetimeMs: DAY_MS }),
    idGenerator: request => request!.txn.random(24).toString('base64url'),
    saveUninitialized: false,
    cookie: { secure: false, maxAge: DAY_MS },
  });

  app.get('/', async request => {
    const lines = (await book.entries()).map(({ name, words, at }) => `${at} ${name}: ${words}`);
    return [`Welcome, ${request.session.name ?? 'stranger'}.`, ...lines, ''].join('\n');
  });

  // The whole answer is at another back end before it leaves: the cookie, too.
  const signed = { config: { txn: { kind: 'update', journal: 'response' } } } as const;
  app.post<{ Body: { name?: string; words?: string } }>('/sign', signed, async (request, reply) => {
    const { name = 'somebody', words = '' } = request.body ?? {};
    await book.sign(request.txn.id, { name, words, at: request.txn.now.toISOString() });
    request.session.name = name;
    return reply.redirect('/', 303);
  });

  // What decides the answer is there: its instant, and how many had signed. Chance comes from the request's name.
  const told = { config: { txn: { kind: 'update', journal: 'state' } } } as const;
  app.post('/fortune', told, async ({ txn }) => {
    const guests = await txn.input('guests', async () => (await book.entries()).length);
    const fortune = fortunes[txn.random(1)[0]! % fortunes.length];
    return `${fortune} (Told at ${txn.now.toISOString()} to one of ${guests} guests.)\n`;
  });
  return app;
}
