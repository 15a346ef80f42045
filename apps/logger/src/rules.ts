import {
  affinityKey,
  backendsOf,
  bySession,
  type Compare,
  compileJudge,
  isUniform,
  type Judge,
  type Judgement,
  type Listener,
  type Refusal,
  type RoutableHead,
  type Site,
} from '@resplice/site-config';
import type { Backend, Backends } from '@resplice/splice';

/** Who may be given a request. */
export interface Allowed {
  kind: 'allowed';
  members: ReadonlySet<Backend>;
  /** What the request's session is recognised by; undefined: it may go to any of them. */
  session: string | undefined;
}

export type Verdict = Allowed | Refusal;

interface Pool {
  members: ReadonlySet<Backend>;
  /** Cookie whose value keeps a session at one back end. */
  cookie: string | undefined;
}

interface Place {
  isGuarded: boolean;
  isProtected: boolean;
  judge: Judge;
  pools: ReadonlyMap<string, Pool>;
  /** Of a listener all of whose requests go to one. */
  only: Pool | undefined;
}

/** What rules are made from: the site's, as the daemon's configuration repeats them. */
export interface RulesConfig extends Pick<Site, 'listeners' | 'pools'> {
  /** Longest head of a request, bytes. */
  headBytes: number;
}

const TOO_LONG: Refusal = { kind: 'refused', status: 431, reason: 'The head is too long.' };
const GONE: Refusal = { kind: 'refused', status: 503, reason: 'This port is no longer served.' };

/** What each request of a listener is judged by (P2.2), if that is not uniform. */
export class Rules {
  readonly #backends: Backends;
  readonly #compare: Compare;
  #byPort = new Map<number, Place>();
  #headBytes = 0;

  /**
   * @param compare compares passwords: a `BcryptThread`'s
   * @throws Error when a password file cannot be followed
   */
  constructor(rules: RulesConfig, backends: Backends, compare: Compare) {
    this.#backends = backends;
    this.#compare = compare;
    this.replace(rules);
  }

  /**
   * From the next head on. A listener that was removed is as it was for the connections that it still has.
   *
   * @throws Error when a password file cannot be followed; nothing has changed then
   */
  replace({ listeners, pools, headBytes }: RulesConfig): void {
    const made = new Map(Object.entries(pools).map(([name, pool]) => [name, this.#pool(pool)]));
    const next = listeners.map((listener: Listener): [number, Place] => {
      const isGuarded = !isUniform(listener);
      const only = made.get(listener.pool ?? listener.routes?.[0]?.pool ?? '');
      const judge = compileJudge(listener, this.#compare);
      const isProtected = listener.protect !== false;
      return [
        listener.port,
        { isGuarded, isProtected, judge, pools: made, only: isGuarded ? undefined : only },
      ];
    });
    for (const { name, pool, routes = [] } of listeners.filter(each => !isUniform(each))) {
      const missing = [pool, ...routes.map(route => route.pool)].find(each => each && !made.has(each));
      if (missing) throw new Error(`listener ${name}: there is no pool ${missing}`);
    }
    for (const [port, place] of next) this.#byPort.set(port, place);
    this.#headBytes = headBytes;
  }

  /** Whether a listener's requests are to be judged each. @param port of the VIP */
  guards(port: number): boolean {
    return this.#byPort.get(port)?.isGuarded ?? false;
  }

  /** Whether a new connection is to survive its back end. @param port of the VIP */
  protects(port: number): boolean {
    return this.#byPort.get(port)?.isProtected ?? true;
  }

  /** Who may be given a connection to a port whose requests all go to one pool; undefined: each is judged. @param port of the VIP */
  membersOf(port: number): ReadonlySet<Backend> | undefined {
    return this.#byPort.get(port)?.only?.members;
  }

  /**
   * @param client IPv4 address, host order
   * @param size of the head, bytes
   * @returns a promise only while a password is compared; it never rejects
   */
  judge(port: number, client: number, head: RoutableHead, size: number): Verdict | Promise<Verdict> {
    if (size > this.#headBytes) return TOO_LONG;
    const place = this.#byPort.get(port);
    // Of a former daemon's, removed since.
    if (!place) return GONE;
    const follow = (judgement: Judgement): Verdict => {
      if (judgement.kind === 'refused') return judgement;
      const { members, cookie } = place.pools.get(judgement.pool)!;
      return { kind: 'allowed', members, session: cookie && sessionOf(head, cookie) };
    };
    const judgement = place.judge(head, client);
    return judgement instanceof Promise ? judgement.then(follow) : follow(judgement);
  }

  #pool(pool: Site['pools'][string]): Pool {
    const names = backendsOf(
      pool,
      this.#backends.all.map(({ name }) => name),
    );
    const members = names.map(name => this.#backends.byName(name)).filter((each): each is Backend => !!each);
    return { members: new Set(members), cookie: pool.affinity?.cookie };
  }
}

/** Of several fields as of one: the first cookie of that name counts. */
function sessionOf({ fields }: RoutableHead, cookie: string): string | undefined {
  const cookies = fields.filter(({ name }) => name.toLowerCase() === 'cookie').map(({ value }) => value);
  return affinityKey(cookies.join('; '), cookie);
}

/** The one of these that a session belongs to, as the proxies pick it; without one, the one with the fewest connections. */
export function pick(candidates: readonly Backend[], session: string | undefined): Backend | undefined {
  if (session === undefined) return candidates.toSorted((a, b) => a.active - b.active)[0];
  return bySession(session, candidates);
}
