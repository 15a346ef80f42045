import { type ConnectionId, connectionKey } from '@resplice/protocol';

/**
 * The set-up gates (ARCHITECTURE §2.3): for each connection that is being set up, which proxy may. A proxy keeps the gates of
 * those that asked it, and its own. Without them, a proxy that stalls in the middle and a peer that takes over would deliver one
 * request twice.
 */
export class Gates {
  readonly #self: number;
  readonly #isLive: (proxy: number) => boolean;
  readonly #holders = new Map<string, number>();

  /** @param isLive whether a peer is alive; the gates of the dead are free */
  constructor(self: number, isLive: (proxy: number) => boolean) {
    this.#self = self;
    this.#isLive = isLive;
  }

  /** Who holds the gate, if anybody alive does. */
  holder(connection: ConnectionId): number | undefined {
    const key = connectionKey(connection);
    const holder = this.#holders.get(key);
    if (holder === undefined || holder === this.#self || this.#isLive(holder)) return holder;
    this.#holders.delete(key);
    return undefined;
  }

  /** The first asker gets it, and gets it again. Returns the holder after the call. */
  claim(connection: ConnectionId, proxy: number): number {
    const holder = this.holder(connection);
    if (holder !== undefined) return holder;
    this.#holders.set(connectionKey(connection), proxy);
    return proxy;
  }

  /** Opens the gate if `proxy` holds it. */
  release(connection: ConnectionId, proxy: number): void {
    const key = connectionKey(connection);
    if (this.#holders.get(key) === proxy) this.#holders.delete(key);
  }

  /** Opens all gates of a proxy, because it died. */
  releaseAll(proxy: number): void {
    for (const [key, holder] of this.#holders) if (holder === proxy) this.#holders.delete(key);
  }

  get size(): number {
    return this.#holders.size;
  }
}
