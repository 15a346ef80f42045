import type { Failover } from '../src/failovers.ts';
import type { KitOverhead } from '../src/kit/overhead.ts';
import { operations } from '../src/kit/subject.ts';
import { measurements } from '../src/measurements.ts';
import { type BenchResult, type Contestant, contestants } from '../src/result.ts';

/** Forwarding's value of everything in the made-up run. */
export const FORWARD = 1000;

/** A contestant's value relative to forwarding's, 1 for what is not named; of what only Resplice has the value itself, or 0. */
export type Factors = Readonly<Record<string, number>>;

/** @param factors by `measurement.quantity.contestant` */
export function madeUpRun(factors: Factors = {}, rounds = 3): BenchResult {
  const samples = Object.fromEntries(
    measurements.map(({ name, quantities }) => {
      const columns = Object.fromEntries(
        contestants.map(contestant => [
          contestant,
          Object.fromEntries(
            quantities
              .filter(({ own }) => !own || contestant === 'resplice')
              .map(({ name: quantity, own }) => {
                const factor = factors[`${name}.${quantity}.${contestant}`];
                // The machine speeds up from round to round; ratios must not see that.
                const value = (round: number) => FORWARD * (round + 1) * (factor ?? 1);
                return [
                  quantity,
                  Array.from({ length: rounds }, (_, round) => (own ? (factor ?? 0) : value(round))),
                ];
              }),
          ),
        ]),
      );
      return [name, columns as Record<Contestant, Record<string, number[]>>];
    }),
  );
  return {
    version: 1,
    at: '2026-01-02T03:04:05.000Z',
    command: './resplice bench',
    seed: 4_000_000_001,
    rounds,
    seconds: 1,
    bulkBytes: 2 ** 30,
    machine: {
      processor: 'a processor',
      cores: 2,
      memoryGiB: 24,
      kernel: '6.1',
      system: 'Debian',
      versions: { wrk: '4.1.0' },
    },
    samples,
  };
}

/** What the kit adds to each of the operations, ms, in as many rounds as there are shifts; without it they take 10 ms. */
export function madeUpKit(addedMs: number, shifts: readonly number[], controlMs = 0): KitOverhead {
  const plain = shifts.map((_, round) => 10 + round);
  const plainAgain = plain.map(value => value + controlMs);
  const kit = plain.map((value, round) => value + controlMs / 2 + addedMs + shifts[round]!);
  const samples = Object.fromEntries(
    operations.map(({ name }) => [name, { kit, kitAgain: kit, plain, plainAgain }]),
  );
  return { rounds: shifts.length, samples };
}

/** A run in which every gate is reached. */
export const GOOD: Factors = {
  'requests.rate.haproxy': 0.7,
  'bulk.rate.haproxy': 0.25,
  'bulk16.rate.haproxy': 0.25,
};

/** One that is as it should be. */
export const FAILOVER: Failover = {
  what: 'backend/crash/waiting/read',
  runs: 50,
  addedStallMs: { median: 10, p99: 20, max: 30 },
  barMs: 50,
  verdict: 'pass',
  reason: null,
};
