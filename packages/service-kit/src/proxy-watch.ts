// Keeps a steering table to the proxies that are live and ready.

import type { Liveness } from './liveness.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Steering } from './steering.ts';

export interface ProxyWatchOptions {
  liveness: Liveness;
  steering: Steering;
  /** Names of the proxies; others may be probed as well. */
  proxies: readonly string[];
  log: Log;
  metrics: Metrics;
}

export class ProxyWatch {
  readonly #liveness: Liveness;
  readonly #steering: Steering;
  readonly #proxies: ReadonlySet<string>;
  readonly #log: Log;
  #settled = false;
  #nobody = false;
  #swaps = 0;

  constructor({ liveness, steering, proxies, log, metrics }: ProxyWatchOptions) {
    this.#liveness = liveness;
    this.#proxies = new Set(proxies);
    this.#steering = steering;
    this.#log = log;
    const known = new Map<string, string>();
    liveness.onChange(({ name }, { live, ready, epoch }) => {
      if (!this.#proxies.has(name)) return;
      // Its status may change with every answer, and is nothing to the table.
      const seen = `${live} ${ready} ${epoch}`;
      if (known.get(name) === seen) return;
      known.set(name, seen);
      log.info({ proxy: name, live, ready, epoch }, 'proxy changed');
      this.#follow();
    });
    liveness.onSuspectSelf(() =>
      log.warn('all proxies went silent at once: it may be this host, waiting a round'),
    );
    metrics.gauge('steering_live_proxies', 'Proxies that are live and ready.', () => this.#up().length);
    metrics.gauge('steering_kept', '1 while no proxy is live and the last table is kept.', () =>
      this.#nobody ? 1 : 0,
    );
    metrics.gauge('steering_version', 'Version of the steering table.', () => steering.version);
    metrics.total('steering_swaps_total', 'Swaps of the steering table since start.', () => this.#swaps);
    liveness.publish(metrics);
  }

  /** Waits until every proxy was heard or had the time to be, and begins to steer. */
  async begin(): Promise<void> {
    await this.#liveness.settled;
    // Not sooner: after a restart the pinned table is better than one made of the first proxy that happened to answer.
    this.#settled = true;
    this.#follow();
  }

  ready(): true | string {
    if (!this.#settled) return 'the proxies have not been probed yet';
    return this.#nobody ? 'no proxy is live; the last table is kept' : true;
  }

  /** For /status. `live` are the proxies that are live now; the table may be older (`kept`). */
  status() {
    return { table: { ...this.#steering.table(), live: this.#up(), kept: this.#nobody } };
  }

  #up(): string[] {
    return this.#liveness.up().filter(name => this.#proxies.has(name));
  }

  #follow(): void {
    if (!this.#settled) return;
    const up = this.#up();
    const nobody = up.length === 0;
    if (nobody !== this.#nobody && nobody) this.#log.error('no proxy is live: keeping the last table');
    this.#nobody = nobody;
    if (!this.#steering.apply(new Set(up))) return;
    this.#swaps++;
    this.#log.info({ live: up, version: this.#steering.version }, 'steering table swapped');
  }
}
