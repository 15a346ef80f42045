/** A peer that was ready so lately, in ms, will be again: it is asking how it stands, or being told something. */
const PATIENCE_MS = 500;

/** What is known of a peer by its answers to probes. */
export interface PeerView {
  live: boolean;
  ready: boolean;
  /** How many hosts it hears: its `reach`. */
  status: number;
}

/**
 * How well this proxy is connected, compared with its peers: a proxy that hears fewer of the hosts around it (balancers, logger,
 * back ends' agents) than a peer does must not carry connections which that peer can carry. When the hosts themselves die, all
 * proxies hear fewer, and nobody is worse off.
 */
export class Outlook {
  readonly #heard = new Set<string>();
  readonly #peers = new Map<number, PeerView & { readyMs: number }>();
  readonly #now: () => number;

  /** @param now monotonic ms */
  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** Hosts that this proxy hears. */
  get reach(): number {
    return this.#heard.size;
  }

  /** Whether a peer hears more, and is ready or was so until just now. May change by itself as time goes by. */
  get isWorse(): boolean {
    const since = this.#now() - PATIENCE_MS;
    for (const { live, ready, status, readyMs } of this.#peers.values()) {
      if (live && (ready || readyMs > since) && status > this.reach) return true;
    }
    return false;
  }

  hostChanged(name: string, live: boolean): void {
    if (live) this.#heard.add(name);
    else this.#heard.delete(name);
  }

  peerChanged(id: number, { live, ready, status }: PeerView): void {
    const known = this.#peers.get(id);
    const wasReady = known?.live && known.ready;
    const readyMs = wasReady ? this.#now() : (known?.readyMs ?? Number.NEGATIVE_INFINITY);
    this.#peers.set(id, { live, ready, status, readyMs });
  }
}
