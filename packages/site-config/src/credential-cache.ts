export interface CacheBounds {
  /** Entries kept at most; the one unused for longest makes room. */
  entries: number;
  /** Milliseconds from when an entry was set; use does not prolong it. */
  ms: number;
  now: () => number;
}

/** What was verified lately, bounded in number and in time. */
export class CredentialCache<T> {
  readonly #bounds: CacheBounds;
  /** In the order of last use, the latest last. */
  readonly #entries = new Map<string, { value: T; until: number }>();

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (entry.until <= this.#bounds.now()) return undefined;
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: T): void {
    const { entries, ms, now } = this.#bounds;
    this.#entries.delete(key);
    while (this.#entries.size > 0 && this.#entries.size >= entries)
      this.#entries.delete(this.#entries.keys().next().value!);
    if (entries > 0) this.#entries.set(key, { value, until: now() + ms });
  }
}
