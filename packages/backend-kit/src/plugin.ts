// What an application sees of the kit.

import type { Socket } from 'node:net';
import { LAST_NUMBER } from '@resplice/kit-channel';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import plugin from 'fastify-plugin';
import { connectFor, type Target } from './auxiliary.ts';
import { type KitConfig, readKitConfig, watchKitConfig } from './config.ts';
import { Counters } from './counters.ts';
import { comesInPieces } from './held-response.ts';
import { Kit } from './kit.ts';
import { SessionStore, type SessionStoreOptions } from './session-store.ts';
import { Sessions } from './sessions.ts';
import { contradictions, type TaggedRoute, type Treated, treat } from './tags.ts';
import { OwnTransaction, type Transaction } from './transaction.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** This request's name, instant and chance. */
    txn: Transaction;
  }
}

/** Routes whose tags cannot be followed; says every one. */
export class TagError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'TagError';
  }
}

export interface BackendKit {
  /** To be registered first: what is defined before it is not protected. */
  readonly plugin: (app: FastifyInstance) => Promise<void>;
  /** For @fastify/session; on every back end, where there are others. */
  sessionStore(options: SessionStoreOptions): SessionStore;
  /** Opens a connection to an auxiliary server that says in whose name it is (P8.3). */
  connect(transaction: Transaction, target: Target): Promise<Socket>;
  /** For work that no request asked for. */
  ownTransaction(): Transaction;
  /** Undefined: off. */
  readonly kit: Kit | undefined;
}

/**
 * The kit that the environment's `RESPLICE_KIT` describes, and follows when other members or loggers are written there. Without the
 * variable the application is a plain one: transactions of its own making, sessions in its memory.
 * @param own in the place of the environment's; null: off
 * @throws KitConfigError
 */
export function backendKit(own?: KitConfig | null): BackendKit {
  const config = own === undefined ? readKitConfig(process.env) : own;
  const kit = config ? new Kit(config) : undefined;
  const isWatched = own === undefined;
  return {
    kit,
    plugin: plugin(async app => register(app, kit, isWatched), {
      name: '@resplice/backend-kit',
      fastify: '5.x',
    }),
    sessionStore: options => kit?.sessionStore(options) ?? ownSessions(options),
    connect: (transaction, target) => connectFor(kit, transaction, target),
    ownTransaction: () => new OwnTransaction(),
  };
}

function ownSessions(options: SessionStoreOptions): SessionStore {
  const parts = {
    self: 'own',
    sessions: new Sessions(),
    counters: new Counters(),
    current: () => undefined,
    tell: async () => {},
  };
  return new SessionStore(parts, options);
}

/** @param isWatched whether its configuration is the environment's */
function register(app: FastifyInstance, kit: Kit | undefined, isWatched: boolean): void {
  app.decorateRequest('txn');
  const routes: TaggedRoute[] = [];
  const treated = new Map<string, Treated>();
  app.addHook('onRoute', ({ method, url, config }) => {
    for (const each of [method].flat()) {
      const route = { method: each, url, tags: config?.txn };
      routes.push(route);
      treated.set(`${each} ${url}`, treat(route));
    }
  });
  if (kit === undefined) {
    app.addHook('onRequest', (request, _reply, done) => {
      request.txn = new OwnTransaction();
      done();
    });
    return;
  }

  let stopWatching = (): void => {};
  kit.arrivals.attach(app.server, LAST_NUMBER);
  app.addHook('onReady', async () => {
    const problems = contradictions(routes, kit.config.site);
    if (problems.length > 0) throw new TagError(problems);
    await kit.start(app.log);
    if (!isWatched) return;
    const refused = (err: Error): void => app.log.error({ err }, 'kit: the former members are kept');
    stopWatching = watchKitConfig(process.env, config => kit.follow(config), refused);
  });
  app.addHook('onClose', async () => {
    stopWatching();
    await kit.close();
  });
  const treatmentOf = ({ method, routeOptions }: FastifyRequest): Treated | undefined =>
    treated.get(`${method} ${routeOptions.url}`);

  app.addHook('onRequest', (request: FastifyRequest, reply: FastifyReply, done) => {
    const treatment = treatmentOf(request);
    if (treatment?.isKnown !== true) {
      request.txn = new OwnTransaction();
      done();
      return;
    }
    const go = (transaction: Transaction | undefined): void => {
      if (transaction === undefined) return;
      request.txn = transaction;
      kit.within(transaction, done);
    };
    const begun = kit.begin(request, reply, treatment);
    if (begun instanceof Promise) begun.then(go, done);
    else go(begun);
  });
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (payload instanceof ReadableStream || payload instanceof Response) comesInPieces(reply.raw);
    done();
  });
  // Reading a body ends what the first hook began.
  app.addHook('preValidation', (request, _reply, done) => kit.within(request.txn, done));
}
