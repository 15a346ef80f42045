/** Many people send numbered letters while the back ends that serve them fail; then the mailboxes are counted. */
import { randomBytes } from 'node:crypto';
import { LabError, type Watcher } from '@resplice/engines';
import { quantile } from '@resplice/figures';
import { DrillLab, type LabWish } from '../lab.ts';
import { type BrokenSend, Crowd } from './crowd.ts';
import { Ledger } from './ledger.ts';
import { letterOf } from './letter.ts';
import { type Letters, lettersOf, type StormFacts, verdictOf } from './verdict.ts';
import { type Gust, type Reached, rageOver } from './weather.ts';

export interface StormOptions {
  readonly lab: Omit<LabWish, 'site' | 'backendCommand'>;
  /** 1…100,000 */
  readonly sends: number;
  /** 2…1,000 */
  readonly people: number;
  readonly seed: number;
}

export interface StormResult {
  readonly version: 1;
  readonly arm: string;
  readonly link: string;
  readonly proxies: number;
  readonly backends: number;
  readonly seed: number;
  readonly sends: number;
  readonly people: number;
  readonly faults: readonly Gust[];
  /** How often a letter was to be stopped at each point of its way, and how often one was. */
  readonly points: Readonly<Record<string, Reached>>;
  readonly letters: Letters;
  /** Letters whose authors were not told that they are sent. */
  readonly brokenSends: readonly BrokenSend[];
  readonly pages: { readonly whole: number; readonly broken: readonly string[] };
  /** People who are logged in in the end; how often somebody was found logged out. */
  readonly sessions: { readonly alive: number; readonly logOuts: number };
  /** Messages that were still on their way in the end. */
  readonly pending: number;
  /** Milliseconds from the empty form to the page that says that it is sent. */
  readonly sendMs: { readonly median: number; readonly p99: number; readonly max: number };
  readonly verdict: 'pass' | 'fail' | 'inconclusive';
}

export interface StormWatcher extends Watcher {
  /** A fault has been undone. */
  readonly onGust?: (gust: Gust, begun: number) => void;
}

/** What was left on its way is handed over again within a minute (the webmail's outbox); then some, ms. */
const SETTLE_MS = 120_000;

/** @throws LabError usage when another lab is up; what its `up` and `heal` throw */
export async function runStorm(options: StormOptions, watcher: StormWatcher): Promise<StormResult> {
  const wish: LabWish = { ...options.lab, site: 'webmail', backendCommand: undefined };
  const lab = await DrillLab.open(wish, watcher);
  try {
    if (lab.facts.backends.length < 2)
      throw new LabError('usage', 'a storm needs a second back end to go on with');
    return await storm(lab, options, watcher);
  } finally {
    await lab.close();
  }
}

async function storm(
  lab: DrillLab,
  { sends, people: count, seed }: StormOptions,
  watcher: StormWatcher,
): Promise<StormResult> {
  const { facts, engine } = lab;
  // Another one for each storm, also in the same lab: what is counted is this storm's alone.
  const mark = `storm${randomBytes(4).toString('hex')}`;
  const ledger = new Ledger(engine.database(), mark);
  let crowd: Crowd | undefined;
  try {
    const people = await ledger.addPeople(count);
    crowd = await Crowd.start({
      namespace: facts.clientNamespace,
      origin: facts.vip.url,
      people,
      mark,
      sends,
      seed,
    });
    watcher.progress?.(`${count} people are logged in`);
    crowd.go();
    const { gusts, points } = await rageOver(lab, crowd, {
      seed,
      signal: watcher.signal,
      onGust: gust => watcher.onGust?.(gust, crowd!.begun),
    });
    if (watcher.signal?.aborted) throw new LabError('interrupted', 'interrupted');
    await crowd.untilDone();
    const { pages, sessions } = await crowd.lastLook();
    watcher.progress?.('waiting for what is still on its way');
    const mailboxes = await ledger.settle(SETTLE_MS);
    const { brokenSends, brokenPages, logOuts, durations, authors } = crowd;
    const begun = [...authors]
      .sort(([a], [b]) => a - b)
      .map(([number, author]) => letterOf(number, author, { people, mark, seed }));
    const found: StormFacts = {
      ...{ begun, brokenSends, brokenPages, mailboxes, people: count, sessions, logOuts, gusts, points },
    };
    return {
      version: 1,
      arm: facts.arm,
      link: facts.link.name,
      proxies: facts.proxies.length,
      backends: facts.backends.length,
      seed,
      sends,
      people: count,
      faults: gusts,
      points,
      letters: lettersOf(found),
      brokenSends,
      pages: { whole: pages, broken: brokenPages },
      sessions: { alive: sessions, logOuts },
      pending: mailboxes.pending,
      sendMs: {
        median: quantile(durations, 0.5),
        p99: quantile(durations, 0.99),
        max: Math.max(...durations),
      },
      verdict: verdictOf(found),
    };
  } finally {
    await crowd?.stop();
    await ledger.close();
  }
}
