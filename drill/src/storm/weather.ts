/**
 * The faults of a storm: one back end after the other is struck while letters are under way, and healed. Every second one falls at a
 * point of a letter's way that the webmail knows by name, at all of these equally often.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { labPlace, pointsOfLetters } from '@resplice/engines';
import { randomFrom, shuffled } from '@resplice/figures';
import type { DrillLab } from '../lab.ts';
import type { Crowd } from './crowd.ts';

export const stormFaults = ['crash', 'cut', 'freeze'] as const;
export type StormFault = (typeof stormFaults)[number];

export interface Gust {
  readonly kind: StormFault;
  readonly target: string;
  /** Where a letter was then; null: anywhere. */
  readonly point: string | null;
  /** Epoch milliseconds when it had taken effect. */
  readonly at: number;
  /** The same when all was well again. */
  readonly healthyAt: number;
  /** Letters that were posted and not answered when it was made. */
  readonly underWay: number;
}

/** How often a letter was to be stopped at a point, and how often one was. */
export interface Reached {
  readonly aimed: number;
  readonly reached: number;
}

export interface Weather {
  readonly gusts: readonly Gust[];
  /** Every point of a letter's way, in its order. */
  readonly points: Readonly<Record<string, Reached>>;
}

/** Where a cut finds a process that stands still, it is as good as crashed. */
const faultsAtPoints = ['crash', 'freeze'] as const;

/** Letters that are begun between all being well and the next fault, and that are answered before it is undone: least and most. */
const calm = [2, 8] as const;
const rage = [3, 12] as const;
/** Letters that are begun while a fault is undone: to heal takes seconds, in which all the others would be written. */
const REJOINING = 4;
/** A fault that stops everything is undone after so long all the same, ms. */
const PATIENCE_MS = 15_000;

/** Between two looks whether a letter has got to a point, ms. */
const LOOK_MS = 5;

/** Has the back end stop itself when a letter gets there. @returns whether one did; otherwise none will any more */
async function arrest({ engine }: DrillLab, target: string, point: string): Promise<boolean> {
  await engine.freezeAt(target, point);
  // The file that it looks for is gone as soon as it stops.
  const file = join(labPlace.runDirectory, target, point);
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await delay(LOOK_MS)) {
    if (!existsSync(file)) return true;
  }
  return false;
}

/** Strikes, at that point of a letter's way if there is one. @returns epoch ms when it had taken effect; undefined: no letter got there */
async function strike(
  lab: DrillLab,
  { kind, target, point }: Pick<Gust, 'kind' | 'target' | 'point'>,
): Promise<number | undefined> {
  if (point === null) return (await lab.engine[kind](target)).at;
  if (!(await arrest(lab, target, point))) return undefined;
  return kind === 'freeze' ? Date.now() : (await lab.engine[kind](target)).at;
}

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
): Promise<Weather> {
  const next = forecast(seed, lab.facts.backends);
  const gusts: Gust[] = [];
  const points: Record<string, Reached> = Object.fromEntries(
    pointsOfLetters.map(point => [point, { aimed: 0, reached: 0 }]),
  );
  for (;;) {
    const { pause, span, ...planned } = next();
    await crowd.untilBegun(crowd.begun + pause);
    if (crowd.isDone || signal?.aborted) return { gusts, points };
    const target = await busyOne(lab, planned.target);
    const at = await strike(lab, { ...planned, target });
    const { underWay } = crowd;
    if (planned.point !== null) {
      const { aimed, reached } = points[planned.point]!;
      points[planned.point] = { aimed: aimed + 1, reached: reached + (at === undefined ? 0 : 1) };
    }
    if (at !== undefined) await atMost(PATIENCE_MS, crowd.untilEnded(crowd.ended + span));
    crowd.rest(REJOINING);
    await lab.heal();
    crowd.go();
    if (at === undefined) continue;
    const gust = { ...planned, target, at, healthyAt: Date.now(), underWay };
    gusts.push(gust);
    onGust(gust);
  }
}

/** That back end, or another one if it serves nobody: connections stay where a fault has moved them. On other arms nobody knows. */
async function busyOne(lab: DrillLab, target: string): Promise<string> {
  const serving = (await lab.status()).connections.flatMap(({ backend }) => backend ?? []);
  return serving.includes(target) ? target : (serving[0] ?? target);
}

interface Planned extends Pick<Gust, 'kind' | 'target' | 'point'> {
  /** Letters that are begun before it. */
  readonly pause: number;
  /** Letters that are answered before it is undone. */
  readonly span: number;
}

/** The next gust, and the next: chance decides it before anything happens, so how fast the machine is changes nothing about it. */
export function forecast(seed: number, backends: readonly string[]): () => Planned {
  const draw = randomFrom(seed);
  const between = ([least, most]: readonly [number, number]) =>
    least + Math.floor(draw() * (most - least + 1));
  const pick = <T>(all: readonly T[]): T => all[Math.floor(draw() * all.length)]!;
  let deck: string[] = [];
  let isAtPoint = false;
  return () => {
    const [pause, span, target] = [between(calm), between(rage), pick(backends)];
    isAtPoint = !isAtPoint;
    if (!isAtPoint) return { pause, span, target, kind: pick(stormFaults), point: null };
    if (deck.length === 0) deck = shuffled(pointsOfLetters, draw);
    return { pause, span, target, kind: pick(faultsAtPoints), point: deck.pop()! };
  };
}
