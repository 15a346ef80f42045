// Sessions in this process's memory: for a server on its own.

import type { Session } from 'fastify';

type Callback<T = void> = (error?: unknown, value?: T) => void;

interface Kept {
  readonly session: Session;
  /** Epoch milliseconds. */
  readonly until: number;
}

/** More than that many people are not served by one process; the oldest session goes first. */
const MAX_SESSIONS = 100_000;

export class SessionMemory {
  readonly #kept = new Map<string, Kept>();
  readonly #lifetimeMs: number;
  readonly #now: () => number;

  constructor(lifetimeMs: number, now: () => number = Date.now) {
    this.#lifetimeMs = lifetimeMs;
    this.#now = now;
  }

  get size(): number {
    return this.#kept.size;
  }

  set(id: string, session: Session, callback: Callback): void {
    const until = this.#kept.get(id)?.until ?? this.#now() + this.#lifetimeMs;
    this.#kept.delete(id);
    this.#kept.set(id, { session, until });
    if (this.#kept.size > MAX_SESSIONS) this.#shrink();
    callback();
  }

  get(id: string, callback: Callback<Session | null>): void {
    const kept = this.#kept.get(id);
    const alive = kept !== undefined && kept.until > this.#now();
    if (!alive) this.#kept.delete(id);
    callback(undefined, alive ? kept.session : null);
  }

  destroy(id: string, callback: Callback): void {
    this.#kept.delete(id);
    callback();
  }

  #shrink(): void {
    const now = this.#now();
    for (const [id, { until }] of this.#kept) if (until <= now) this.#kept.delete(id);
    for (const id of this.#kept.keys()) {
      if (this.#kept.size <= MAX_SESSIONS) return;
      this.#kept.delete(id);
    }
  }
}
