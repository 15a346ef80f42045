import { type ConnectionId, connectionKey } from '@resplice/protocol';

/**
 * No set-up takes so long, in ms: a gate that is older was left by a lost release. Were its holder to go on after all, what it
 * publishes would be refused.
 */
const GATE_MS = 10_000;

interface Gate {
  holder: number;
  sinceMs: number;
}

/**
 * The set-up gates (ARCHITECTURE §2.3): for each connection that is being set up, which proxy may. A proxy keeps the gates of
 * those that asked it, and its own. Without them, a proxy that stalls in the middle and a peer that takes over would deliver one
 * request twice.
 */
export class Gates {
  readonly #self: number;
  readonly #isLive: (proxy: number) => boolean;
  readonly #gates = new Map<string, Gate>();
  readonly #now: () => number;

  /** @param isLive whether a peer is alive; the gates of the dead are free */
  constructor(self: number, isLive: (proxy: number) => boolean, now = () => performance.now()) {
    this.#self = self;
    this.#isLive = isLive;
    this.#now = now;
  }

  /** Who holds the gate, if anybody alive does. */
  holder(connection: ConnectionId): number | undefined {
    const key = connectionKey(connection);
    const gate = this.#gates.get(key);
    if (!gate) return undefined;
    if (this.#now() - gate.sinceMs < GATE_MS && (gate.holder === this.#self || this.#isLive(gate.holder))) {
      return gate.holder;
    }
    this.#gates.delete(key);
    return undefined;
  }

  /** The first asker gets it, and gets it again. Returns the holder after the call. */
  claim(connection: ConnectionId, proxy: number): number {
    const holder = this.holder(connection);
    if (holder !== undefined) return holder;
    this.#gates.set(connectionKey(connection), { holder: proxy, sinceMs: this.#now() });
    return proxy;
  }

  /** Opens the gate if `proxy` holds it. */
  release(connection: ConnectionId, proxy: number): void {
    const key = connectionKey(connection);
    if (this.#gates.get(key)?.holder === proxy) this.#gates.delete(key);
  }

  /** Opens all gates of a proxy, because it died. */
  releaseAll(proxy: number): void {
    for (const [key, { holder }] of this.#gates) if (holder === proxy) this.#gates.delete(key);
  }

  /** Forgets gates whose release was lost. */
  expire(): void {
    for (const [key, { sinceMs }] of this.#gates) {
      if (this.#now() - sinceMs < GATE_MS) return; // a map keeps the order of insertion
      this.#gates.delete(key);
    }
  }

  get size(): number {
    return this.#gates.size;
  }
}
