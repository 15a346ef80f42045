/** An application on the kit that does next to nothing itself: answers of a small page, and a session that each update changes. */
import cookie from '@fastify/cookie';
import session from '@fastify/session';
import { backendKit } from '@resplice/backend-kit';
import Fastify from 'fastify';

declare module 'fastify' {
  interface Session {
    visits?: number;
  }
}

const DAY_MS = 24 * 3_600_000;
/** The tier owns the idle time-out: this one is longer. */
const KEEP_ALIVE_MS = 600_000;
const PAGE = 'x'.repeat(2000);

const kit = backendKit();
const app = Fastify({ forceCloseConnections: true, keepAliveTimeout: KEEP_ALIVE_MS });
await app.register(kit.plugin);
await app.register(cookie);
await app.register(session, {
  // It protects nothing: who measures is alone.
  secret: 'nobody else is ever logged in here',
  store: kit.sessionStore({ lifetimeMs: DAY_MS }),
  rolling: false,
  saveUninitialized: false,
  idGenerator: request => request!.txn.random(24).toString('base64url'),
  cookie: { secure: false, maxAge: DAY_MS },
});

// A read that has a name, as a page with chance in it needs one: the kit has something to do.
app.get('/read', { config: { txn: { kind: 'read' } } }, async request => ({
  visits: request.session.visits ?? 0,
  page: PAGE,
}));

app.post('/response', { config: { txn: { kind: 'update', journal: 'response' } } }, async request => {
  const visits = (request.session.visits ?? 0) + 1;
  request.session.visits = visits;
  return { visits, at: request.txn.now.toISOString(), page: PAGE };
});

app.post('/state', { config: { txn: { kind: 'update', journal: 'state' } } }, async ({ txn, session }) => {
  const visits = await txn.input('visits', () => session.visits ?? 0);
  return { visits, at: txn.now.toISOString(), token: txn.random(16).toString('hex'), page: PAGE };
});

await app.listen({ host: '0.0.0.0', port: Number(process.env.PORT) });
