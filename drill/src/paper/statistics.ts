/** What is said of several runs of a cell. */
import { type Spread as Extent, randomFrom, spread } from '@resplice/figures';

export interface Spread extends Extent {
  readonly n: number;
}

/** Null without values. */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  return { n: values.length, ...spread(values) };
}

/** All differences between the one's values and the other's, for runs that are not pairs. */
export function differences(of: readonly number[], less: readonly number[]): number[] {
  return of.flatMap(a => less.map(b => a - b));
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
  const draw = randomFrom(seed);
  const mean = (values: readonly number[]): number =>
    values.reduce(sum => sum + values[Math.floor(draw() * values.length)]!, 0) / values.length;
  const found = Array.from({ length: RESAMPLES }, () => mean(of) - mean(less)).sort((a, b) => a - b);
  return { low: found[Math.floor(0.025 * RESAMPLES)]!, high: found[Math.ceil(0.975 * RESAMPLES) - 1]! };
}
