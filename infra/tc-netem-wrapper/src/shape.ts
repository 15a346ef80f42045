/** What waits before the link's narrow place; the packet that is being sent counts. */
export type Queue = { readonly packets: number } | { readonly bytes: number };

/** How a link treats what travels in one direction. Packets are Ethernet frames without checksum (14 + IP bytes). */
export interface Direction {
  /** Propagation delay, ms, 0…60000. */
  readonly delay: number;
  /** Each packet's delay is drawn from delay ± jitter, evenly; jitter alone never changes the order. ms, 0…delay. */
  readonly jitter: number;
  /** bit/s, 8…10^11; null: as fast as the machine can. */
  readonly rate: number | null;
  /** Share of the packets that are sent but do not arrive, %. */
  readonly loss: number;
  /** Share of the packets that skip the delay and so overtake others, %. Wants a delay. */
  readonly reorder: number;
  /** Share of the packets that arrive twice, %. */
  readonly duplicate: number;
  /** What does not fit is dropped at its tail. Only a link with a rate has a queue. */
  readonly queue: Queue;
}

export interface Shape {
  /** From the near end to the far one. */
  readonly there: Direction;
  readonly back: Direction;
}

/** Both directions alike, or each for itself; what is left out has its default. */
export type ShapeInput =
  | Partial<Direction>
  | { readonly there: Partial<Direction>; readonly back: Partial<Direction> };

/** A description that no link can have. */
export class ShapeError extends RangeError {
  override readonly name = 'ShapeError';
  /** One sentence each. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('; '));
    this.problems = problems;
  }
}

/** A wire: no delay, no loss, no limit. */
export const wire: Direction = {
  delay: 0,
  jitter: 0,
  rate: null,
  loss: 0,
  reorder: 0,
  duplicate: 0,
  queue: { packets: 1000 },
};

const most = { delay: 60_000, rate: 1e11, packets: 10_000, bytes: 15_000_000 } as const;
/** The queue must hold one full packet, or it holds none. */
const leastBytes = 1514;

function isWithin(value: unknown, least: number, greatest: number): boolean {
  return typeof value === 'number' && value >= least && value <= greatest;
}

function queueProblem(queue: unknown): string | undefined {
  const { packets, bytes } = (typeof queue === 'object' && queue !== null ? queue : {}) as Record<
    string,
    unknown
  >;
  if ((packets === undefined) === (bytes === undefined)) return 'queue: must have either packets or bytes';
  const [name, value, least, greatest] =
    packets === undefined
      ? (['bytes', bytes, leastBytes, most.bytes] as const)
      : (['packets', packets, 1, most.packets] as const);
  if (Number.isInteger(value) && isWithin(value, least, greatest)) return undefined;
  return `queue.${name}: must be a whole number within ${least}…${greatest}`;
}

function problemsOf(input: Readonly<Record<string, unknown>>, full: Direction): string[] {
  const problems = Object.keys(input)
    .filter(name => !(name in wire))
    .map(name => `${name}: is no property of a link; there are ${Object.keys(wire).join(', ')}`);
  if (!isWithin(full.delay, 0, most.delay)) problems.push(`delay: must be within 0…${most.delay} ms`);
  else if (!isWithin(full.jitter, 0, full.delay))
    problems.push(`jitter: must be within 0…${full.delay} ms, the delay`);
  if (full.rate !== null && !isWithin(full.rate, 8, most.rate))
    problems.push(`rate: must be within 8…${most.rate} bit/s, or null for no limit`);
  for (const name of ['loss', 'reorder', 'duplicate'] as const)
    if (!isWithin(full[name], 0, 100)) problems.push(`${name}: must be within 0…100 %`);
  if (full.reorder > 0 && full.delay === 0) problems.push('reorder: wants a delay that packets can skip');
  const queue = queueProblem(full.queue);
  return queue ? [...problems, queue] : problems;
}

function named(prefix: string, problems: readonly string[]): string[] {
  return problems.map(problem => `${prefix}${problem}`);
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

/**
 * Fills in what is left out, and checks everything.
 * @throws ShapeError naming every problem
 */
export function checkShape(input: ShapeInput): Shape {
  const given = asRecord(input);
  const each = 'there' in given || 'back' in given;
  const [there, back] = each ? [asRecord(given.there), asRecord(given.back)] : [given, given];
  const shape = { there: { ...wire, ...there }, back: { ...wire, ...back } } as Shape;
  const strange = each ? Object.keys(given).filter(name => name !== 'there' && name !== 'back') : [];
  const problems = each
    ? [
        ...strange.map(name => `${name}: stands beside there and back; put it into both`),
        ...named('there.', problemsOf(there, shape.there)),
        ...named('back.', problemsOf(back, shape.back)),
      ]
    : problemsOf(given, shape.there);
  if (problems.length > 0) throw new ShapeError(problems);
  return shape;
}
