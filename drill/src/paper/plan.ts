/** Which runs there are to be, in which order, and how long they will take. */
import { randomFrom } from '@resplice/figures';
import { type Action, actions, columns, printed } from './reference.ts';
import {
  type Architecture,
  architectures,
  type ClientKind,
  type FaultName,
  faultNames,
  type PaperRun,
  type RunKey,
} from './run.ts';

/** What a results folder holds runs of; resuming goes by what stands there. */
export interface PaperOptions {
  readonly clients: readonly ClientKind[];
  /** Of the lab, in the tables' order. */
  readonly links: readonly string[];
  readonly actions: readonly Action[];
  readonly faults: readonly FaultName[];
  readonly repeat: number;
  /** On the slowest link one run of everything takes an hour. */
  readonly repeatOnSlowest: number;
  /** Of the number of objects: 1 is the paper's. */
  readonly scale: number;
  /** On the slowest link. */
  readonly scaleOnSlowest: number;
  readonly seed: number;
}

export const SLOWEST = 'wan-in';

/** What is made without further wishes: LAN and one WAN link, in less than ten minutes. */
export const quick: Omit<PaperOptions, 'seed'> = {
  clients: ['paper', 'chromium'],
  links: ['lan-paper', 'wan-mit'],
  actions: [...actions],
  faults: ['none', 'backend-crash', 'backend-cut'],
  repeat: 1,
  repeatOnSlowest: 1,
  scale: 0.5,
  scaleOnSlowest: 0.2,
};

/** Every cell of both tables. */
export const full: Omit<PaperOptions, 'seed'> = {
  ...quick,
  links: columns.map(({ link }) => link),
  faults: [...faultNames],
  repeat: 5,
  scale: 1,
};

export function scaleOf({ scale, scaleOnSlowest }: PaperOptions, link: string): number {
  return link === SLOWEST ? Math.min(scale, scaleOnSlowest) : scale;
}

function shuffled<T>(items: readonly T[], draw: () => number): T[] {
  const all = [...items];
  for (let last = all.length - 1; last > 0; last--) {
    const other = Math.floor(draw() * (last + 1));
    [all[last], all[other]] = [all[other]!, all[last]!];
  }
  return all;
}

/** The same, on those links too; in the tables' order, whichever came first. */
export function withLinks(options: PaperOptions, more: readonly string[]): PaperOptions {
  const all = new Set([...options.links, ...more]);
  const known: string[] = columns.map(({ link }) => link);
  return {
    ...options,
    links: [...known.filter(link => all.has(link)), ...[...all].filter(link => !known.includes(link))],
  };
}

/** As it can be given again, with everything that was left to chance. */
export function commandOf(options: PaperOptions): string {
  const { clients, links, repeat, scale, seed } = options;
  const base = options.faults.length === faultNames.length ? full : quick;
  const shorts = links.map(link => columns.find(each => each.link === link)?.short ?? link);
  const given = [
    base === full && '--full',
    clients.length === 1 && `--client ${clients[0]}`,
    shorts.length > 0 && links.join() !== base.links.join() && `--links ${shorts.join(',')}`,
    scale !== base.scale && `--scale ${scale}`,
    repeat !== base.repeat && `--repeat ${repeat}`,
    `--seed ${seed}`,
  ];
  return `./resplice drill paper ${given.filter(each => each !== false).join(' ')}`;
}

/** Draws of a link's own, so that its order does not depend on which others are measured, and when. */
function drawsFor(link: string, seed: number): () => number {
  const known = columns.findIndex(each => each.link === link);
  return randomFrom(seed + known + 1);
}

/**
 * All runs, link by link. Within a repetition the cells come in an order of the seed's, and of each cell the architectures follow one
 * another at once, so that what slows the machine for a while slows both.
 */
export function planOf(options: PaperOptions): RunKey[] {
  return options.links.flatMap(link => {
    const draw = drawsFor(link, options.seed);
    const repeat = link === SLOWEST ? options.repeatOnSlowest : options.repeat;
    return Array.from({ length: repeat }, (_, index) => index + 1).flatMap(repetition => {
      const cells = options.clients.flatMap(client =>
        options.actions.flatMap(action => options.faults.map(fault => ({ client, action, fault }))),
      );
      return shuffled(cells, draw).flatMap(cell =>
        shuffled(architectures, draw).map(architecture => ({ ...cell, architecture, link, repetition })),
      );
    });
  });
}

/** Between two runs, to heal and be sure that all is well, s: a guess that what was measured soon outweighs. */
const BETWEEN_SECONDS = 4;
/** Both labs up, settled and warm, and down again, s. */
const LINK_SECONDS = 45;
/** A browser has six connections, and asks for a page of its own weight. */
const BROWSER_SHARE = 0.1;

function guess({ client, action, link, architecture, fault }: RunKey, options: PaperOptions): number {
  const column = columns.find(each => each.link === link);
  const times = printed[action].cells[column?.name ?? 'WAN-MIT'][architecture];
  const seconds = fault === 'none' ? times.noFailure : times.withFailure;
  return BETWEEN_SECONDS + seconds * (client === 'paper' ? scaleOf(options, link) : BROWSER_SHARE);
}

/**
 * Seconds that the rest will take: the paper's own, in the measure in which those that are done kept to them.
 *
 * @param spent seconds that the done ones took, each with what it took to heal
 */
export function secondsLeft(
  rest: readonly RunKey[],
  done: readonly RunKey[],
  spent: number,
  options: PaperOptions,
): number {
  const sum = (keys: readonly RunKey[]): number => keys.reduce((all, key) => all + guess(key, options), 0);
  const guessed = sum(done);
  const present = done.at(-1)?.link;
  const comingLinks = new Set(rest.map(({ link }) => link).filter(link => link !== present));
  return comingLinks.size * LINK_SECONDS + sum(rest) * (guessed > 0 && spent > 0 ? spent / guessed : 1);
}

/** Of one cell, those that count: seconds of the runs that were complete. */
export function secondsOf(
  runs: readonly PaperRun[],
  cell: { client: ClientKind; action: Action; link: string; architecture: Architecture; fault: FaultName },
): number[] {
  return runs.flatMap(run =>
    run.verdict === 'complete' &&
    run.seconds !== null &&
    run.client === cell.client &&
    run.action === cell.action &&
    run.link === cell.link &&
    run.architecture === cell.architecture &&
    run.fault === cell.fault
      ? [run.seconds]
      : [],
  );
}
