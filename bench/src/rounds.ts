import { setTimeout as delay } from 'node:timers/promises';
import { shuffled } from '@resplice/figures';
import type { Lab, Target } from './field.ts';
import type { Conditions, Measurement, Values } from './measurements.ts';
import { busySeconds } from './processor-time.ts';
import { type Contestant, contestants, type Samples } from './result.ts';

export interface RoundsOptions {
  readonly labs: Readonly<Record<Target, Lab>>;
  readonly measurements: readonly Measurement[];
  readonly rounds: number;
  readonly conditions: Omit<Conditions, 'idleRate'>;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((line: string) => void) | undefined;
}

/** How long the machine is watched doing nothing, in ms; also lets what the last measurement left behind come to rest. */
const IDLE_MS = 500;

/** CPU seconds a second of a machine on which nothing is asked of any arm. */
async function measureIdleRate(): Promise<number> {
  const [busy, start] = [busySeconds(), performance.now()];
  await delay(IDLE_MS);
  return (busySeconds() - busy) / ((performance.now() - start) / 1000);
}

function labOf(labs: RoundsOptions['labs'], contestant: Contestant): Lab {
  return labs[contestant === 'control' ? 'forward' : contestant];
}

type Growing = Record<string, Record<Contestant, Record<string, number[]>>>;

function emptySamples(measurements: readonly Measurement[]): Growing {
  const columns = () => Object.fromEntries(contestants.map(each => [each, {}]));
  return Object.fromEntries(
    measurements.map(({ name }) => [name, columns() as Record<Contestant, Record<string, number[]>>]),
  );
}

function add(into: Record<string, number[]>, values: Values): void {
  for (const [quantity, value] of Object.entries(values)) {
    into[quantity] ??= [];
    into[quantity].push(value);
  }
}

/**
 * Measures everybody in every round, in another order each time. The contestants follow each other within one measurement, not one
 * round, so that what they are compared with is seconds old.
 *
 * @throws Error when a measurement fails, or the signal's reason
 */
export async function runRounds(options: RoundsOptions): Promise<Samples> {
  const { labs, measurements, rounds, conditions, random, signal, progress } = options;
  const samples = emptySamples(measurements);
  const warmUp = { seconds: 1, bulkBytes: conditions.bulkBytes, idleRate: 0 };
  for (const measurement of measurements) {
    for (const contestant of contestants) {
      signal?.throwIfAborted();
      progress?.(`warming up: ${measurement.name}, ${contestant}`);
      // The control is plain forwarding, which is warm by then.
      if (contestant !== 'control') await measurement.measure(labOf(labs, contestant), warmUp);
    }
  }
  for (let round = 1; round <= rounds; round++) {
    for (const measurement of measurements) {
      const idleRate = await measureIdleRate();
      for (const contestant of shuffled(contestants, random)) {
        signal?.throwIfAborted();
        progress?.(`round ${round} of ${rounds}: ${measurement.name}, ${contestant}`);
        const values = await measurement.measure(labOf(labs, contestant), { ...conditions, idleRate });
        add(samples[measurement.name]![contestant], values);
      }
    }
  }
  return samples;
}
