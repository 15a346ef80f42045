/** The runs of a results folder that are still missing, one after the other, each in a healthy lab. */
import { launchChromium } from '@resplice/e2e/fixtures/browser.ts';
import { LabError, type Watcher } from '@resplice/engines';
import { DEMO_DOMAIN, DEMO_PASSWORD } from '@resplice/mailstore';
import type { Browser } from 'playwright';
import { type Acted, act, type Part } from './act.ts';
import { Aim } from './aim.ts';
import { ChromiumVisitor } from './chromium-visitor.ts';
import { epochOf } from './clock.ts';
import type { ResultsFolder } from './folder.ts';
import { PaperLab } from './lab.ts';
import { manners, patienceOn } from './person.ts';
import { planOf, scaleOf, secondsLeft } from './plan.ts';
import { type Action, browserPageMs, scaled, weights } from './reference.ts';
import { type Architecture, architectures, type Fired, keyOf, type PaperRun, type RunKey } from './run.ts';
import { spreadOf } from './statistics.ts';
import type { Progress } from './visitor.ts';

export interface PaperWatcher extends Watcher {
  /** A run's turn has come. @param leftSeconds of this one and all that follow */
  readonly begun?: (key: RunKey, number: number, of: number, leftSeconds: number) => void;
  readonly done?: (run: PaperRun, number: number, of: number) => void;
}

/** A fault that missed is tried again, so often at most altogether. */
const TRIES = 3;
/** Of the whole of action 2: each back end has seen every page by then. */
const WARM_UPS = 3;

/** Both architectures over one link. */
interface Scene {
  readonly labs: Readonly<Record<Architecture, PaperLab>>;
  readonly browsers: Partial<Record<Architecture, Browser>>;
  readonly rttMs: Readonly<Record<Architecture, number>>;
}

async function enter(link: string, watcher: Watcher): Promise<Scene> {
  const labs: Partial<Record<Architecture, PaperLab>> = {};
  const rttMs: Partial<Record<Architecture, number>> = {};
  const quiet = watcher.signal ? { signal: watcher.signal } : {};
  try {
    for (const architecture of architectures) {
      watcher.progress?.(`bringing up: ${architecture}, ${link}`);
      const lab = await PaperLab.up(architecture, link, quiet);
      labs[architecture] = lab;
      await lab.settle();
      rttMs[architecture] = spreadOf(await lab.setUps())!.median;
    }
  } catch (error) {
    await Promise.all(Object.values(labs).map(lab => lab.down()));
    throw error;
  }
  return { labs: labs as Scene['labs'], browsers: {}, rttMs: rttMs as Scene['rttMs'] };
}

async function leave({ labs, browsers }: Scene): Promise<void> {
  for (const browser of Object.values(browsers)) await browser.close();
  for (const lab of Object.values(labs)) await lab.down();
}

async function browserIn(scene: Scene, architecture: Architecture): Promise<Browser> {
  const { clientNamespace, origin } = scene.labs[architecture];
  scene.browsers[architecture] ??= await launchChromium({ namespace: clientNamespace, trusted: origin });
  return scene.browsers[architecture];
}

function address(name: string): string {
  return `${name}@${DEMO_DOMAIN}`;
}

interface Attempt {
  readonly acted: Acted;
  /** In words: why the fault missed. */
  readonly fired: Fired | string | null;
  /** Of the letter; null: none was sent. */
  readonly subject: string | null;
}

class Drill {
  readonly #folder: ResultsFolder;
  readonly #watcher: PaperWatcher;
  #tokens = 0;

  constructor(folder: ResultsFolder, watcher: PaperWatcher) {
    this.#folder = folder;
    this.#watcher = watcher;
  }

  async run(scene: Scene, key: RunKey): Promise<PaperRun> {
    const lab = scene.labs[key.architecture];
    for (let number = 1; ; number++) {
      const attempt = await this.#attempt(scene, lab, key);
      if (key.fault !== 'none') await lab.heal();
      if (typeof attempt.fired !== 'string' || number === TRIES) {
        const deliveries = attempt.subject === null ? null : await lab.letters(attempt.subject);
        return this.#record(scene, key, attempt, deliveries);
      }
      this.#watcher.progress?.(`${keyOf(key)}: again, ${attempt.fired}`);
    }
  }

  /** Programs that have just started are slower than they will be: what is measured first would pay for all. */
  async warmUp({ labs }: Scene): Promise<void> {
    for (const lab of Object.values(labs)) {
      this.#watcher.progress?.(`warming up: ${lab.architecture}`);
      for (let time = 0; time < WARM_UPS; time++) {
        const { part, token } = this.#partOf('action2');
        const weight = { objects: 0, bytes: 0, serverMs: 0 };
        await lab.client.do('act', { ...part, origin: lab.origin, token, weight });
      }
    }
  }

