// One back end's kit: names transactions, leaves their records at the alternate before their answers leave (P8.1, P9.2, P11.3),
// keeps others' records, and gives them back when a transaction is run again here (P12).

import { AsyncLocalStorage } from 'node:async_hooks';
import { isDeepStrictEqual } from 'node:util';
import {
  ChannelServer,
  type JournalRecord,
  type KitConnection,
  LAST_NUMBER,
  transactionId,
  UNKNOWN_START,
} from '@resplice/kit-channel';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Answers, type Running } from './answers.ts';
import { type KitConfig, KitConfigError } from './config.ts';
import { Counters } from './counters.ts';
import { type Collected, HeldResponse } from './held-response.ts';
import { AgentClient, Arrivals, type Behind } from './identity.ts';
import type { Found } from './peers.ts';
import { type KitLog, Records } from './records.ts';
import { SessionStore, type SessionStoreOptions } from './session-store.ts';
import type { Treated } from './tags.ts';
import { KnownTransaction, OwnTransaction, type Transaction } from './transaction.ts';
import { writeWhole } from './whole-response.ts';

/** Longest response that is kept whole, bytes. A longer one leaves without a record, and is counted. */
export const MAX_RESPONSE = 32 * 1024 * 1024;
/** How much of a response is waited for that can be made again, bytes. */
const BEGINNING = 65_536;
const TEND_MS = 500;

export class Kit {
  #config: KitConfig;
  /** Who may call. */
  readonly #callers = new Set<string>();
  readonly counters = new Counters();
  readonly arrivals: Arrivals;
  readonly #agent: AgentClient;
  readonly #records: Records;
  readonly #server: ChannelServer;
  readonly #current = new AsyncLocalStorage<KnownTransaction>();
  readonly #running = new Map<string, Running>();
  /** Starts and ends of this back end are told apart by it, seconds since 1970. */
  readonly epoch = Math.floor(Date.now() / 1000);
  #log: KitLog | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isReady = false;

