const ROUNDS = 200_000;
const WARM_UP = 50_000;
const REPEATS = 7;

/** Prints how long one call takes, in µs: the best of seven times 200,000, since whatever else runs only makes them longer. */
export function time(what: string, run: () => void): void {
  for (let i = 0; i < WARM_UP; i++) run();
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const from = process.hrtime.bigint();
    for (let i = 0; i < ROUNDS; i++) run();
    best = Math.min(best, Number(process.hrtime.bigint() - from) / 1000 / ROUNDS);
  }
  console.log(`${what.padEnd(60)} ${best.toFixed(2)}`);
}
