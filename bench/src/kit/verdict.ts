/** What the kit costs, and whether that is within what is promised. Pure. */
import { type Interval, median, medianInterval, type Spread, spread } from '@resplice/figures';
import { pairwise } from '../statistics.ts';
import type { KitOverhead } from './overhead.ts';
import { type Operation, operations } from './subject.ts';

export interface KitVerdict extends Operation {
  /** Without the kit, ms. */
  readonly plain: Spread;
  /** Round by round, what the mean of the two measurements with the kit is more than that of the two without, ms. */
  readonly added: Spread;
  /** What of that is the back-end logger's disk, ms; null: it is not waited for, or was not asked. */
  readonly disk: Spread | null;
  /** Holds the median of what is added, less the disk's, with 95 % confidence, ms; null: too few rounds to say. */
  readonly interval: Interval | null;
  /** Of the second measurement without the kit less the first, as a median, ms. */
  readonly control: number;
  readonly verdict: 'pass' | 'fail' | 'inconclusive';
  /** Null when it passed. */
  readonly reason: string | null;
}

/** The interval's upper end must be within the bar; what only may be beyond it proves nothing. */
function judgementOf(
  interval: Interval | null,
  control: number,
  barMs: number,
): Pick<KitVerdict, 'verdict' | 'reason'> {
  if (!interval) return { verdict: 'inconclusive', reason: 'too few rounds' };
  // What differs from itself by as much as is to be shown cannot show it.
  if (Math.abs(control) > barMs) return { verdict: 'inconclusive', reason: 'the machine was not quiet' };
  if (interval.high <= barMs) return { verdict: 'pass', reason: null };
  if (interval.low > barMs) return { verdict: 'fail', reason: 'more than that' };
  return { verdict: 'inconclusive', reason: 'perhaps more' };
}

export function kitVerdicts({ samples, disk: disks = {} }: KitOverhead): KitVerdict[] {
  return operations.flatMap(operation => {
    const found = samples[operation.name];
    if (!found) return [];
    const { kit, kitAgain, plain, plainAgain } = found;
    const without = pairwise(plain, plainAgain, (a, b) => (a + b) / 2);
    const withIt = pairwise(kit, kitAgain, (a, b) => (a + b) / 2);
    const added = pairwise(withIt, without, (a, b) => a - b);
    const disk = disks[operation.name];
    // What a disk takes is the machine's, and is told by itself.
    const interval = medianInterval(disk ? pairwise(added, disk, (a, b) => a - b) : added);
    const between = median(pairwise(plainAgain, plain, (a, b) => a - b));
    return [
      {
        ...operation,
        plain: spread(without),
        added: spread(added),
        disk: disk ? spread(disk) : null,
        interval,
        control: between,
        ...judgementOf(interval, between, operation.barMs),
      },
    ];
  });
}