  /** Joins its peers at once; answers them from `start` on. */
  constructor(config: KitConfig) {
    this.#config = config;
    const { kitKey, listen, agentPort } = config;
    this.#admit(config);
    this.#agent = new AgentClient(agentPort);
    this.arrivals = new Arrivals(this.#agent);
    this.#records = new Records({
      config,
      counters: this.counters,
      log: () => this.#log,
      isRunning: transaction => this.#running.has(transaction),
    });
    const answers = new Answers({
      self: config.self,
      counters: this.counters,
      records: this.#records,
      running: this.#running,
      isReady: () => this.#isReady,
      status: () => ({ ...this.status }),
    });
    this.#server = new ChannelServer({
      kitKey,
      ...listen,
      callers: this.#callers,
      handle: (asked, body) => answers.to(asked, body),
      onError: (error, caller) =>
        this.#log?.warn({ err: error, caller }, 'kit: a message could not be answered'),
    });
  }

  /**
   * Answers peers and loggers, and learns what the peers know. An application that listens before that would take those who
   * are logged in for strangers.
   * @throws Error when the channel's address cannot be had
   */
  async start(log: KitLog): Promise<void> {
    this.#log = log;
    await this.#server.listen();
    await this.#records.peers.settled();
    this.#isReady = true;
    this.#timer = setInterval(() => this.#records.sweep(), TEND_MS);
    this.#timer.unref();
    const { peers, sessions } = this.#records;
    log.info({ peers: peers.status, sessions: sessions.counts }, 'kit: ready');
  }

  get config(): KitConfig {
    return this.#config;
  }

  /**
   * From here on these are the members and loggers. What else differs counts from the next start on.
   * @throws KitConfigError when we are another one, or listen elsewhere: nothing has changed
   */
  follow({ self, listen, members, loggers }: KitConfig): void {
    const { config } = this;
    if (!isDeepStrictEqual({ self, listen }, { self: config.self, listen: config.listen }))
      throw new KitConfigError('another configuration', ['self and listen cannot change while it runs']);
    this.#config = { ...config, members, loggers };
    this.#admit(this.#config);
    this.#records.peers.follow(members);
    this.#log?.info({ peers: this.#records.peers.status }, 'kit: other members');
  }

  #admit({ members, loggers }: KitConfig): void {
    this.#callers.clear();
    for (const name of [...members.map(each => each.name), ...loggers]) this.#callers.add(name);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#agent.close();
    this.#records.peers.close();
    await this.#server.close().catch(() => {});
  }

  sessionStore(options: SessionStoreOptions): SessionStore {
    const { self } = this.config;
    return new SessionStore(
      {
        self,
        sessions: this.#records.sessions,
        counters: this.counters,
        current: () => {
          const transaction = this.#current.getStore();
          return transaction !== undefined && !transaction.sealed ? transaction : undefined;
        },
        tell: changes => this.#records.tell(changes),
      },
      options,
    );
  }

  /** Runs what belongs to a journalled request, so that the session store knows to which. */
  within(transaction: Transaction, run: () => void): void {
    if (transaction instanceof KnownTransaction && transaction.isJournalled)
      this.#current.run(transaction, run);
    else run();
  }

  /**
   * Gives a request its transaction; a read at once, where its connection is known. Undefined: it was answered from its record, or
   * has no client any more; the application must not see it.
   */
  begin(
    request: FastifyRequest,
    reply: FastifyReply,
    treated: Treated,
  ): Transaction | undefined | Promise<Transaction | undefined> {
    const who = this.arrivals.of(request);
    return who instanceof Promise
      ? who.then(known => this.#begin(known, request, reply, treated))
      : this.#begin(who, request, reply, treated);
  }

  #begin(
    who: Behind,
    request: FastifyRequest,
    reply: FastifyReply,
    treated: Treated,
  ): Transaction | undefined | Promise<Transaction | undefined> {
    if (who === 'stale') {
      this.counters.stale++;
      reply.hijack();
      request.raw.socket.destroy();
      return undefined;
    }
    if (who === undefined || who.identity.start === UNKNOWN_START) {
      this.counters.unprotected++;
      return new OwnTransaction();
    }
    const { connection, start, moved } = who.identity;
    const number = start + who.index;
    if (number >= LAST_NUMBER) reply.raw.shouldKeepAlive = false;
    if (treated.journal !== 'none') return this.#beginJournalled(connection, number, moved, reply, treated);
    return new KnownTransaction({
      kitKey: this.config.kitKey,
      ...{ connection, number, isJournalled: false },
      attemptOf: id => this.#records.journal.attemptOf(id),
    });
  }

  async #beginJournalled(
    connection: KitConnection,
    number: number,
    moved: boolean,
    reply: FastifyReply,
    treated: Treated,
  ): Promise<Transaction | undefined> {
    const { kitKey } = this.config;
    const id = transactionId(kitKey, connection, number);
    for (let other = this.#running.get(id); other !== undefined; other = this.#running.get(id)) {
      // A back end that was suspected in error gets its connection back, and runs the transaction still.
      this.counters.joined++;
      await other.over;
    }
    const { promise, resolve: done } = Promise.withResolvers<void>();
    const attempt = this.#records.journal.attemptOf(id);
    const running = { over: promise, attempt };
    this.#running.set(id, running);
    const settle = (): void => {
      this.#running.delete(id);
      done();
    };
    const found =
      this.#records.journal.get(id) ?? (moved ? await this.#records.search(id, attempt) : undefined);
    if (found?.record.response !== undefined) {
      reply.hijack();
      await this.#replay(reply, found, attempt).finally(settle);
      return undefined;
    }
    const recorded = found?.record.state;
    if (recorded !== undefined) this.counters.rerun++;
    const transaction = new KnownTransaction({
      ...{ kitKey, connection, number, recorded, id },
      attemptOf: () => attempt,
      isJournalled: true,
    });
    new HeldResponse(reply.raw, {
      limit: treated.journal === 'response' ? MAX_RESPONSE : BEGINNING,
      date: transaction.now,
      keepAlive: recorded?.keepAlive,
      onCollected: collected =>
        this.#protect(
          transaction,
          running.attempt,
          treated.journal as 'response' | 'state',
          collected,
        ).finally(settle),
      onAbandoned: () => {
        this.counters.abandoned++;
        settle();
      },
    });
    return transaction;
  }

  /** Whether the answer may leave. */
  async #protect(
    transaction: KnownTransaction,
    attempt: number,
    strategy: 'response' | 'state',
    { whole, response, body, keepAlive }: Collected,
  ): Promise<boolean> {
    transaction.sealed = true;
    const { id, connection, number, inputs, now } = transaction;
    const sessions = [...transaction.sessions.values()];
    if (strategy === 'response' && !whole) {
      this.counters.tooLong++;
      this.#log?.warn(
        { transaction: id },
        `kit: a response of more than ${MAX_RESPONSE} bytes leaves without a record`,
      );
      if (this.#records.isOvertaken(id, attempt)) return false;
      await this.#records.tell(sessions);
      return true;
    }
    const record: JournalRecord = {
      transaction: id,
      connection,
      number,
      attempt,
      origin: this.config.self,
      strategy,
      ...(strategy === 'response' ? { response } : { state: { now: now.getTime(), keepAlive, inputs } }),
      sessions,
    };
    return await this.#records.keep(record, strategy === 'response' ? body : Buffer.alloc(0));
  }

  async #replay({ raw }: FastifyReply, { record, body }: Found, attempt: number): Promise<void> {
    this.counters.replayed++;
    // It is ours now: should this back end die as well, the next one must have it.
    const isOwn = record.origin === this.config.self;
    // The logger says which attempt this is. If it could not, it is the one after the record's.
    const next = attempt > 0 || isOwn ? Math.max(attempt, record.attempt) : record.attempt + 1;
    const taken = { ...record, attempt: next, origin: this.config.self };
    if (await this.#records.keep(taken, body)) writeWhole(raw, taken.response!, body);
    else raw.destroy();
  }

  /** What `./resplice status` shows. */
  get status() {
    const { peers, journal, sessions, isDegraded } = this.#records;
    return {
      self: this.config.self,
      ready: this.#isReady,
      alternate: peers.alternate() ?? null,
      degraded: isDegraded,
      peers: peers.status,
      journals: journal.sizes,
      sessions: sessions.counts,
      running: this.#running.size,
      counters: { ...this.counters },
    };
  }
}