  #partOf(action: Action): { part: Part; token: string; subject: string } {
    const token = `${Date.now().toString(36)}-${++this.#tokens}`;
    const subject = `Drill ${token}`;
    const part: Part = {
      action,
      manners,
      account: { address: address('ada'), password: DEMO_PASSWORD },
      letter: { recipients: address('ben'), subject, body: 'Sent once, whatever happens.' },
    };
    return { part, token, subject };
  }

  async #attempt(scene: Scene, lab: PaperLab, key: RunKey): Promise<Attempt> {
    const { options } = this.#folder.setting;
    const weight = scaled(weights[key.action], scaleOf(options, key.link));
    const { part, token, subject } = this.#partOf(key.action);
    const aim =
      key.fault === 'none'
        ? undefined
        : new Aim(lab, key.fault, { action: key.action, client: key.client, objects: weight.objects });
    const progress = (each: Progress): void => aim?.see(each);
    const { origin } = lab;
    const acted =
      key.client === 'paper'
        ? await lab.client.do('act', { ...part, origin, token, weight }, progress)
        : await act(
            await ChromiumVisitor.start(await browserIn(scene, key.architecture), {
              origin,
              token,
              patienceMs: patienceOn(key.link),
              pageMs: browserPageMs[key.action],
              progress,
            }),
            part,
          );
    const fired = aim ? await aim.result(acted.startedAt, acted.requests) : null;
    return { acted, fired, subject: key.action === 'action2' ? subject : null };
  }

  #record(scene: Scene, key: RunKey, { acted, fired }: Attempt, deliveries: number | null): PaperRun {
    const { options } = this.#folder.setting;
    const since = (at: number): number => Math.round((at - acted.startedAt) * 10) / 10;
    return {
      ...key,
      ...verdictOf(acted, fired, deliveries),
      version: 2,
      seed: options.seed,
      scale: key.client === 'paper' ? scaleOf(options, key.link) : 1,
      at: new Date(epochOf(acted.startedAt)).toISOString(),
      seconds: acted.gaveUp === null ? (acted.endedAt - acted.startedAt) / 1000 : null,
      fired: typeof fired === 'string' ? null : fired,
      bytes: acted.requests.reduce((sum, { bytes }) => sum + bytes, 0),
      wrongAnswers: acted.wrongAnswers,
      noticed: acted.noticed.map(each => ({ ...each, at: since(each.at) })),
      reloads: acted.reloads,
      repeatedLogins: acted.repeatedLogins,
      deliveries,
      measuredRttMs: scene.rttMs[key.architecture],
      emulator: scene.labs[key.architecture].emulator,
      requests: acted.requests.map(each => ({ ...each, start: since(each.start), end: since(each.end) })),
    };
  }
}

function verdictOf(
  { gaveUp, wrongAnswers }: Pick<Acted, 'gaveUp' | 'wrongAnswers'>,
  fired: Fired | string | null,
  deliveries: number | null,
): Pick<PaperRun, 'verdict' | 'reason'> {
  if (typeof fired === 'string') return { verdict: 'inconclusive', reason: fired };
  if (gaveUp !== null) return { verdict: 'failed', reason: `given up: ${gaveUp}` };
  if (wrongAnswers > 0) return { verdict: 'failed', reason: `${wrongAnswers} answers had wrong bytes` };
  if (deliveries === 0) return { verdict: 'failed', reason: 'the letter did not arrive' };
  return { verdict: 'complete', reason: null };
}

/** As soon as the watcher's signal says so: what is under way is not kept. */
function interruption(signal: AbortSignal | undefined, path: string): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void =>
      reject(new LabError('interrupted', `interrupted; to go on: ./resplice drill paper --resume ${path}`));
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/**
 * Makes the runs that the folder lacks, and leaves no lab behind.
 *
 * @param links on these only; the others are left to another time
 * @throws LabError capability, unhealthy, interrupted; what was done by then is kept
 */
export async function makeRuns(
  folder: ResultsFolder,
  links: readonly string[],
  watcher: PaperWatcher,
): Promise<void> {
  const { options } = folder.setting;
  const plan = planOf(options).filter(({ link }) => links.includes(link));
  // Settled beforehand: whose fault misses now is left to the next time.
  const lacking = plan.filter(key => folder.lacks(key));
  const stopped = interruption(watcher.signal, folder.path);
  stopped.catch(() => {});
  const drill = new Drill(folder, watcher);
  const done: RunKey[] = [];
  let number = plan.length - lacking.length;
  let spent = 0;
  for (const link of links) {
    const missing = lacking.filter(key => key.link === link);
    if (missing.length === 0) continue;
    const scene = await Promise.race([enter(link, watcher), stopped]);
    try {
      await Promise.race([drill.warmUp(scene), stopped]);
      for (const key of missing) {
        const rest = lacking.slice(done.length);
        watcher.begun?.(key, ++number, plan.length, secondsLeft(rest, done, spent, options));
        const started = performance.now();
        const run = await Promise.race([drill.run(scene, key), stopped]);
        folder.add(run);
        done.push(key);
        spent += (performance.now() - started) / 1000;
        watcher.done?.(run, number, plan.length);
      }
    } finally {
      await leave(scene);
    }
  }
}
