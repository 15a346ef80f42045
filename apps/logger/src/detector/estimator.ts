import type { Bounds, DetectorSettings } from './settings.ts';

/** Mean and mean deviation of durations, as RFC 6298 §2 keeps them of round-trip times. */
export class Estimator {
  mean = 0;
  deviation = 0;
  count = 0;

  /** @param sample ms */
  learn(sample: number): void {
    if (this.count++ === 0) {
      this.mean = sample;
      this.deviation = sample / 2;
      return;
    }
    // The deviation first: it is of the mean before this sample (RFC 6298 §2.3).
    this.deviation += (Math.abs(sample - this.mean) - this.deviation) / 4;
    this.mean += (sample - this.mean) / 8;
  }
}

/**
 * The longest of the last `size` to 2 × `size` samples. A mean and its deviation forget an outlier within 20 samples; a report
 * that takes ten seconds once in a hundred requests would be taken for a dead server each time.
 */
export class Peak {
  readonly #size: number;
  #current = 0;
  #before = 0;
  #left: number;

  constructor(size: number) {
    this.#size = size;
    this.#left = size;
  }

  get value(): number {
    return Math.max(this.#current, this.#before);
  }

  learn(sample: number): void {
    if (this.#left-- === 0) {
      this.#before = this.#current;
      this.#current = 0;
      this.#left = this.#size - 1;
    }
    this.raise(sample);
  }

  /** A duration that belongs to a sample which is not complete yet. */
  raise(sample: number): void {
    if (sample > this.#current) this.#current = sample;
  }
}

/**
 * What is known of one of the two time-outs of a request class. How long a request of this class may take at worst is the
 * application's nature, the same at all back ends; the mean and its deviation are each back end's own.
 */
export class Facet {
  readonly #settings: DetectorSettings;
  readonly #all = new Estimator();
  readonly #own = new Map<string, Estimator>();
  readonly #peak: Peak;

  constructor(settings: DetectorSettings) {
    this.#settings = settings;
    this.#peak = new Peak(settings.peakSamples);
  }

  learn(backend: string, sample: number): void {
    let own = this.#own.get(backend);
    if (!own) {
      own = new Estimator();
      this.#own.set(backend, own);
    }
    own.learn(sample);
    this.#all.learn(sample);
    this.#peak.learn(sample);
  }

  raise(sample: number): void {
    this.#peak.raise(sample);
  }

  /** The time-out, ms. */
  timeout(backend: string, { floor, start, cap }: Bounds): number {
    const { deviations, peakFactor } = this.#settings;
    const { mean, deviation, count } = this.#own.get(backend) ?? this.#all;
    const peak = peakFactor * this.#peak.value;
    // A few samples prove little: the start value gives way to what is learnt, as one to their number.
    const proof = count === 0 ? start : start / this.#all.count;
    return Math.min(cap, Math.max(floor, proof, peak, mean + deviations * deviation));
  }
}
