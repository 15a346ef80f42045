/** What is said of several runs of a cell. */

export interface Spread {
  readonly n: number;
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Null without values. */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { n: sorted.length, median, low: sorted[0]!, high: sorted.at(-1)! };
}

/** All differences between the one's values and the other's, for runs that are not pairs. */
export function differences(of: readonly number[], less: readonly number[]): number[] {
  return of.flatMap(a => less.map(b => a - b));
}

/** Small, seeded, and the same everywhere (mulberry32). @returns draws of 0…1 */
export function drawsFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const RESAMPLES = 2000;

/**
 * A bootstrap interval that holds the difference of two means with 95 % confidence; null with fewer than two values of either.
 *
 * @param seed repeats the draws
 */
export function interval(
  of: readonly number[],
  less: readonly number[],
  seed: number,
): { low: number; high: number } | null {
  if (of.length < 2 || less.length < 2) return null;
  const draw = drawsFrom(seed);
  const mean = (values: readonly number[]): number =>
    values.reduce(sum => sum + values[Math.floor(draw() * values.length)]!, 0) / values.length;
  const found = Array.from({ length: RESAMPLES }, () => mean(of) - mean(less)).sort((a, b) => a - b);
  return { low: found[Math.floor(0.025 * RESAMPLES)]!, high: found[Math.ceil(0.975 * RESAMPLES) - 1]! };
}
