/** Results that nobody measured: for tests of what is made of results, and for nothing else. */
import type { Circumstances, Results } from '../../src/paper/folder.ts';
import { type PaperOptions, planOf, quick } from '../../src/paper/plan.ts';
import { columns, printed } from '../../src/paper/reference.ts';
import type { PaperRun, RunKey } from '../../src/paper/run.ts';

export const OPTIONS: PaperOptions = {
  ...quick,
  links: ['lan-paper', 'wan-mit'],
  scale: 1,
  repeat: 3,
  seed: 7,
};

const REQUESTS = 20;

/** As the paper's own: the traditional person reloads once, ours notices nothing and waits 0.05 s. */
export function madeUpRun(key: RunKey, change: Partial<PaperRun> = {}): PaperRun {
  const column = columns.find(({ link }) => link === key.link)!.name;
  const { noFailure, withFailure } = printed[key.action].cells[column].traditional;
  const isOurs = key.architecture === 'ours';
  const faulty = key.fault !== 'none';
  const added = !faulty ? 0 : isOurs ? 0.05 : withFailure - noFailure;
  // Repetitions differ a little.
  const seconds = noFailure + added + key.repetition / 1000;
  const disturbed = faulty && !isOurs;
  const each = (seconds * 1000) / REQUESTS;
  return {
    ...key,
    version: 2,
    seed: OPTIONS.seed,
    scale: 1,
    at: '2001-02-03T04:05:06.000Z',
    verdict: 'complete',
    reason: null,
    seconds,
    fired: faulty
      ? {
          target: key.fault.startsWith('proxy') ? 'proxy-1' : 'backend-1',
          at: seconds * 500,
          completed: 10,
          of: REQUESTS,
          step: 'connect',
        }
      : null,
    bytes: 957_614,
    wrongAnswers: 0,
    noticed: disturbed ? [{ what: 'error', at: seconds * 510, detail: 'connect: ECONNRESET' }] : [],
    reloads: disturbed ? 1 : 0,
    repeatedLogins: disturbed && key.action === 'action2' ? 1 : 0,
    deliveries: key.action === 'action2' ? 1 : null,
    measuredRttMs: 66.2,
    emulator: 'tap',
    requests: Array.from({ length: REQUESTS }, (_, index) => ({
      path: `/assets/calibration?name=connect-${index}&bytes=6559`,
      start: index * each,
      end: (index + 1) * each - 1,
      bytes: 6559,
      status: disturbed && index === REQUESTS / 2 ? null : 200,
      // A browser has six connections, and the same ones again and again.
      connection: key.client === 'paper' ? `10.61.0.2:${40_000 + index}` : String(17 + (index % 6)),
    })),
    ...change,
  };
}

export const MACHINE: Circumstances = {
  at: '2001-02-03T04:05:06.000Z',
  processor: 'made up',
  cores: 2,
  memoryGiB: 8,
  kernel: '0.0.0',
  system: 'made up',
  versions: { 'Node.js': '0.0.0' },
};

export function madeUpResults(
  options: PaperOptions = OPTIONS,
  change: (key: RunKey) => Partial<PaperRun> = () => ({}),
): Results {
  return {
    setting: {
      version: 2,
      options,
      sessions: [MACHINE],
    },
    runs: planOf(options).map(key => madeUpRun(key, change(key))),
  };
}
