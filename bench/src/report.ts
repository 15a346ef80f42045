import {
  columnWidths,
  compact,
  jsonIn,
  type Machine,
  markdownTable,
  median,
  type Spread,
  spread,
} from '@resplice/figures';
import type { KitVerdict } from './kit/verdict.ts';
import { isFast, MOST_OVER_LINK, ratiosOf } from './links.ts';
import { measurements } from './measurements.ts';
import { type BenchResult, type Contestant, hasMeasured, type Part, seriesOf } from './result.ts';
import {
  addedToForward,
  CONTROL,
  type GateVerdict,
  ratioToForward,
  type Verdict,
  verdictOf,
} from './verdict.ts';

/** Three significant digits, thousands with a comma. */
export function figure(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}

function withSpread({ median: middle, low, high }: Spread, format: (value: number) => string): string {
  return `${format(middle)} (${format(low)}–${format(high)})`;
}

const ratio = (value: number) => value.toFixed(2);
const names = { splice: 'splice alone', resplice: 'Resplice', haproxy: 'HAProxy', nginx: 'nginx' } as const;

/** Whom a run has compared with plain forwarding. */
function comparedIn(result: BenchResult): readonly (keyof typeof names)[] {
  const all = ['splice', 'resplice', 'haproxy', 'nginx'] as const satisfies readonly Contestant[];
  return all.filter(each => hasMeasured(result, each));
}

/** A heading and rows: what, plain forwarding in its unit, the others in relation to it. */
export function figureRows(result: BenchResult): string[][] {
  const compared = comparedIn(result);
  const rows = measurements.flatMap(({ name, title, quantities }) =>
    quantities.map(({ name: quantity, unit, own }) => {
      if (own) {
        const values = spread(seriesOf(result, name, 'resplice', quantity));
        const cells = compared.map(each => (each === 'resplice' ? withSpread(values, figure) : ''));
        return [title, unit, '', ...cells];
      }
      const forward = figure(median(seriesOf(result, name, 'forward', quantity)));
      const cells = compared.map(rival =>
        name === 'latency'
          ? withSpread(
              addedToForward(result, name, quantity, rival),
              value => `${value < 0 ? '' : '+'}${figure(value)}`,
            )
          : withSpread(ratioToForward(result, name, quantity, rival), ratio),
      );
      const what = name === 'latency' ? `${title}, ${quantity}` : title;
      return [what, unit, forward, ...cells];
    }),
  );
  return [['what', 'unit', 'kernel forwarding', ...compared.map(each => names[each])], ...rows];
}

const rivalNames = { forward: 'kernel forwarding', haproxy: 'HAProxy', none: '' } as const;

function bound({ least, most, always }: GateVerdict): string {
  return `${always ? 'always ' : ''}${least === undefined ? `at most ${most}` : `at least ${least}`}`;
}

export function gateRows(verdict: Verdict): string[][] {
  const rows = verdict.gates.map(gate => [
    names[gate.own ?? 'resplice'],
    `${gate.measurement}, ${gate.quantity}`,
    rivalNames[gate.rival ?? 'none'],
    bound(gate),
    withSpread(gate.value, gate.rival ? ratio : figure),
    gate.passed ? 'reached' : gate.kind === 'gate' ? 'MISSED' : 'not reached (an aim)',
  ]);
  return [['of', 'what', 'compared with', 'is to be', 'is', ''], ...rows];
}

const milliseconds = (value: number) => value.toFixed(0);

export function failoverRows(failovers: NonNullable<BenchResult['failovers']>): string[][] {
  const rows = failovers.map(({ what, runs, addedStallMs: stall, barMs, verdict, reason }) => [
    what,
    String(runs),
    ...(stall ? [stall.median, stall.p99, stall.max].map(milliseconds) : ['–', '–', '–']),
    barMs === null ? '–' : String(barMs),
    reason === null ? 'reached' : `${verdict.toUpperCase()}: ${reason}`,
  ]);
  return [['failover', 'runs', 'added ms, p50', 'p99', 'max', 'bar', ''], ...rows];
}

