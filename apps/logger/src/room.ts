import type { Tracks } from './tracks.ts';

/** With more of the table in use, connections make room before a new one finds none. */
const FULL = 0.9;
/** So much of it is in use afterwards. */
const ENOUGH = 0.85;
/**
 * A connection of which nothing has been seen for so long is gone, ms: its client would have asked after two hours whether it is still
 * there (RFC 9293 §3.8.4), and whoever keeps a table of connections waits a little longer than that (RFC 5382 §5, REQ-5).
 */
export const GONE_MS = (2 * 60 + 4) * 60_000;

/** Between two looks for those that are gone, ms. */
const LOOK_MS = 60_000;

/** What is known of a connection that may have to make room. */
export interface Occupant {
  readonly slot: number;
  /** Whether something is under way that would be lost. */
  readonly isBusy: boolean;
}

/** Decides which connections leave the table: those that are gone, and the least recently used ones when it is nearly full. */
export class Room {
  readonly #tracks: Pick<Tracks, 'slots' | 'lastMs'>;

  #lookedMs = 0;

  constructor(tracks: Pick<Tracks, 'slots' | 'lastMs'>) {
    this.#tracks = tracks;
  }

  /** Whether to look through all connections now: there may be many, and those that are gone do no harm while there is room. */
  isDue(used: number, nowMs: number): boolean {
    if (used <= FULL * this.#tracks.slots && nowMs - this.#lookedMs < LOOK_MS) return false;
    this.#lookedMs = nowMs;
    return true;
  }

  /**
   * @param used slots in use
   * @param nowMs CLOCK_MONOTONIC
   * @returns who leaves: `gone`, and `evicted`, oldest first; busy ones are not evicted
   */
  choose<T extends Occupant>(all: Iterable<T>, used: number, nowMs: number): { gone: T[]; evicted: T[] } {
    const gone: T[] = [];
    const idle: { occupant: T; lastMs: number }[] = [];
    const { slots } = this.#tracks;
    const isFull = used > FULL * slots;
    for (const occupant of all) {
      const lastMs = this.#tracks.lastMs(occupant.slot);
      if (nowMs - lastMs > GONE_MS) gone.push(occupant);
      else if (isFull && !occupant.isBusy) idle.push({ occupant, lastMs });
    }
    const count = isFull ? Math.max(0, used - gone.length - Math.floor(ENOUGH * slots)) : 0;
    idle.sort((a, b) => a.lastMs - b.lastMs);
    return { gone, evicted: idle.slice(0, count).map(each => each.occupant) };
  }
}
