import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError, type Watcher } from '@resplice/engines';
import { describeMachine, type Program, randomFrom } from '@resplice/figures';
import { measureFailovers } from './failovers.ts';
import { Field } from './field.ts';
import { measureKit } from './kit/overhead.ts';
import { measureLinks } from './links.ts';
import { measurements } from './measurements.ts';
import { measureMemory } from './memory.ts';
import { markdownReport, resultIn } from './report.ts';
import { type BenchResult, type Samples, withParts, withPartsOf } from './result.ts';
import { runRounds } from './rounds.ts';
import { writeSite } from './site.ts';

export { textReport } from './report.ts';
export type { BenchResult } from './result.ts';
export { type Outcome, type Verdict, verdictOf } from './verdict.ts';

export interface BenchOptions {
  /** Ten or more for figures that are to be quoted; 0: the arms are not compared anew, the page's run counts. */
  readonly rounds: number;
  /** How long a measurement by time takes, whole seconds. */
  readonly seconds: number;
  /** Bytes of a bulk download; a multiple of 16. */
  readonly bulkBytes: number;
  /** Of the order in which arms are measured, 0 to 2^32 - 1. */
  readonly seed: number;
  /** Whether the logger's memory is measured. */
  readonly memory: boolean;
  /** How often each fault is made at each moment; 0: none. */
  readonly failovers: number;
  /** How often the time over slow links is taken; 0: not at all. */
  readonly links: number;
  /** Rounds in which the kit's overhead is measured; 0: it is not. */
  readonly kit: number;
  /** How the run was asked for. */
  readonly command: string;
}

const programs: readonly Program[] = [
  ['HAProxy', 'haproxy', '-v'],
  ['nginx', 'nginx', '-v'],
  ['wrk', 'wrk', '-v'],
  ['curl', 'curl', '--version'],
];

const PAGE = join(import.meta.dirname, '../../docs/BENCHMARKS.md');
const NOTES = join(import.meta.dirname, '../notes.md');

/**
 * Measures all arms side by side and leaves nothing behind.
 * @throws LabError when an arm does not come up; Error when a measurement fails
 */
export async function runBench(options: BenchOptions, watcher: Watcher = {}): Promise<BenchResult> {
  const { rounds, seconds, bulkBytes, seed, command, failovers, links, memory, kit } = options;
  const machine = describeMachine(programs);
  const samples = rounds > 0 ? await compareArms(options, watcher) : undefined;
  const at = new Date().toISOString();
  const measured = {
    ...(memory && { memory: await measureMemory(watcher) }),
    ...(links > 0 && { links: await measureLinks(links, seed, watcher) }),
    ...(failovers > 0 && { failovers: await measureFailovers(failovers, seed, watcher) }),
    ...(kit > 0 && { kit: await measureKit(kit, randomFrom(seed), watcher) }),
  };
  if (samples === undefined) return withParts(pageResult(), { at, command, machine }, measured);
  return { ...{ version: 1, at, command, seed, rounds, seconds, bulkBytes, machine, samples }, ...measured };
}

async function compareArms(
  { rounds, seconds, bulkBytes, seed }: BenchOptions,
  watcher: Watcher,
): Promise<Samples> {
  const site = writeSite(bulkBytes);
  try {
    const { labs } = await Field.up(site, watcher);
    return await runRounds({
      labs,
      measurements,
      rounds,
      conditions: { seconds, bulkBytes },
      random: randomFrom(seed),
      ...watcher,
    });
  } catch (error) {
    throw watcher.signal?.aborted
      ? new LabError('interrupted', 'interrupted; every arm is down again')
      : error;
  } finally {
    await Field.down();
    site.remove();
  }
}

/** Renders docs/BENCHMARKS.md from a run; what it has not measured of failovers, memory and the kit stays. @returns its path */
export function writePage(result: BenchResult): string {
  writeFileSync(PAGE, renderPage(withPartsOf(pageResult(), result)));
  return PAGE;
}

function pageResult(): BenchResult {
  return resultIn(readFileSync(PAGE, 'utf8'));
}

export function renderPage(result: BenchResult): string {
  return markdownReport(result, readFileSync(NOTES, 'utf8'));
}
