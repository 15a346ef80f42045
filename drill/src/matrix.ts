/** The fault matrix as a program: each cell in a healthy lab, its promise, and whether it was kept. */
import { randomUUID } from 'node:crypto';
import { Client } from '@resplice/e2e/fixtures/client.ts';
import { waitFor } from '@resplice/e2e/fixtures/wait.ts';
import { LabError, type Watcher } from '@resplice/engines';
import { median, quantile } from '@resplice/figures';
import { type Cell, nameOf } from './cell.ts';
import { DrillLab, type LabWish } from './lab.ts';
import { type Pace, paceOver } from './pace.ts';
import { promiseOf } from './promise.ts';
import { type CellResult, countsOf, type MatrixResult } from './result.ts';
import { type Drilled, drill, nothing, type Run, undisturbed } from './run.ts';
import type { Scene } from './scene.ts';
import { anySite, demoSite, keepsAlive, type Page, type Site } from './site.ts';
import { Inconclusive } from './strike.ts';
import { judgeCell, overall } from './verdict.ts';
import { Witness } from './witness.ts';

export interface MatrixOptions {
  readonly lab: LabWish;
  readonly cells: readonly Cell[];
  readonly seed: number;
  /** Runs of each cell. */
  readonly repeat: number;
  /** What is asked of a site that is not the built-in one. */
  readonly urlPath: string;
}

export interface MatrixWatcher extends Watcher {
  /** A cell's turn has come. */
  readonly begun?: (cell: string, number: number, of: number) => void;
  /** A cell is done: its place in the order, of how many. */
  readonly done?: (result: CellResult, number: number, of: number) => void;
}

/** Runs of a cell without a fault, at most; the others tell nothing new. */
const BASELINE_RUNS = 3;
/** `status` lists a connection soon. */
const LISTED_MS = 5000;

/** Fetches the page twice. @throws LabError usage when that is not the same */
async function pageAt(lab: DrillLab, client: Client, path: string, { deadlineMs }: Pace): Promise<Page> {
  const { address: host, port } = lab.facts.vip;
  const fetch = () => client.fetch({ host, port }, { path, deadlineMs });
  const [first, second] = [await fetch(), await fetch()];
  if (first.status !== 200)
    throw new LabError('usage', `GET ${path}: answered ${first.status}; see --url-path`);
  if (first.sha256 !== second.sha256) {
    throw new LabError('usage', `GET ${path}: differs each time, so nothing can be compared; see --url-path`);
  }
  return { path, bytes: first.received, sha256: first.sha256, keepsAlive: keepsAlive(first) };
}

/** By what the proxies tell; with plain routing there is but one. */
async function servedBy({ engine, facts }: DrillLab, local: string): Promise<string | undefined> {
  if (facts.arm === 'forward') return facts.backends[0];
  if (facts.arm !== 'resplice') return undefined;
  const found = await waitFor(`status to list ${local}`, LISTED_MS, async () => {
    const status = await engine.status();
    if (status === undefined || status === 'starting') return undefined;
    return status.connections.find(({ client }) => client === local);
  }).catch(() => undefined);
  return found?.backend ?? undefined;
}

/** Client and witness in a lab that is healthy. */
async function enter(lab: DrillLab, { seed, urlPath }: MatrixOptions): Promise<Scene> {
  const { facts } = lab;
  const mark = randomUUID();
  const pace = paceOver(facts.link);
  const client = await Client.start(facts.clientNamespace);
  try {
    if (facts.site !== 'demo') {
      const page = await pageAt(lab, client, urlPath, pace);
      const site: Site = anySite(page, facts, pace, ({ local }) => servedBy(lab, local));
      return { lab, client, site, witness: null, seed, mark };
    }
    const places = await Promise.all(
      facts.backends.map(async name => {
        const { namespace } = await lab.access(name);
        return { name, namespace, port: facts.port };
      }),
    );
    return { lab, client, site: demoSite(pace), witness: await Witness.start(places), seed, mark };
  } catch (error) {
    await client.stop();
    throw error;
  }
}

async function leave({ client, witness }: Scene): Promise<void> {
  await client.stop();
  await witness?.stop();
}

/** Why the cell cannot be drilled in this lab; null: it can. */
function unfit({ lab, site }: Scene, cell: Cell): string | null {
  const { arm, proxies, backends } = lab.facts;
  const spares = cell.component === 'proxy' ? proxies : backends;
  if (spares.length < 2) return `no second ${cell.component} to go on with`;
  if (arm === 'forward' && cell.component === 'proxy' && cell.fault === 'freeze') {
    return 'nothing runs there that could be frozen';
  }
  return site.unfit(cell);
}

interface Pending {
  readonly cell: Cell;
  readonly drilled: Drilled[];
  readonly unfit: string | null;
}

class Matrix {
  readonly #lab: DrillLab;
  readonly #options: MatrixOptions;
  readonly #watcher: MatrixWatcher;
  readonly #baselines = new Map<string, number>();
  #scene: Scene;

  constructor(lab: DrillLab, scene: Scene, options: MatrixOptions, watcher: MatrixWatcher) {
    this.#lab = lab;
    this.#scene = scene;
    this.#options = options;
    this.#watcher = watcher;
  }

