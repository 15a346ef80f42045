import { parseIp } from '@resplice/dataplane';
import {
  type AllowList,
  backendsOf,
  type Compare,
  compileAllowList,
  compileJudge,
  type Judge,
  type Judgement,
  type Refusal,
} from '@resplice/site-config';
import type { Backend, Backends } from '@resplice/splice';
import type { ProxyConfig } from './config.ts';
import type { RequestHead } from './head.ts';
import { Pool } from './pool.ts';

/** What the kernel half may still hand up of a removed listener: handshakes, for as long as their cookies are accepted, ms. */
const RETIRED_MS = 400_000;

type Rules = Pick<ProxyConfig, 'listeners' | 'pools'>;

interface Listener {
  name: string;
  address: string;
  port: number;
  admits: AllowList;
  judge: Judge;
  pools: ReadonlyMap<string, Pool>;
  /** performance.now() when it was removed; undefined: it is configured. */
  retiredMs: number | undefined;
}

interface Endpoint {
  /** Host order. */
  vip: number;
  vipPort: number;
}

export type Choice = { kind: 'candidates'; pool: Pool; session: string | undefined } | Refusal;

/** Where clients connect and what becomes of their requests (P2.2): the configuration's listeners and pools. */
export class Site {
  readonly #backends: Backends;
  readonly #compare: Compare;
  #listeners = new Map<number, Listener>();
  #pools: ReadonlyMap<string, Pool> = new Map();

  /**
   * @param compare compares passwords: a `BcryptThread`'s
   * @throws Error when a password file cannot be followed
   */
  constructor(rules: Rules, backends: Backends, compare: Compare) {
    this.#backends = backends;
    this.#compare = compare;
    this.replace(rules);
  }

  /**
   * Follows other rules from now on; what has been chosen stays chosen. All of it is made before any of it takes effect.
   *
   * @throws Error when a password file cannot be followed
   */
  replace({ listeners, pools }: Rules): void {
    const made = new Map(Object.entries(pools).map(([name, pool]) => [name, this.#pool(name, pool)]));
    const next = new Map<number, Listener>();
    for (const listener of listeners) {
      const { name, address, port, allow } = listener;
      next.set(keyOf(parseIp(address), port), {
        name,
        address,
        port,
        admits: compileAllowList(allow),
        judge: compileJudge(listener, this.#compare),
        pools: made,
        retiredMs: undefined,
      });
    }
    const now = performance.now();
    // Clients whose handshake is done have a connection, though nobody but them knows of it.
    for (const [key, old] of this.#listeners) {
      const retiredMs = old.retiredMs ?? now;
      if (!next.has(key) && now - retiredMs < RETIRED_MS) next.set(key, { ...old, retiredMs });
    }
    this.#listeners = next;
    this.#pools = made;
  }

  /** Whether the listener takes connections from this client. */
  admits({ client, ...endpoint }: Endpoint & { client: number }): boolean {
    return this.#listener(endpoint)?.admits(client) ?? true;
  }

  /** Who may take a request. A promise only while a password is compared; it never rejects. */
  choose(endpoint: Endpoint & { client: number }, head: RequestHead): Choice | Promise<Choice> {
    const listener = this.#listener(endpoint);
    // A daemon that was started when the listener had gone already.
    if (!listener)
      return { kind: 'refused', status: 503, reason: `Port ${endpoint.vipPort} is no longer served.` };
    const follow = (judgement: Judgement): Choice => {
      if (judgement.kind === 'refused') return judgement;
      const pool = listener.pools.get(judgement.pool)!;
      return { kind: 'candidates', pool, session: pool.sessionOf(head) };
    };
    const judgement = listener.judge(head, endpoint.client);
    return judgement instanceof Promise ? judgement.then(follow) : follow(judgement);
  }

  /** For /status. */
  status() {
    const configured = [...this.#listeners.values()].filter(({ retiredMs }) => retiredMs === undefined);
    return {
      listeners: configured.map(({ name, address, port }) => ({ name, address, port })),
      pools: [...this.#pools.values()].map(({ name, members }) => ({
        name,
        backends: members.map(backend => ({ name: backend.name, up: backend.up, active: backend.active })),
      })),
    };
  }

  #pool(name: string, pool: Rules['pools'][string]): Pool {
    const names = backendsOf(
      pool,
      this.#backends.all.map(backend => backend.name),
    );
    const members = names.map(each => this.#backends.byName(each)).filter((each): each is Backend => !!each);
    return new Pool(name, members, pool.affinity?.cookie);
  }

  #listener({ vip, vipPort }: Endpoint): Listener | undefined {
    return this.#listeners.get(keyOf(vip, vipPort));
  }
}

/** A number: text would be made anew for every segment of a set-up. */
function keyOf(vip: number, port: number): number {
  return vip * 0x1_0000 + port;
}
