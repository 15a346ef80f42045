// The sessions as @fastify/session wants them.

import type { SessionChange } from '@resplice/kit-channel';
import type { Counters } from './counters.ts';
import type { Sessions } from './sessions.ts';
import type { KnownTransaction } from './transaction.ts';

export interface SessionStoreOptions {
  /** A session's life, milliseconds; a destroyed one is remembered for as long. */
  readonly lifetimeMs: number;
  /** Whether it begins anew with each save. */
  readonly rolling?: boolean;
}

type Callback = (error?: unknown) => void;

export interface SessionStoreParts {
  readonly self: string;
  readonly sessions: Sessions;
  readonly counters: Counters;
  /** The transaction that is running, when changes leave with its journal. */
  readonly current: () => KnownTransaction | undefined;
  /** Tells all others. Never throws. */
  readonly tell: (changes: readonly SessionChange[]) => Promise<void>;
}

/** A session that was only seen is told to others when so much of its life has passed. */
const TELL_AFTER = 0.1;

export class SessionStore {
  readonly #parts: SessionStoreParts;
  readonly #options: SessionStoreOptions;

  constructor(parts: SessionStoreParts, options: SessionStoreOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  // biome-ignore lint/suspicious/noExplicitAny: the type of a session is the application's own
  get(id: string, callback: (error: unknown, session?: any) => void): void {
    const known = this.#known(id);
    const alive = known !== undefined && known.data !== null && known.until > Date.now();
    callback(null, alive ? JSON.parse(known.data!) : null);
  }

  set(id: string, session: object, callback: Callback): void {
    const known = this.#known(id);
    if (known?.data === null) {
      this.#parts.counters.sessionsNotRevived++;
      callback();
      return;
    }
    const { lifetimeMs, rolling = false } = this.#options;
    const until = rolling || known === undefined ? Date.now() + lifetimeMs : known.until;
    const data = JSON.stringify(session);
    if (known?.data !== undefined && contentOf(known.data) === contentOf(data)) {
      if (until - known.until < TELL_AFTER * lifetimeMs) {
        // Nothing but its end would change: a read costs no message.
        callback();
        return;
      }
    }
    this.#change(id, known, { until, data }, callback);
  }

  destroy(id: string, callback: Callback): void {
    const known = this.#known(id);
    // Nobody ever had it, or it is gone already: there is nothing to tell.
    if (known === undefined || known.data === null) {
      callback();
      return;
    }
    this.#change(id, known, { until: Date.now() + this.#options.lifetimeMs, data: null }, callback);
  }

  #known(id: string): SessionChange | undefined {
    return this.#parts.current()?.sessions.get(id) ?? this.#parts.sessions.get(id);
  }

  #change(
    id: string,
    known: SessionChange | undefined,
    { until, data }: Pick<SessionChange, 'until' | 'data'>,
    callback: Callback,
  ): void {
    const { self, sessions, current, tell } = this.#parts;
    const change: SessionChange = { id, version: (known?.version ?? 0) + 1, origin: self, until, data };
    const transaction = current();
    if (transaction !== undefined) {
      // With the answer, or not at all: run again, the request finds the session as it was.
      transaction.sessions.set(id, change);
      callback();
      return;
    }
    sessions.apply(change);
    tell([change]).then(() => callback(), callback);
  }
}

/** A session without what each save changes of its cookie. */
function contentOf(data: string): string {
  const { cookie, ...rest } = JSON.parse(data) as { cookie?: Record<string, unknown> };
  const { expires: _expires, originalExpires: _original, ...fixed } = cookie ?? {};
  return JSON.stringify([fixed, rest]);
}
