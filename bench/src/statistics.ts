/**
 * Round by round, so that what slows the whole machine for a while slows both.
 * @throws RangeError unless both have as many values
 */
export function pairwise(
  a: readonly number[],
  b: readonly number[],
  combine: (a: number, b: number) => number,
): number[] {
  if (a.length !== b.length) throw new RangeError(`${a.length} values cannot be paired with ${b.length}`);
  return a.map((value, i) => combine(value, b[i]!));
}
