/** A segment that nobody has claimed for so long, in ms, is forgotten: a client's time-outs grow to that. */
const REMEMBERED_MS = 10_000;
const MAX_REMEMBERED = 65_536;
/** A first flight's later segment comes once, and once more as the probe of its tail (RFC 8985 §7). */
const TOO_OFTEN = 3;

interface Asked {
  readonly sequence: number;
  readonly times: number;
  readonly atMs: number;
}

/**
 * Whose segments look like later ones of a first flight, but come again and again. What a client sends again when its time is out
 * begins with the first byte that was not acknowledged (RFC 6298 §5.4): so nothing went before, and no cookie is to come.
 */
export class Insistence {
  readonly #asked = new Map<string, Asked>();

  /**
   * To be called each time that all peers have denied a segment's connection.
   *
   * @param key of the connection's tuple
   * @param nowMs performance.now()
   * @returns whether that segment has come too often to be a first flight's
   */
  insists(key: string, sequence: number, nowMs: number): boolean {
    const before = this.#asked.get(key);
    const times = before?.sequence === sequence ? before.times + 1 : 1;
    if (times >= TOO_OFTEN) this.#asked.delete(key);
    else if (before || this.#asked.size < MAX_REMEMBERED)
      this.#asked.set(key, { sequence, times, atMs: nowMs });
    return times >= TOO_OFTEN;
  }

  /** Forgets what was asked long ago. */
  expire(nowMs: number): void {
    for (const [key, { atMs }] of this.#asked) if (nowMs - atMs > REMEMBERED_MS) this.#asked.delete(key);
  }
}
