import {
  LabError,
  NetnsEngine,
  type Place,
  placeNamed,
  type UpOptions,
  type Watcher,
} from '@resplice/engines';
import { median, shuffled } from '@resplice/figures';
import { Caller } from './caller.ts';
import { type Operation, operations, type SubjectName, subjects } from './subject.ts';

/**
 * The tier with the kit and without, each twice: the two without tell how much the machine itself varies (A/A), and the second one with
 * it makes both tiers serve as much. One that is asked more often answers faster.
 */
export const variants = ['kit', 'kitAgain', 'plain', 'plainAgain'] as const;
export type Variant = (typeof variants)[number];

/** What the kit costs while all is well. */
export interface KitOverhead {
  readonly rounds: number;
  /** operation → variant → one median a round, ms. */
  readonly samples: Readonly<Record<string, Readonly<Record<Variant, readonly number[]>>>>;
  /** operation → one mean a round of what the back-end logger's disk took of a call, ms, as it says itself. */
  readonly disk?: Readonly<Record<string, readonly number[]>>;
}

/** Rounds before anything counts: code that has not run some hundred times is slow, and with the kit there is more of it. */
const WARM_UP = 5;

const places = { kit: placeNamed('resplicebenchkit'), plain: placeNamed('resplicebenchplain') } as const;
type Lab = keyof typeof places;
const labs = Object.keys(places) as Lab[];

function labOf(variant: Variant): Lab {
  return variant === 'kit' || variant === 'kitAgain' ? 'kit' : 'plain';
}

function engineOf(place: Place): NetnsEngine {
  return new NetnsEngine({ place });
}

async function down(): Promise<void> {
  for (const lab of labs) await engineOf(places[lab]).down();
}

/** Brings the subject up twice, with the kit and without. @returns who calls each */
async function up(name: SubjectName, watcher: Watcher): Promise<Record<Lab, Caller>> {
  const subject = subjects[name];
  const callers: Partial<Record<Lab, Caller>> = {};
  for (const lab of labs) {
    watcher.progress?.(`bringing up ${name}, ${lab === 'kit' ? 'with the kit' : 'without the kit'}`);
    const engine = engineOf(places[lab]);
    const options: UpOptions = { proxies: 2, backends: 2, kit: lab === 'kit', ...subject.site() };
    await engine.up(options, watcher.signal ? { signal: watcher.signal } : {});
    await subject.prepare(engine);
    callers[lab] = await Caller.start({
      subject: name,
      namespace: `/run/netns/${places[lab].netnsPrefix}client-1`,
    });
  }
  return callers as Record<Lab, Caller>;
}

function byVariant<T>(make: (variant: Variant) => T): Record<Variant, T> {
  return Object.fromEntries(variants.map(variant => [variant, make(variant)])) as Record<Variant, T>;
}

/** Calls all variants in turns, each time in another order, so that what slows the machine for a while slows all. */
async function round(
  callers: Record<Lab, Caller>,
  { name, calls }: Operation,
  random: () => number,
): Promise<Record<Variant, number>> {
  const took = byVariant<number[]>(() => []);
  for (let call = 0; call < calls; call++) {
    for (const variant of shuffled(variants, random)) {
      took[variant].push(await callers[labOf(variant)].call(name));
    }
  }
  return byVariant(variant => median(took[variant]));
}

/** What the log's syncs of the tier with the kit have taken until now, ms. */
async function diskMs(): Promise<number> {
  const status = await engineOf(places.kit).status();
  const components = typeof status === 'object' ? status.components : [];
  const seconds = components.find(({ role }) => role === 'auxlogger')?.metrics.log_sync_seconds_total;
  if (seconds === undefined) throw new Error('no back-end logger tells what its disk takes');
  return seconds * 1000;
}

type Measured = Pick<KitOverhead, 'samples' | 'disk'>;

async function measureSubject(
  name: SubjectName,
  rounds: number,
  random: () => number,
  watcher: Watcher,
): Promise<Required<Measured>> {
  const own = operations.filter(({ subject }) => subject === name);
  const samples = Object.fromEntries(own.map(operation => [operation.name, byVariant<number[]>(() => [])]));
  const disk: Record<string, number[]> = {};
  let callers: Record<Lab, Caller> | undefined;
  try {
    callers = await up(name, watcher);
    for (let number = 1 - WARM_UP; number <= rounds; number++) {
      const which = number < 1 ? 'warming up' : `round ${number} of ${rounds}`;
      watcher.progress?.(`the kit’s overhead in ${name}, ${which}`);
      for (const operation of own) {
        watcher.signal?.throwIfAborted();
        const before = operation.waitsForDisk ? await diskMs() : 0;
        const found = await round(callers, operation, random);
        if (number < 1) continue;
        for (const variant of variants) samples[operation.name]![variant].push(found[variant]);
        if (!operation.waitsForDisk) continue;
        // Both variants with the kit.
        const ms = ((await diskMs()) - before) / (2 * operation.calls);
        disk[operation.name] = [...(disk[operation.name] ?? []), ms];
      }
    }
    return { samples, disk };
  } catch (error) {
    throw watcher.signal?.aborted
      ? new LabError('interrupted', 'interrupted; both labs are down again')
      : error;
  } finally {
    for (const lab of labs) await callers?.[lab].stop();
    await down();
  }
}

/**
 * Measures what people wait for with the kit and without, in two labs side by side that differ in nothing else.
 *
 * @param rounds 1 or more; six are the fewest that say something with confidence
 * @param random numbers in [0, 1)
 * @throws LabError when a lab does not come up; Error when an answer is not the right one
 */
export async function measureKit(
  rounds: number,
  random: () => number,
  watcher: Watcher,
): Promise<KitOverhead> {
  // A run that was killed may have left some.
  await down();
  const all: Required<Measured> = { samples: {}, disk: {} };
  for (const name of Object.keys(subjects) as SubjectName[]) {
    const { samples, disk } = await measureSubject(name, rounds, random, watcher);
    Object.assign(all.samples, samples);
    Object.assign(all.disk, disk);
  }
  return { rounds, ...all };
}