export function linkRows(links: NonNullable<BenchResult['links']>): string[][] {
  const rows = links.map(each => [
    each.link,
    each.what,
    figure(median(each.forward)),
    withSpread(spread(ratiosOf(each)), value => value.toFixed(3)),
    `at most ${MOST_OVER_LINK}`,
    isFast(each) ? 'reached' : 'MISSED',
  ]);
  return [['link', 'what', 'kernel forwarding, s', 'Resplice', 'is to be', ''], ...rows];
}

const hundredths = (value: number) => value.toFixed(2);

export function kitRows(verdicts: readonly KitVerdict[]): string[][] {
  const rows = verdicts.map(({ title, plain, added, disk, interval, control, barMs, verdict, reason }) => [
    title,
    hundredths(plain.median),
    withSpread(added, hundredths),
    disk ? withSpread(disk, hundredths) : '–',
    interval ? `${hundredths(interval.low)}…${hundredths(interval.high)}` : '–',
    hundredths(control),
    String(barMs),
    reason === null ? 'reached' : `${verdict.toUpperCase()}: ${reason}`,
  ]);
  return [
    ['with the kit', 'ms without', 'ms added', 'of it the disk', '95 % interval', 'A/A, ms', 'bar', ''],
    ...rows,
  ];
}

export function memoryRows({ points }: NonNullable<BenchResult['memory']>): string[][] {
  const rows = points.map(({ activity, connections, bytes }) => {
    // What is there without connections, or with the fewer idle ones before, is not theirs.
    const base = points.find(each => each.connections === 0)?.bytes ?? 0;
    const each = connections === 0 ? '–' : figure((bytes - base) / connections / 1000);
    return [activities[activity], String(connections), figure(bytes / 1e6), each];
  });
  return [['connections', 'count', 'MB of the process', 'kB each'], ...rows];
}

const activities = {
  idle: 'idle, used before',
  waiting: 'waiting for a response',
  response: 'in a response, its first 64 KiB recorded',
} as const;

