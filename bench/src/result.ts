import type { Machine } from '@resplice/figures';
import type { Failover } from './failovers.ts';
import type { KitOverhead } from './kit/overhead.ts';
import type { LinkFigures } from './links.ts';
import type { MemoryFigures } from './memory.ts';

/**
 * Who is measured: the arms, plain forwarding a second time, which tells whether the machine was quiet (A/A), and the splice alone:
 * Resplice's listener that does without its logger.
 */
export const contestants = ['forward', 'control', 'splice', 'resplice', 'haproxy', 'nginx'] as const;
export type Contestant = (typeof contestants)[number];

/** measurement → contestant → quantity → one value a round. */
export type Samples = Readonly<
  Record<string, Readonly<Partial<Record<Contestant, Readonly<Record<string, readonly number[]>>>>>>
>;

/** All that a run has found; everything that is said about it derives from this. */
export interface BenchResult {
  readonly version: 1;
  /** ISO 8601. */
  readonly at: string;
  readonly command: string;
  readonly seed: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly bulkBytes: number;
  readonly machine: Machine;
  readonly samples: Samples;
  /** Absent: not measured. */
  readonly memory?: MemoryFigures;
  readonly failovers?: readonly Failover[];
  readonly links?: readonly LinkFigures[];
  readonly kit?: KitOverhead;
  /** What of these another run has measured. */
  readonly kept?: Readonly<Partial<Record<Part, Origin>>>;
}

/** Of a part: the run that measured it. */
export type Origin = Pick<BenchResult, 'at' | 'command' | 'machine'>;

/** What a run measures only when it is asked to. */
export const parts = ['failovers', 'links', 'memory', 'kit'] as const;
export type Part = (typeof parts)[number];

/**
 * A run with those parts of an earlier one that it has not measured itself: they take the longest. Each says where it comes from:
 * times of two machines are not to be compared.
 */
export function withPartsOf(earlier: BenchResult, run: BenchResult): BenchResult {
  const missing = parts.filter(part => run[part] === undefined && earlier[part] !== undefined);
  if (missing.length === 0) return run;
  const { at, command, machine } = earlier;
  const origins = missing.map(part => [part, earlier.kept?.[part] ?? { at, command, machine }] as const);
  return {
    ...run,
    ...Object.fromEntries(missing.map(part => [part, earlier[part]])),
    kept: { ...run.kept, ...Object.fromEntries(origins) },
  };
}

/** An earlier run with parts that were measured later. */
export function withParts(
  earlier: BenchResult,
  origin: Origin,
  measured: Partial<Pick<BenchResult, Part>>,
): BenchResult {
  const origins = Object.keys(measured).map(part => [part, origin] as const);
  return { ...earlier, ...measured, kept: { ...earlier.kept, ...Object.fromEntries(origins) } };
}

/** @throws Error when the run has no such values */
export function seriesOf(
  { samples }: Pick<BenchResult, 'samples'>,
  measurement: string,
  contestant: Contestant,
  quantity: string,
): readonly number[] {
  const series = samples[measurement]?.[contestant]?.[quantity];
  if (!series) throw new Error(`no values of ${measurement}.${quantity} for ${contestant}`);
  return series;
}

/** Whether a run has measured them: older ones have not measured everybody. */
export function hasMeasured({ samples }: Pick<BenchResult, 'samples'>, contestant: Contestant): boolean {
  return Object.values(samples).every(columns => columns[contestant] !== undefined);
}
