// Metrics of one daemon, as Prometheus text and as the flat numbers of /status.

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** A BPF program's counters (Counters of @resplice/dataplane). */
export interface CounterSource {
  /** Current totals by exit. */
  read(): Record<string, number>;
}

export class Metrics {
  readonly registry = new Registry();
  readonly #prefix: string;

  /** @param app names begin with `resplice_<app>_`; dashes become underscores */
  constructor(app: string) {
    this.#prefix = `resplice_${app.replaceAll('-', '_')}_`;
    collectDefaultMetrics({ register: this.registry });
  }

  /** A number that is asked for when somebody looks. `name` without the prefix. */
  gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name: this.#prefix + name,
      help,
      registers: [this.registry],
      collect() {
        this.set(value());
      },
    });
  }

  /** A total kept elsewhere that only grows, asked for when somebody looks. */
  total(name: string, help: string, value: () => number): void {
    this.totals(name, help, [], () => [[{}, value()]]);
  }

  /** A counter of the caller's own. */
  counter<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: this.#prefix + name, help, labelNames, registers: [this.registry] });
  }

  /** Totals kept elsewhere, one for each set of labels. */
  totals(
    name: string,
    help: string,
    labelNames: string[],
    values: () => Iterable<[Record<string, string>, number]>,
  ): void {
    new Counter({
      name: this.#prefix + name,
      help,
      labelNames,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [labels, value] of values()) this.inc(labels, value);
      },
    });
  }

  /** Publishes a BPF program's counters as one counter with the label `exit`. */
  exits(name: string, help: string, source: CounterSource): void {
    this.totals(name, help, ['exit'], () =>
      Object.entries(source.read()).map(([exit, value]) => [{ exit }, value]),
    );
  }

  /** Publishes an object's numbers as one counter with the label `event`: `peersSilent` as `peers_silent`. */
  events(name: string, help: string, source: object): void {
    this.totals(name, help, ['event'], () =>
      Object.entries(source).map(([field, value]) => [
        { event: field.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`) },
        Number(value),
      ]),
    );
  }

  /** Prometheus text, format 0.0.4. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** Our own metrics without their prefix: `packets_total.steered` for `…packets_total{exit="steered"}`. */
  async numbers(): Promise<Record<string, number>> {
    const flat: Record<string, number> = {};
    for (const metric of await this.registry.getMetricsAsJSON()) {
      if (!metric.name.startsWith(this.#prefix)) continue;
      for (const { labels, value } of metric.values) {
        const name = [metric.name.slice(this.#prefix.length), ...Object.values(labels)].join('.');
        flat[name] = value;
      }
    }
    return flat;
  }
}