/** What is kept by the kernel for the logger's maps, whether or not there are connections. */
function kernelLine({ kernelBytes, room }: NonNullable<BenchResult['memory']>): string {
  return `The kernel keeps ${figure(kernelBytes / 1e6)} MB for the logger's maps from the beginning, which have room for ${figure(room)} connections: ${figure(kernelBytes / room)} bytes each.`;
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = columnWidths(rows);
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

function outcomeLine({ outcome, controls, failures }: Verdict): string {
  const aa = controls
    .map(({ measurement, quantity, ratio: value }) => `${measurement} ${quantity} ${value.toFixed(3)}`)
    .join(', ');
  const control = `control (plain forwarding over itself, ${CONTROL.low}–${CONTROL.high}): ${aa}`;
  if (failures.length > 0) return `void: ${failures.join('; ')}. ${control}`;
  if (outcome === 'void') return `void: the machine was not quiet. ${control}`;
  return `${outcome === 'pass' ? 'every gate reached' : 'a gate was missed'}. ${control}`;
}

/** For a terminal. */
export function textReport(result: BenchResult): string[] {
  const verdict = verdictOf(result);
  return [
    ...columns(figureRows(result)),
    '',
    ...columns(gateRows(verdict)),
    '',
    ...(result.failovers ? [...columns(failoverRows(result.failovers)), ''] : []),
    ...(result.links ? [...columns(linkRows(result.links)), ''] : []),
    ...(verdict.kit.length > 0 ? [...columns(kitRows(verdict.kit)), ''] : []),
    ...(result.memory ? [...columns(memoryRows(result.memory)), kernelLine(result.memory), ''] : []),
    `${result.rounds} rounds, seed ${result.seed}. Medians (lowest–highest) of ratios within a round; latency: what comes on top.`,
    outcomeLine(verdict),
  ];
}

const FAILOVER_NOTE = [
  'The back end that serves a client fails. Added stall: the longest time in which no byte moved, less the same without a fault;',
  'of a thousand downloads the stall itself, and the largest one is judged, else the median. How a moment is met: `drill/README.md`.',
];

const KIT_NOTE = [
  'Two tiers side by side, each with two back ends, one of which has [the kit](KIT.md). The other has its sessions in memory, and its',
  'letters go past the back-end logger, which with the kit writes to its disk before a letter is confirmed. One request after the other,',
  'each time in another order, on kept-alive connections, twice with the kit and twice without; in a round the medians of 5 to 50 of each.',
  'Added: median (lowest–highest) of the rounds. The disk: what the back-end logger says that its syncs took. The interval holds the',
  'median of what is added beside the disk with 95 % confidence (sign test), and its upper end must be within the bar. A/A: the tier',
  'without the kit less itself.',
];

function describe({ processor, cores, memoryGiB, kernel }: Machine): string {
  return `${processor}, ${cores} cores, ${memoryGiB} GiB, Linux ${kernel}`;
}

/** Where a part comes from, unless it is the run's own, and its machine, if that is another one. */
function originOf({ kept, machine }: BenchResult, part: Part): string[] {
  const origin = kept?.[part];
  if (!origin) return [];
  const where = describe(origin.machine);
  const elsewhere = where === describe(machine) ? '' : ` on another machine (${where})`;
  return [`Measured${elsewhere} by \`${origin.command}\`, ${origin.at.slice(0, 10)}.`, ''];
}

/** What stands in docs/BENCHMARKS.md. @param notes what no measurement says, in Markdown */
export function markdownReport(full: BenchResult, notes: string): string {
  // From the values as the page holds them, or it would not be the same when it is rendered from them.
  const json = JSON.stringify(full, compact);
  const result = JSON.parse(json) as BenchResult;
  const { machine, rounds, seconds, seed, at, command, bulkBytes } = result;
  const verdict = verdictOf(result);
  const versions = Object.entries(machine.versions).map(([program, version]) => `${program} ${version}`);
  return `${[
    '# Benchmarks',
    '',
    '<!-- Written by a run of the benchmark with --write: do not edit. A test renders it anew from the values at its end. -->',
    '',
    `\`${command}\`, ${at.slice(0, 10)}, ${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB,`,
    `Linux ${machine.kernel}, ${machine.system}; ${versions.join(', ')}.`,
    '',
    `Same hosts, links and back end (nginx) for all, side by side on one machine; ${rounds} rounds in random order`,
    `(seed ${seed}), ${seconds} s or ${figure(bulkBytes / 1e9)} GB a measurement. Figures of kernel forwarding are medians in their unit; the`,
    'others are the medians (lowest–highest) of the rounds’ ratios to it, of latency what comes on top. CPU is that of the whole',
    'machine, clients and back end included, less what it does without load.',
    '',
    '## Figures',
    '',
    ...markdownTable(figureRows(result)),
    '',
    '## Gates',
    '',
    `**${outcomeLine(verdict)}**`,
    '',
    ...markdownTable(gateRows(verdict)),
    '',
    ...(result.failovers
      ? [
          '## Failover',
          '',
          ...originOf(result, 'failovers'),
          ...FAILOVER_NOTE,
          '',
          ...markdownTable(failoverRows(result.failovers)),
          '',
        ]
      : []),
    ...(result.links
      ? [
          '## Over slow links',
          '',
          ...originOf(result, 'links'),
          `One client at the far end of the link, ${result.links[0]!.forward.length} rounds. Resplice’s time is told as a ratio to plain forwarding’s: median (lowest–highest).`,
          '',
          ...markdownTable(linkRows(result.links)),
          '',
        ]
      : []),
    ...(result.kit
      ? [
          '## What the kit costs',
          '',
          ...originOf(result, 'kit'),
          ...KIT_NOTE,
          '',
          ...markdownTable(kitRows(verdict.kit)),
          '',
        ]
      : []),
    ...(result.memory
      ? [
          '## Memory of the logger',
          '',
          ...originOf(result, 'memory'),
          ...markdownTable(memoryRows(result.memory)),
          '',
          kernelLine(result.memory),
          '',
        ]
      : []),
    notes.trim(),
    '',
    '## Values',
    '',
    'One a round, in its order.',
    '',
    '```json',
    json,
    '```',
  ].join('\n')}\n`;
}

/** The run that a page was rendered from. @throws Error when it holds none */
export function resultIn(page: string): BenchResult {
  const kept = jsonIn(page);
  if (kept === undefined) throw new Error('the page holds no values');
  return kept as BenchResult;
}
