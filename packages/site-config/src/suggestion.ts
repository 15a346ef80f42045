// Did you mean …?

/** Names longer than this are not compared: the distance costs the product of both lengths. */
const LONGEST = 64;

/** ` (did you mean 'web'?)` for the nearest of the known names, or nothing if none is near. */
export function suggestion(wrong: string, known: Iterable<string>): string {
  if (wrong.length > LONGEST) return '';
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const name of known) {
    if (name.length > LONGEST) continue;
    const far = distance(wrong.toLowerCase(), name.toLowerCase());
    // A third of the letters may differ: names of one or two letters would resemble everything.
    if (far >= least || far * 3 > Math.max(wrong.length, name.length)) continue;
    best = name;
    least = far;
  }
  return best === undefined ? '' : ` (did you mean '${best}'?)`;
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
