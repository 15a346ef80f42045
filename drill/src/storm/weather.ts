/** The faults of a storm: one back end after the other is struck while letters are under way, and healed. */
import type { DrillLab } from '../lab.ts';
import type { Crowd } from './crowd.ts';

export const stormFaults = ['crash', 'cut', 'freeze'] as const;
export type StormFault = (typeof stormFaults)[number];

export interface Gust {
  readonly kind: StormFault;
  readonly target: string;
  /** Epoch milliseconds when it had taken effect. */
  readonly at: number;
  /** The same when all was well again. */
  readonly healthyAt: number;
  /** Letters that were posted and not answered when it was made. */
  readonly underWay: number;
}

/** 0…1, the same sequence for the same seed (mulberry32). */
export function drawsOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Letters that are begun between all being well and the next fault, and that are answered before it is undone: least and most. */
const calm = [2, 8] as const;
const rage = [3, 12] as const;
/** A fault that stops everything is undone after so long all the same, ms. */
const PATIENCE_MS = 15_000;

async function atMost(ms: number, what: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  try {
    await Promise.race([what, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Strikes until no letter is left.
 * @param onGust told of each when it has been undone
 * @throws LabError when the lab cannot be healed
 */
export async function rageOver(
  lab: DrillLab,
  crowd: Crowd,
  { seed, signal, onGust }: { seed: number; signal: AbortSignal | undefined; onGust: (gust: Gust) => void },
): Promise<Gust[]> {
  const draw = drawsOf(seed);
  const between = ([least, most]: readonly [number, number]) =>
    least + Math.floor(draw() * (most - least + 1));
  const pick = <T>(all: readonly T[]): T => all[Math.floor(draw() * all.length)]!;
  const gusts: Gust[] = [];
  for (;;) {
    // All that chance decides is drawn before anything happens: how fast the machine is changes nothing about it.
    const [pause, span, kind, target] = [
      between(calm),
      between(rage),
      pick(stormFaults),
      pick(lab.facts.backends),
    ];
    await crowd.untilBegun(crowd.begun + pause);
    if (crowd.isDone || signal?.aborted) return gusts;
    const { at } = await lab.engine[kind](target);
    const underWay = crowd.begun - crowd.ended;
    await atMost(PATIENCE_MS, crowd.untilEnded(crowd.ended + span));
    await lab.heal();
    const gust = { kind, target, at, healthyAt: Date.now(), underWay };
    gusts.push(gust);
    onGust(gust);
  }
}
