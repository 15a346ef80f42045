import { median, type Spread, spread } from '@resplice/figures';
import type { Failover } from './failovers.ts';
import { type KitVerdict, kitVerdicts } from './kit/verdict.ts';
import { isFast, type LinkFigures } from './links.ts';
import { type BenchResult, type Contestant, hasMeasured, seriesOf } from './result.ts';
import { pairwise } from './statistics.ts';

/** The control may differ from itself by this much, as a ratio of medians; else the machine was not quiet, and the run is void. */
export const CONTROL = { low: 0.95, high: 1.05 } as const;
/** Failed requests in a run that counts, as a fraction. */
export const MAX_ERRORS = 0.001;

/** Plain forwarding in a round: the mean of its two measurements. */
function baseline(result: BenchResult, measurement: string, quantity: string): number[] {
  const series = (contestant: Contestant) => seriesOf(result, measurement, contestant, quantity);
  return pairwise(series('forward'), series('control'), (a, b) => (a + b) / 2);
}

/** Round by round, one contestant's value over plain forwarding's. */
export function ratioToForward(
  result: BenchResult,
  measurement: string,
  quantity: string,
  contestant: Contestant,
): Spread {
  const own = seriesOf(result, measurement, contestant, quantity);
  return spread(pairwise(own, baseline(result, measurement, quantity), (a, b) => a / b));
}

/** Round by round, what a contestant takes more than plain forwarding. */
export function addedToForward(
  result: BenchResult,
  measurement: string,
  quantity: string,
  contestant: Contestant,
): Spread {
  const own = seriesOf(result, measurement, contestant, quantity);
  return spread(pairwise(own, baseline(result, measurement, quantity), (a, b) => a - b));
}

export interface Control {
  readonly measurement: string;
  readonly quantity: string;
  /** Median of the rounds' ratios of plain forwarding to itself. */
  readonly ratio: number;
  readonly quiet: boolean;
}

/** Was the machine quiet? One answer for each value that a gate looks at. */
export function controls(result: BenchResult): Control[] {
  const compared = gates.filter(({ rival }) => rival !== null);
  const seen = new Map(compared.map(gate => [`${gate.measurement} ${gate.quantity}`, gate]));
  return [...seen.values()].map(({ measurement, quantity }) => {
    const series = (contestant: Contestant) => seriesOf(result, measurement, contestant, quantity);
    const ratio = median(pairwise(series('control'), series('forward'), (a, b) => a / b));
    // Also when it is no number: the machine was then busier without load than with it.
    return { measurement, quantity, ratio, quiet: ratio >= CONTROL.low && ratio <= CONTROL.high };
  });
}

export interface Gate {
  readonly measurement: string;
  readonly quantity: string;
  /** Which of Resplice's listeners is judged: the one that does without the logger, or, if absent, the other one. */
  readonly own?: 'splice';
  /** What Resplice is compared with; null: nothing, its own values count, in their unit. */
  readonly rival: 'forward' | 'haproxy' | null;
  /** Bound of the median of the rounds' ratios, Resplice to the rival. */
  readonly least?: number;
  readonly most?: number;
  /** No round may be beyond the bound, not just their median. */
  readonly always?: true;
  /** An aim is reported and decides nothing. */
  readonly kind: 'gate' | 'aim';
}

/** Of the splice by itself, and of splice and logger together, which cost more. */
const rates: readonly Gate[] = [
  ['splice', 'requests', 0.9, 'gate'],
  ['splice', 'requests', 0.95, 'aim'],
  ['splice', 'bulk', 0.9, 'gate'],
  ['splice', 'bulk', 0.95, 'aim'],
  ['splice', 'bulk16', 0.9, 'gate'],
  ['splice', 'bulk16', 0.95, 'aim'],
  ['splice', 'connections', 0.66, 'aim'],
  [undefined, 'requests', 0.75, 'gate'],
  [undefined, 'requests', 0.9, 'aim'],
  [undefined, 'bulk', 0.85, 'gate'],
  [undefined, 'bulk', 0.95, 'aim'],
  [undefined, 'bulk16', 0.85, 'gate'],
  [undefined, 'bulk16', 0.95, 'aim'],
  [undefined, 'upload', 0.6, 'gate'],
].map(
  ([own, measurement, least, kind]) =>
    ({ ...(own && { own }), measurement, quantity: 'rate', rival: 'forward', least, kind }) as Gate,
);

