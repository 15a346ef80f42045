import { affinityKey, bySession } from '@resplice/site-config';
import type { Backend } from '@resplice/splice';
import type { RequestHead } from './head.ts';

/** Back ends that do the same work (P4.2). */
export class Pool {
  readonly name: string;
  readonly members: readonly Backend[];
  readonly #cookie: string | undefined;
  #turn = 0;

  /** @param cookie whose value keeps a session at one back end */
  constructor(name: string, members: readonly Backend[], cookie?: string) {
    this.name = name;
    this.members = members;
    this.#cookie = cookie;
  }

  /** What the request's session is recognised by; undefined if it may go anywhere. */
  sessionOf({ fields }: RequestHead): string | undefined {
    if (this.#cookie === undefined) return undefined;
    // Of several fields as of one: the first cookie of that name counts.
    const cookies = fields.filter(({ name }) => name.toLowerCase() === 'cookie').map(({ value }) => value);
    return affinityKey(cookies.join('; '), this.#cookie);
  }

  /**
   * The next to be asked of those that are not `tried`. Those that are up come first, but an agent that is silent is not a dead
   * application: before the client is refused, the others are tried too. Undefined: nobody is left.
   *
   * Without a session the one with the fewest connections, of whatever pools; equals take turns.
   */
  choose(tried: ReadonlySet<Backend>, session?: string): Backend | undefined {
    const left = this.members.filter(backend => !tried.has(backend));
    const up = left.filter(backend => backend.up);
    const candidates = up.length > 0 ? up : left;
    return session === undefined ? this.#leastLoaded(candidates) : bySession(session, candidates);
  }

  /** Whether one that is up has not been tried yet. */
  hasMore(tried: ReadonlySet<Backend>): boolean {
    return this.members.some(backend => backend.up && !tried.has(backend));
  }

  #leastLoaded(candidates: readonly Backend[]): Backend | undefined {
    this.#turn++;
    let best: Backend | undefined;
    for (let i = 0; i < candidates.length; i++) {
      const backend = candidates[(this.#turn + i) % candidates.length]!;
      if (!best || backend.active < best.active) best = backend;
    }
    return best;
  }
}
