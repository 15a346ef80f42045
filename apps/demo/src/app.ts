/** Builds the demonstration site; `main.ts` makes it listen. */
import Fastify, { type FastifyInstance, type FastifyServerOptions, LogController } from 'fastify';
import { History } from './history.ts';
import { downloads } from './routes/downloads.ts';
import { probes } from './routes/probes.ts';
import { site } from './routes/site.ts';
import { uploads } from './routes/uploads.ts';
import { tokenOf } from './token.ts';

export interface DemoOptions {
  /** This back end's name, as `/whoami` tells it. */
  readonly backend: string;
  readonly logger?: FastifyServerOptions['logger'];
}

/** How long an idle connection stays: longer than any pause in a demonstration. */
const KEEP_ALIVE_MS = 600_000;

/** As long a request head as the proxies take, bytes. */
const MAX_HEAD = 65_536;

export function buildDemo({ backend, logger = false }: DemoOptions): FastifyInstance {
  const app = Fastify({
    logger,
    logController: new LogController({ disableRequestLogging: true }),
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Requests may take as long as they like: faults are injected into them, and tests pause them.
    http: { headersTimeout: 0, maxHeaderSize: MAX_HEAD },
    requestTimeout: 0,
    connectionTimeout: 0,
    forceCloseConnections: true,
    bodyLimit: Number.MAX_SAFE_INTEGER,
    exposeHeadRoutes: false,
  });
  // Bodies are streams here, whatever their type: nothing is ever collected in memory.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  const history = new History();
  app.addHook('onRequest', async (request, reply) => {
    const token = tokenOf(request);
    if (token === undefined) return;
    history.note({ step: 'begin', token });
    reply.raw.once('finish', () => history.note({ step: 'finish', token }));
  });
  void app.register(site);
  void app.register(downloads);
  void app.register(uploads, { history });
  void app.register(probes, { backend, history });
  return app;
}
