/**
 * The value below which that share of the values lies, between two of them if need be.
 *
 * @param share 0…1
 * @throws RangeError without values
 */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('no values have no quantiles');
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** @throws RangeError without values */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Median, lowest and highest. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** @throws RangeError without values */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), low: Math.min(...values), high: Math.max(...values) };
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** The chance that an interval may miss what it is to hold. */
const DOUBT = 0.05;

/**
 * Holds the median of what the values were drawn from with 95 % confidence at least, whatever its distribution: from the k-th lowest value
 * to the k-th highest, by the binomial distribution (the sign test's interval). Null for fewer than six values, of which even the whole
 * range does not.
 */
export function medianInterval(values: readonly number[]): Interval | null {
  const { length } = values;
  const sorted = [...values].sort((a, b) => a - b);
  // Of `length` throws of a coin exactly `k` are heads, and at most `k`.
  let exactly = 2 ** -length;
  let atMost = exactly;
  let k = 0;
  while (atMost <= DOUBT / 2) {
    k++;
    exactly *= (length - k + 1) / k;
    atMost += exactly;
  }
  return k === 0 ? null : { low: sorted[k - 1]!, high: sorted[length - k]! };
}
