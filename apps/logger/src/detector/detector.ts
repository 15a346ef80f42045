import { Facet } from './estimator.ts';
import { DEFAULT_SETTINGS, type DetectorSettings, type TimeoutBounds } from './settings.ts';
import { Watch } from './watch.ts';

/** What is learnt of the requests of one class. */
export interface ClassKnowledge {
  readonly first: Facet;
  readonly rest: Facet;
  /** Which of all watches was the last of this class. */
  usedAt: number;
}

/**
 * Adaptive failure detection (P10): learns how long requests take, for each back end and class of requests, and tells when one is
 * silent for too long. Pure: times are passed in, milliseconds of one clock that does not go back; those of packets may be a
 * little in the past. docs/DETECTION.md has the formula and what it was measured to do.
 */
export class Detector {
  readonly #settings: Readonly<DetectorSettings>;
  readonly #classes = new Map<string, ClassKnowledge>();
  #watches = 0;
  #delayed = 0;

  constructor(settings: Partial<DetectorSettings> = {}) {
    this.#settings = { ...DEFAULT_SETTINGS, ...settings };
  }

  /**
   * Begins to watch a transaction.
   *
   * @param cls what `requestClass` says
   * @param bounds the route's time-out class
   * @param before the watch of the same transaction at the back end that was suspected. Its time-outs are doubled
   *   (RFC 6298 §5.5), and at least `start`: were the request slow and the back end alive, the next one would be suspected too.
   */
  watch(backend: string, cls: string, bounds: TimeoutBounds, before?: Watch): Watch {
    return new Watch(this, this.#knowledge(cls), backend, bounds, before);
  }

  /**
   * The owner could not look at anything for so long: what it missed is not the servers' silence. Pending time-outs shift. To be
   * called once for a stall, when everything that arrived during it has been handed in, before any `isSuspect`.
   *
   * @param ms above 0; the owner's ordinary lateness (a tick of its timer) is not to be told
   */
  delayed(ms: number): void {
    this.#delayed += ms;
  }

  /** Of all stalls so far, ms. */
  get delay(): number {
    return this.#delayed;
  }

  /** Classes that something is known of, or that are being learnt. */
  get size(): number {
    return this.#classes.size;
  }

  #knowledge(cls: string): ClassKnowledge {
    let known = this.#classes.get(cls);
    if (!known) {
      if (this.#classes.size >= this.#settings.classes) this.#forgetOne();
      known = { first: new Facet(this.#settings), rest: new Facet(this.#settings), usedAt: 0 };
      this.#classes.set(cls, known);
    }
    known.usedAt = ++this.#watches;
    return known;
  }

  /** The least recently used. Watches that are under way keep what they have, and learn for nobody. */
  #forgetOne(): void {
    let [oldest, usedAt] = ['', Number.POSITIVE_INFINITY];
    for (const [cls, known] of this.#classes) {
      if (known.usedAt < usedAt) [oldest, usedAt] = [cls, known.usedAt];
    }
    this.#classes.delete(oldest);
  }

  /** For watches. */
  get settings(): Readonly<DetectorSettings> {
    return this.#settings;
  }
}
