// PostgreSQL as the mail programs use it: transactions that are repeated when the server goes away and comes back, and
// effects that are made once.

import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

export type Client = Pick<pg.ClientBase, 'query'>;

export interface DatabaseOptions {
  /** `postgres://…`, or where the socket is. */
  readonly connection: string | { readonly host: string; readonly user: string; readonly database: string };
  /** PostgreSQL shows it, behind the transaction's ID while an effect is being made. */
  readonly applicationName: string;
  readonly maxConnections?: number;
  /** How long the database may be away before a caller is told, milliseconds. */
  readonly patienceMs?: number;
  /** After how long the database ends a transaction in which nothing is asked, milliseconds. */
  readonly idleMs?: number;
  /** After how long without an answer a connection is taken for lost, milliseconds. */
  readonly silenceMs?: number;
}

/** The database cannot be reached. What was asked may be asked again: nothing is done twice. */
export class DatabaseAwayError extends Error {
  constructor(cause: unknown) {
    super(`the database is away: ${(cause as Error).message}`, { cause });
    this.name = 'DatabaseAwayError';
  }
}

/** The connection broke while a transaction was being committed: it may have been, or not. */
export class CommitInDoubtError extends DatabaseAwayError {
  constructor(cause: unknown) {
    super(cause);
    this.name = 'CommitInDoubtError';
  }
}

const PATIENCE_MS = 4000;
const PAUSE_MS = 50;
/** A session that is told to end is waited for so long, milliseconds. */
const END_MS = 1000;
/** A statement that takes longer is not answered by waiting, milliseconds. */
const STATEMENT_MS = 20_000;
/** The database ends what takes longer than that: no answer after this time is no slow one, milliseconds. */
const SILENCE_MS = STATEMENT_MS + 5000;
/** A connection that nobody uses is asked for a sign of life after that, milliseconds. */
const KEEPALIVE_MS = 5000;
/** Whoever stands still in the middle of a transaction for so long is frozen or cut off: its locks are needed, milliseconds. */
const IDLE_MS = 5000;

/** Errors of a connection, as against those of a statement. PostgreSQL's codes are five characters long. */
function isAway(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code === 'string') {
    // 57P01 shutdown, 57P02 crash, 57P03 starting up, 25P03 stood still for too long, 08… connection
    if (/^(57P0[123]|25P03|08...)$/.test(code)) return true;
    if (/^(ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/.test(code)) return true;
  }
  return (
    error instanceof Error &&
    /^Connection terminated|^Query read timeout|not queryable|timeout exceeded when trying/.test(
      error.message,
    )
  );
}

/** Two transactions stood in each other's way, and one was rolled back. */
function isCollision(error: unknown): boolean {
  return /^40(001|P01)$/.test(String((error as { code?: unknown } | undefined)?.code));
}

export class Database {
  readonly #pool: pg.Pool;
  readonly #patienceMs: number;
  readonly #applicationName: string;