  async run(): Promise<CellResult[]> {
    const { cells } = this.#options;
    const pending: Pending[] = [];
    for (const [index, cell] of cells.entries()) {
      this.#watcher.begun?.(nameOf(cell), index + 1, cells.length);
      const why = unfit(this.#scene, cell);
      const done = { cell, unfit: why, drilled: why === null ? await this.#drill(cell, pending) : [] };
      pending.push(done);
      this.#watcher.done?.(this.#resultOf(done), index + 1, cells.length);
    }
    const told = pending.map(each => this.#resultOf(each));
    // What a cut-off kernel sends again once it is heard may still be executed, long after its own cell was over.
    await this.#scene.witness?.settled();
    const results = this.#recheck(pending).map(each => this.#resultOf(each));
    for (const [index, result] of results.entries()) {
      if (result.reason !== told[index]!.reason) this.#watcher.done?.(result, index + 1, cells.length);
    }
    return results;
  }

  async leave(): Promise<void> {
    await leave(this.#scene);
  }

  async #drill(cell: Cell, before: Pending[]): Promise<Drilled[]> {
    const normal = await this.#baseline(cell);
    if (normal instanceof Inconclusive)
      return [{ run: inconclusive(normal.message), tokens: [], healed: true }];
    const { kind } = promiseOf(cell, this.#lab.facts.link);
    const all: Drilled[] = [];
    for (let number = 0; number < this.#options.repeat; number++) {
      if (this.#watcher.signal?.aborted) throw new LabError('interrupted', 'interrupted');
      const drilled = await drill(this.#scene, cell, kind, number);
      all.push(drilled);
      if (drilled.healed) continue;
      before.splice(0, before.length, ...this.#recheck(before));
      await leave(this.#scene);
      this.#scene = await enter(this.#lab, this.#options);
    }
    return all;
  }

  async #baseline(cell: Cell): Promise<number | Inconclusive> {
    const { component, moment, workload } = cell;
    const key = `${component}/${moment}/${workload}`;
    const known = this.#baselines.get(key);
    if (known !== undefined) return known;
    const found = await this.#measure(cell);
    // What goes wrong now may go well for the next cell.
    if (typeof found === 'number') this.#baselines.set(key, found);
    return found;
  }

  async #measure(cell: Cell): Promise<number | Inconclusive> {
    const stalls: number[] = [];
    try {
      for (let number = 0; number < Math.min(this.#options.repeat, BASELINE_RUNS); number++) {
        stalls.push(await undisturbed(this.#scene, cell, number));
      }
    } catch (error) {
      if (error instanceof Inconclusive) return error;
      throw error;
    }
    return median(stalls);
  }

  /** Who is found to have been executed again since, has failed. */
  #recheck(pending: readonly Pending[]): Pending[] {
    const { witness } = this.#scene;
    const again = (drilled: Drilled): Drilled => {
      const most = Math.max(0, ...drilled.tokens.map(token => witness?.executions(token) ?? 0));
      if (most < 2 || drilled.run.verdict === 'fail') return drilled;
      const reason = `executed ${most} times, the last time when all was over`;
      return { ...drilled, run: { ...drilled.run, verdict: 'fail', reason, executions: most } };
    };
    return pending.map(each => ({ ...each, drilled: each.drilled.map(again) }));
  }

  #resultOf({ cell, drilled, unfit: why }: Pending): CellResult {
    const { component, moment, workload } = cell;
    const promised = promiseOf(cell, this.#lab.facts.link);
    const runs = drilled.map(({ run }) => run);
    const normal = this.#baselines.get(`${component}/${moment}/${workload}`);
    const added = runs.flatMap(({ verdict, stallMs }) =>
      stallMs === null || verdict === 'inconclusive' ? [] : [Math.max(0, stallMs - Number(normal))],
    );
    return {
      cell: nameOf(cell),
      ...cell,
      promise: promised.kind,
      ...(why === null ? judgeCell(promised, runs, added) : { verdict: 'not applicable', reason: why }),
      addedStallMs:
        added.length > 0
          ? { median: median(added), p99: quantile(added, 0.99), max: Math.max(...added) }
          : null,
      barMs: promised.barMs,
      runs,
    };
  }
}

function inconclusive(reason: string): Run {
  return { ...nothing, verdict: 'inconclusive', reason };
}

/**
 * Drills these cells, one after the other, in the lab that is up or in one of its own, and leaves the lab as it was found.
 *
 * @throws LabError usage, capability, unhealthy, interrupted
 */
export async function runMatrix(options: MatrixOptions, watcher: MatrixWatcher): Promise<MatrixResult> {
  const lab = await DrillLab.open(options.lab, watcher);
  try {
    const matrix = new Matrix(lab, await enter(lab, options), options, watcher);
    try {
      const cells = await matrix.run();
      const { arm, link, site, proxies, backends } = lab.facts;
      return {
        version: 1,
        arm,
        link: link.name,
        proxies: proxies.length,
        backends: backends.length,
        site,
        seed: options.seed,
        repeat: options.repeat,
        cells,
        counts: countsOf(cells),
        verdict: overall(cells.map(({ verdict }) => verdict)),
      };
    } finally {
      await matrix.leave();
    }
  } finally {
    await lab.close();
  }
}
