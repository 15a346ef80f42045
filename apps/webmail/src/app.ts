/** Builds the webmail; `main.ts` makes it listen. */
import formbody from '@fastify/formbody';
import multipart from '@fastify/multipart';
import { type BackendKit, backendKit } from '@resplice/backend-kit';
import { type Database, DatabaseAwayError } from '@resplice/mailstore';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  LogController,
} from 'fastify';
import { Housekeeping } from './housekeeping.ts';
import { Outbox } from './mail/outbox.ts';
import { type Patience, Sending } from './mail/sending.ts';
import { Submission, type SubmissionOptions } from './mail/submission.ts';
import { writingForms, writingPages } from './routes/drafts.ts';
import { folderRoutes } from './routes/folders.ts';
import { loginRoutes } from './routes/login.ts';
import { messageRoutes } from './routes/messages.ts';
import { settingsRoutes } from './routes/settings.ts';
import { plainPage } from './views/layout.ts';
import { serveAssets } from './web/assets.ts';
import { secureHeaders } from './web/headers.ts';
import { InFlight } from './web/in-flight.ts';
import { requireOwnOrigin } from './web/origin.ts';
import { notFound, Problem } from './web/problem.ts';
import { registerSessions, SESSION_MS, type SessionStore, viewerOf } from './web/sessions.ts';

export interface WebmailOptions {
  readonly database: Database;
  readonly submission: SubmissionOptions;
  /** Signs session cookies: at least 32 characters, the same on every back end. */
  readonly sessionSecret: string;
  /** Default: off, as for a server on its own. */
  readonly kit?: BackendKit;
  /** Default: the kit's, which without others is this process's memory. */
  readonly sessionStore?: SessionStore;
  readonly log?: FastifyBaseLogger;
  /** With messages that have no certain answer yet. */
  readonly patience?: Partial<Patience>;
}

/** Forms without files, bytes. */
const FORM_LIMIT = 3_000_000;
/** As long a request head as the proxies take, bytes. */
const MAX_HEAD = 65_536;
/** The tier owns the idle time-out: this one is longer. */
const KEEP_ALIVE_MS = 600_000;

/** Told to end, the server waits so long for answers that are due: longer than a letter's way takes. */
const PARTING_MS = 25_000;

export async function buildWebmail(options: WebmailOptions): Promise<FastifyInstance> {
  const { database, submission, sessionSecret, kit = backendKit(null), log, patience } = options;
  const { sessionStore = kit.sessionStore({ lifetimeMs: SESSION_MS }) } = options;
  const app: FastifyInstance = Fastify({
    ...(log === undefined ? {} : { loggerInstance: log }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: FORM_LIMIT,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { maxHeaderSize: MAX_HEAD },
    forceCloseConnections: true,
    // Asked on a connection that is there still, it is answered as ever.
    return503OnClosing: false,
  });
  const inFlight = new InFlight(app.server);
  app.addHook('preClose', async () => await inFlight.end(PARTING_MS));
  const submitting = new Submission(submission, kit);
  const { breakpoints } = submitting;
  const sending = new Sending(database, submitting, patience);
  const outbox = new Outbox(sending, app.log);
  sending.onWaiting = () => outbox.wake();

  await app.register(kit.plugin);
  secureHeaders(app);
  app.decorateRequest('viewer');
  app.addHook('onRequest', async request => requireOwnOrigin(request));
  app.addHook('preValidation', async ({ txn }) => {
    // A predecessor that is frozen, not dead, may hold rows that this run needs.
    if (txn.attempt > 0) await database.endPredecessor(txn.id);
  });
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((_request, reply) => answerProblem(reply, notFound()));
  const housekeeping = new Housekeeping(database, app.log);
  app.addHook('onReady', async () => {
    outbox.start();
    housekeeping.start();
  });
  app.addHook('onClose', async () => {
    await Promise.all([outbox.close(), housekeeping.close()]);
  });

  await app.register(serveAssets);
  await app.register(async pages => {
    await registerSessions(pages, { secret: sessionSecret, store: sessionStore });
    await pages.register(formbody, { bodyLimit: FORM_LIMIT });
    await pages.register(multipart, {
      // Counted by ourselves: a file that is too large is no reason to lose the text beside it.
      limits: {
        fileSize: Number.POSITIVE_INFINITY,
        files: 200,
        fields: 50,
        fieldSize: FORM_LIMIT,
        parts: 250,
      },
    });
    loginRoutes(pages, { database });
    writingForms(pages, { database, sending, breakpoints });
    await pages.register(async own => {
      own.addHook('preHandler', async (request, reply) => {
        const viewer = await viewerOf(database, request);
        if (viewer !== undefined) {
          request.viewer = viewer;
          return;
        }
        if (request.session.accountId !== undefined) await request.session.destroy();
        const next = request.method === 'GET' ? `?next=${encodeURIComponent(request.url)}` : '';
        return await reply.redirect(`/login${next}`, 303);
      });
      folderRoutes(own, { database });
      await messageRoutes(own, { database });
      writingPages(own, { database, sending });
      settingsRoutes(own, { database });
    });
  });
  return app;
}

function answerProblem(reply: FastifyReply, { status, title, message, retryAfter }: Problem): FastifyReply {
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
  return reply
    .code(status)
    .type('text/html; charset=utf-8')
    .send(plainPage(title, message, { href: '/', label: 'To the inbox' }));
}

/** Every error is a page that says what happened and what to do. */
function answerError(error: unknown, request: { log: FastifyBaseLogger }, reply: FastifyReply): FastifyReply {
  if (error instanceof Problem) return answerProblem(reply, error);
  if (error instanceof DatabaseAwayError) {
    request.log.warn({ err: error }, 'the database is away');
    const text = 'The mail store cannot be reached just now. Nothing is lost: try again in a moment.';
    return answerProblem(reply, new Problem(503, 'One moment, please', text, 5));
  }
  const status = (error as { statusCode?: number }).statusCode ?? 500;
  if (status === 413) {
    return answerProblem(
      reply,
      new Problem(413, 'Too large', 'This was more than fits into a request. Nothing was saved.'),
    );
  }
  if (status >= 400 && status < 500) {
    return answerProblem(
      reply,
      new Problem(status, 'Not understood', 'The browser sent something that makes no sense here.'),
    );
  }
  request.log.error({ err: error }, 'a request failed');
  const text = 'Something went wrong on our side. Your mail is safe; try again, or come back later.';
  return answerProblem(reply, new Problem(500, 'That did not work', text));
}
