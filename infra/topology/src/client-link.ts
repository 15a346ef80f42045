/** The link between client and balancer, as `up --link` names it. Both directions are alike. */
export interface ClientLink {
  /** As it was asked for. */
  readonly name: string;
  /** Of propagation alone; half of it in each direction. */
  readonly rttMs: number;
  /** Null: as fast as the machine can. */
  readonly rateMbit: number | null;
  /** In each direction. */
  readonly lossPercent: number;
  /** Packets that wait before the narrow place, at most. */
  readonly queuePackets: number;
}

const defaultQueue = 100;

function calibrated(name: string, rttMs: number, rateMbit: number): ClientLink {
  return { name, rttMs, rateMbit, lossPercent: 0, queuePackets: defaultQueue };
}

/** No emulation: bare veth pairs. */
export const lan: ClientLink = {
  name: 'lan',
  rttMs: 0,
  rateMbit: null,
  lossPercent: 0,
  queuePackets: defaultQueue,
};

/**
 * Calibrated: with these a closed-form model yields the paper's times without failures (P13). The paper does not give
 * its links' parameters.
 */
const named: readonly ClientLink[] = [
  lan,
  calibrated('lan-paper', 0.3, 100),
  calibrated('wan-mit', 66, 10),
  calibrated('wan-sg', 218, 10),
  calibrated('wan-in', 300, 0.0395),
];

const bounds = {
  rttMs: [0, 10_000],
  rateMbit: [0.008, 10_000],
  lossPercent: [0, 100],
  queuePackets: [1, 10_000],
} as const;
const number = String.raw`(\d+(?:\.\d+)?|\.\d+)`;
const grammar = new RegExp(`^${number}ms(?:,${number}mbit(?:,${number}%)?(?:,(\\d+)pkt)?)?$`);

/** What `--link` takes. */
export const linkForms = `${named.map(({ name }) => name).join(', ')}, or RTTms[,RATEmbit[,LOSS%][,QUEUEpkt]] such as 66ms,20mbit,1%`;

function within(what: keyof typeof bounds, value: number, unit: string): number {
  const [least, most] = bounds[what];
  if (value >= least && value <= most) return value;
  throw new RangeError(`${what.replace(/[A-Z].*/, '')}: ${value} is not within ${least}…${most} ${unit}`);
}

/** @throws RangeError with a sentence that says what is allowed */
export function parseLink(text: string): ClientLink {
  const known = named.find(({ name }) => name === text);
  if (known) return known;
  const parts = grammar.exec(text);
  if (!parts) throw new RangeError(`"${text}" is no link; there are ${linkForms}`);
  const [, rtt, rate, loss, queue] = parts;
  return {
    name: text,
    rttMs: within('rttMs', Number(rtt), 'ms'),
    rateMbit: rate === undefined ? null : within('rateMbit', Number(rate), 'Mbit/s'),
    lossPercent: within('lossPercent', Number(loss ?? 0), '%'),
    queuePackets: within('queuePackets', Number(queue ?? defaultQueue), 'packets'),
  };
}
