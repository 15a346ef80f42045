/** Monotonic time in ms, the same in every thread of the process (performance.now() is not). */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** By less than that the wall clock and this process's own may differ before it counts as set, ms. */
const SET_MS = 20;

/**
 * A clock that tells the wall clock's time in fractions of a millisecond, and follows when that is set: who adds performance.now() to
 * the time at which the process began does not.
 *
 * @param wall ms since 1970, whole ones
 * @param elapsed ms since any moment, by a clock that nobody sets
 */
export function epochClock(wall: () => number, elapsed: () => number): () => number {
  let origin = wall() - elapsed();
  return () => {
    const ms = elapsed();
    const wallMs = wall();
    if (Math.abs(wallMs - (origin + ms)) > SET_MS) origin = wallMs - ms;
    return origin + ms;
  };
}

/** Ms since 1970, fractions included. */
export const epochMs = epochClock(Date.now, () => performance.now());