  constructor({
    connection,
    applicationName,
    maxConnections = 10,
    patienceMs = PATIENCE_MS,
    idleMs = IDLE_MS,
    silenceMs = SILENCE_MS,
  }: DatabaseOptions) {
    this.#patienceMs = patienceMs;
    this.#applicationName = applicationName;
    this.#pool = new pg.Pool({
      ...(typeof connection === 'string' ? { connectionString: connection } : connection),
      application_name: applicationName,
      max: maxConnections,
      connectionTimeoutMillis: patienceMs,
      statement_timeout: STATEMENT_MS,
      // A machine that is cut off says nothing at all: without these its connections would be waited for until TCP gives up.
      query_timeout: silenceMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEPALIVE_MS,
      idle_in_transaction_session_timeout: idleMs,
    });
    // A pooled connection that breaks while nobody uses it is replaced; without a listener it would end the process.
    this.#pool.on('error', () => {});
  }

  /**
   * Reads. Repeated while the database is away.
   * @throws DatabaseAwayError after the patience
   */
  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return await this.#patiently(async () => (await this.#pool.query<Row>(text, values)).rows);
  }

  /**
   * Runs the work in one transaction. Repeated while the database is away, but not when the connection broke at the end.
   * @throws CommitInDoubtError when it may have been committed, DatabaseAwayError when not, or what the work throws
   */
  async transact<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return await this.#patiently(() => this.#attempt(work), false);
  }

  /**
   * Runs work that does no harm when it is done again: repeated also when it may have been committed.
   * @param transaction whose work it is: whoever takes that over need not wait for us (`endPredecessor`)
   * @throws CommitInDoubtError, DatabaseAwayError after the patience, or what the work throws
   */
  async repeat<T>(work: (client: Client) => Promise<T>, transaction?: string): Promise<T> {
    return await this.#patiently(() => this.#attempt(work, transaction));
  }

  /**
   * Makes an effect once for a transaction and step of it, and returns its outcome; made already, returns that of then.
   * The effect and its record are one database transaction, so this may be repeated at will, and is while the database
   * is away.
   * @param transaction from the request's own identity (P8.3)
   * @param work returns what JSON can hold
   * @throws DatabaseAwayError, or what the work throws
   */
  async once<T>(transaction: string, step: string, work: (client: Client) => Promise<T>): Promise<T> {
    return await this.repeat(async client => {
      const claimed = await client.query(
        'insert into effects (transaction_id, step) values ($1, $2) on conflict do nothing',
        [transaction, step],
      );
      if (claimed.rowCount === 0) {
        const { rows } = await client.query<{ outcome: T }>(
          'select outcome from effects where transaction_id = $1 and step = $2',
          [transaction, step],
        );
        return rows[0]!.outcome;
      }
      const outcome = await work(client);
      await client.query('update effects set outcome = $3 where transaction_id = $1 and step = $2', [
        transaction,
        step,
        JSON.stringify(outcome ?? null),
      ]);
      return outcome;
    }, transaction);
  }

  /** What came of a step that was made once; undefined: it has not been made. @throws DatabaseAwayError */
  async outcomeOf<T>(transaction: string, step: string): Promise<T | undefined> {
    const [row] = await this.query<{ outcome: T }>(
      'select outcome from effects where transaction_id = $1 and step = $2',
      [transaction, step],
    );
    return row?.outcome;
  }

  /**
   * Ends the sessions in which others are making effects of a transaction that is now ours: a back end that is frozen keeps its
   * rows locked, and would hold up whoever takes over from it. If it thaws it finds the effect made.
   * @returns how many there were
   * @throws DatabaseAwayError
   */
  async endPredecessor(transaction: string): Promise<number> {
    const ended = await this.query(
      `select pg_terminate_backend(pid, ${END_MS}) from pg_stat_activity
       where usename = current_user and starts_with(application_name, $1) and pid <> pg_backend_pid()`,
      [`${transaction} `],
    );
    return ended.length;
  }

  async #attempt<T>(work: (client: Client) => Promise<T>, transaction?: string): Promise<T> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    const note = (error: Error): void => {
      broken = error;
    };
    client.on('error', note);
    let committing = false;
    try {
      const label = `${transaction} ${this.#applicationName}`;
      await client.query(
        transaction === undefined
          ? 'begin'
          : `begin; set local application_name = ${pg.escapeLiteral(label)}`,
      );
      const result = await work(client);
      committing = true;
      await client.query('commit');
      return result;
    } catch (error) {
      if (isAway(error)) broken = error as Error;
      else await client.query('rollback').catch(note);
      throw committing && broken !== undefined ? new CommitInDoubtError(error) : error;
    } finally {
      client.off('error', note);
      client.release(broken);
    }
  }

  async #patiently<T>(work: () => Promise<T>, evenInDoubt = true): Promise<T> {
    const deadline = performance.now() + this.#patienceMs;
    // What is said in the end: once in doubt, a later refusal to connect removes no doubt.
    let doubt: CommitInDoubtError | undefined;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (isCollision(error)) continue;
        if (error instanceof CommitInDoubtError) doubt = error;
        else if (!isAway(error)) throw error;
        if (performance.now() > deadline || (doubt !== undefined && !evenInDoubt)) {
          throw doubt ?? new DatabaseAwayError(error);
        }
        await pause(PAUSE_MS);
      }
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}