/** By how much HAProxy is to be left behind. */
const ahead: readonly Gate[] = (['splice', undefined] as const).flatMap(own =>
  (
    [
      ['requests', 1],
      ['bulk', 3],
      ['bulk16', 3],
    ] as const
  ).map(
    ([measurement, least]) =>
      ({
        ...(own && { own }),
        measurement,
        quantity: 'rate',
        rival: 'haproxy',
        least,
        kind: 'gate',
      }) as const,
  ),
);

/** Downloads and requests are to be logged without a loss, all of them. */
const unharmed: readonly Gate[] = ['requests', 'bulk', 'bulk16'].flatMap(measurement =>
  ['drops', 'unprotected'].map(
    quantity => ({ measurement, quantity, rival: null, most: 0, always: true, kind: 'gate' }) as const,
  ),
);

export const gates: readonly Gate[] = [
  ...rates,
  ...ahead,
  { own: 'splice', measurement: 'requests', quantity: 'cpu', rival: 'forward', most: 1.12, kind: 'gate' },
  { own: 'splice', measurement: 'bulk', quantity: 'cpu', rival: 'forward', most: 1.12, kind: 'gate' },
  { measurement: 'requests', quantity: 'loggerUser', rival: null, most: 5, kind: 'gate' },
  ...unharmed,
];

/** Those that a run can be judged by: older ones have not measured the splice alone. */
function gatesOf(result: BenchResult): readonly Gate[] {
  return gates.filter(({ own }) => !own || hasMeasured(result, own));
}

export interface GateVerdict extends Gate {
  /** The rounds' ratios, or values. */
  readonly value: Spread;
  readonly passed: boolean;
}

/** What Resplice's value is divided by, round by round. */
function theirs(result: BenchResult, { own, measurement, quantity, rival }: Gate): readonly number[] {
  if (rival === 'forward') return baseline(result, measurement, quantity);
  if (rival) return seriesOf(result, measurement, rival, quantity);
  return seriesOf(result, measurement, own ?? 'resplice', quantity).map(() => 1);
}

export function judge(result: BenchResult, gate: Gate): GateVerdict {
  const { measurement, quantity, least = 0, most = Number.POSITIVE_INFINITY } = gate;
  const own = seriesOf(result, measurement, gate.own ?? 'resplice', quantity);
  const value = spread(pairwise(own, theirs(result, gate), (a, b) => a / b));
  const [lowest, highest] = gate.always ? [value.low, value.high] : [value.median, value.median];
  return { ...gate, value, passed: lowest >= least && highest <= most };
}

/** Who had more failed requests in a measurement than a run that counts may have. */
export function failures({ samples }: BenchResult): string[] {
  return Object.entries(samples).flatMap(([measurement, columns]) =>
    Object.entries(columns).flatMap(([contestant, { errors = [] }]) =>
      errors.length > 0 && median(errors) > MAX_ERRORS
        ? [`${measurement}, ${contestant}: ${(median(errors) * 100).toFixed(2)} % of the requests failed`]
        : [],
    ),
  );
}

export type Outcome = 'pass' | 'fail' | 'void';

export interface Verdict {
  readonly outcome: Outcome;
  readonly controls: readonly Control[];
  readonly gates: readonly GateVerdict[];
  readonly failures: readonly string[];
  /** Failovers that took too long, or were noticed. */
  readonly broken: readonly Failover[];
  /** Over which links Resplice was slower than it may be. */
  readonly slow: readonly LinkFigures[];
  /** What the kit costs, if that was measured. */
  readonly kit: readonly KitVerdict[];
}

/** Void: the machine was not quiet, or requests failed. Else the gates decide. */
export function verdictOf(result: BenchResult): Verdict {
  const found = {
    controls: controls(result),
    gates: gatesOf(result).map(gate => judge(result, gate)),
    failures: failures(result),
    broken: (result.failovers ?? []).filter(({ verdict }) => verdict !== 'pass'),
    slow: (result.links ?? []).filter(each => !isFast(each)),
    kit: result.kit ? kitVerdicts(result.kit) : [],
  };
  const isVoid = found.failures.length > 0 || found.controls.some(({ quiet }) => !quiet);
  const passed =
    found.broken.length + found.slow.length === 0 &&
    found.kit.every(({ verdict }) => verdict === 'pass') &&
    found.gates.every(({ kind, passed }) => passed || kind === 'aim');
  return { outcome: isVoid ? 'void' : passed ? 'pass' : 'fail', ...found };
}
