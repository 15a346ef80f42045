// Sessions in the database: for servers that work side by side without the back-end kit.

import type { Database } from '@resplice/mailstore';
import type { Session } from 'fastify';

type Callback<T = void> = (error?: unknown, value?: T) => void;

/** Sessions that are over are removed when so many others have begun. */
const SWEEP_EVERY = 1000;

export class SessionTable {
  readonly #database: Database;
  readonly #lifetimeMs: number;
  #begun = 0;

  constructor(database: Database, lifetimeMs: number) {
    this.#database = database;
    this.#lifetimeMs = lifetimeMs;
  }

  set(id: string, session: Session, callback: Callback): void {
    this.#answer(callback, async () => {
      if (this.#begun++ % SWEEP_EVERY === 0) await this.#sweep();
      // Its time is counted from its beginning, and nothing brings back one that has ended.
      await this.#database.query(
        `insert into sessions (id, content, until) values ($1, $2, $3)
         on conflict (id) do update set content = excluded.content where sessions.content is not null`,
        [id, JSON.stringify(session), new Date(Date.now() + this.#lifetimeMs)],
      );
    });
  }

  get(id: string, callback: Callback<Session | null>): void {
    this.#answer(callback, async () => {
      const [row] = await this.#database.query<{ content: Session | null }>(
        'select content from sessions where id = $1 and until > now()',
        [id],
      );
      return row?.content ?? null;
    });
  }

  destroy(id: string, callback: Callback): void {
    this.#answer(callback, async () => {
      await this.#database.query(
        `insert into sessions (id, content, until) values ($1, null, $2)
         on conflict (id) do update set content = null`,
        [id, new Date(Date.now() + this.#lifetimeMs)],
      );
    });
  }

  async #sweep(): Promise<void> {
    await this.#database.query('delete from sessions where until < now()');
  }

  #answer<T>(callback: Callback<T>, work: () => Promise<T>): void {
    work().then(value => callback(undefined, value), callback);
  }
}
