/** One run of a cell: from a healthy lab through the fault back to a healthy lab. */
import { createHash } from 'node:crypto';
import type { ClientConnection } from '@resplice/e2e/fixtures/client.ts';
import { ExchangeError } from '@resplice/e2e/fixtures/exchange.ts';
import { type Cell, nameOf } from './cell.ts';
import { type Attempt, moments } from './moment.ts';
import { BUFFER_BYTES } from './pace.ts';
import type { PromiseKind } from './promise.ts';
import { recover } from './recovery.ts';
import type { Scene } from './scene.ts';
import { keepsAlive } from './site.ts';
import { Inconclusive, notFired, type Strike, strike } from './strike.ts';
import { type Evidence, type Judgement, judge } from './verdict.ts';

/** What one run has found. */
export interface Run extends Judgement {
  /** What was broken; null: nothing was. */
  readonly target: string | null;
  /** Epoch milliseconds; null: no fault took effect. */
  readonly faultAt: number | null;
  /** Of the answer; null: there was none. */
  readonly status: number | null;
  /** In what way the connection broke; null: it did not. */
  readonly failure: string | null;
  /** In what way the next request on the connection broke, or its status; null: it was answered well, or never sent. */
  readonly afterwards: string | null;
  /** Null: nobody can tell. */
  readonly executions: number | null;
  /** The longest time without progress, ms; null: no answer. */
  readonly stallMs: number | null;
}

/** The run's judgement, and what is needed to look again later. */
export interface Drilled {
  readonly run: Run;
  /** Whether the lab became healthy again; otherwise it was made anew, and the scene is of no more use. */
  readonly healed: boolean;
  /** Of the requests that must not be found executed more often afterwards. */
  readonly tokens: readonly string[];
}

/** 0…1, for each run of each cell another one, whichever cells are chosen. */
function drawFor(seed: number, what: string): number {
  return createHash('sha256').update(`${seed}/${what}`).digest().readUInt32BE() / 2 ** 32;
}

const CONNECT_MS = 8000;

/** Why the connection is of no more use after an answer; null: it is. */
interface Afterwards {
  readonly kind: string;
  readonly reason: string;
}

/** Of an answer that had to be transparent; who refuses may close. */
const closing: Afterwards = {
  kind: 'closing',
  reason: 'answered, but says that it closes the connection, which it does not without a fault',
};

async function usefulAfterwards({ site }: Scene, { connection, ended }: Attempt): Promise<Afterwards | null> {
  if ('broken' in ended) return null;
  if (!keepsAlive(ended.exchange)) return site.keepsAlive && ended.exchange.status === 200 ? closing : null;
  try {
    const { status } = await site.ask(connection);
    return status === 200
      ? null
      : { kind: `${status}`, reason: `answered, and the next request with ${status}` };
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error;
    const { kind, message } = error.failure;
    return { kind, reason: `answered, then of no use: ${kind}: ${message}` };
  }
}

function evidenceOf(
  { ended, work, missed }: Attempt,
  afterwards: string | null,
  executions: number | null,
): Evidence {
  if ('broken' in ended) {
    const { kind: failure, message } = ended.broken;
    return { missed, afterwards, executions, outcome: { kind: 'broken', failure, message } };
  }
  const { exchange } = ended;
  const outcome = { kind: 'answered', status: exchange.status, wrong: work.wrong(exchange) } as const;
  return { missed, afterwards, executions, outcome };
}

const ranks = { fail: 0, inconclusive: 1, pass: 2, 'not applicable': 3 } as const;

/** The run that they make together: the worst of them, with the longest stall. */
function worstOf(runs: readonly Run[]): Run {
  const worst = [...runs].sort((a, b) => ranks[a.verdict] - ranks[b.verdict])[0]!;
  const stalls = runs.flatMap(({ stallMs }) => (stallMs === null ? [] : [stallMs]));
  return { ...worst, stallMs: stalls.length === runs.length ? Math.max(...stalls) : null };
}

/** A run in which nothing was seen. */
export const nothing = {
  target: null,
  faultAt: null,
  status: null,
  failure: null,
  afterwards: null,
  executions: null,
  stallMs: null,
};

type Make = (connection: ClientConnection, backend: string | undefined) => Promise<number | undefined>;

interface Shown {
  readonly attempt: Attempt;
  readonly afterwards: Afterwards | null;
}

/** Brings connections to the cell's moment, sees what becomes of them and of a request after it, and closes them. */
async function show(scene: Scene, cell: Cell, name: string, make: Make): Promise<Shown[]> {
  const { lab, client, site, witness, seed, mark } = scene;
  const { address: host, port } = lab.facts.vip;
  const opened: ClientConnection[] = [];
  try {
    const attempts = await moments[cell.moment]({
      cell,
      site,
      witness,
      token: `${mark}-${name}`,
      facts: lab.facts,
      draw: drawFor(seed, name),
      async connect() {
        const connection = await client.connect({
          host,
          port,
          bufferBytes: BUFFER_BYTES,
          deadlineMs: CONNECT_MS,
        });
        opened.push(connection);
        return connection;
      },
      strike: make,
    });
    const shown: Shown[] = [];
    for (const attempt of attempts) {
      shown.push({ attempt, afterwards: await usefulAfterwards(scene, attempt) });
    }
    return shown;
  } finally {
    // What it has to say has been asked; that a closed connection was closed already is no news.
    for (const connection of opened) await connection.close().catch(() => {});
  }
}

/** Looks at what has come of a request, once everything that happened has been heard. */
function seen({ witness }: Scene, cell: Cell, kind: PromiseKind, { attempt, afterwards }: Shown): Run {
  const { ended, token } = attempt;
  const executions = witness && cell.workload === 'update' ? witness.executions(token) : null;
  return {
    ...nothing,
    ...judge(kind, cell.workload, evidenceOf(attempt, afterwards?.reason ?? null, executions)),
    executions,
    afterwards: afterwards?.kind ?? null,
    status: 'exchange' in ended ? ended.exchange.status : null,
    failure: 'broken' in ended ? ended.broken.kind : null,
    stallMs: 'exchange' in ended ? ended.exchange.longestStallMs : null,
  };
}

/**
 * The longest time without progress when all is well, ms.
 *
 * @throws Inconclusive when it does not go well
 */
export async function undisturbed(scene: Scene, cell: Cell, number: number): Promise<number> {
  const { component, moment, workload } = cell;
  const name = `${component}-undisturbed-${moment}-${workload}-${number}`;
  const shown = await show(scene, cell, name, async () => undefined);
  await scene.witness?.settled();
  const { reason, stallMs } = worstOf(shown.map(each => seen(scene, cell, 'transparent', each)));
  if (reason !== null || stallMs === null) throw new Inconclusive(`not even without a fault: ${reason}`);
  return stallMs;
}

/**
 * The run's judgement.
 *
 * @param number of the run within its cell, from 0 on
 */
export async function drill(scene: Scene, cell: Cell, kind: PromiseKind, number: number): Promise<Drilled> {
  const { lab, witness } = scene;
  const name = `${nameOf(cell)}-${number}`;
  let made: Strike | undefined;
  let shown: Shown[] = [];
  let unmet: string | null = null;
  try {
    shown = await show(scene, cell, name, async (connection, backend) => {
      made = await strike(lab, cell, connection, backend);
      return made.at;
    });
    unmet = made ? await notFired(lab, cell, made) : 'no fault was made';
  } catch (error) {
    if (error instanceof Inconclusive) unmet = error.message;
    else if (error instanceof ExchangeError) unmet = `before the fault: ${error.message}`;
    else throw error;
  }
  // Two of them would wait for each other's work.
  await made?.healing.catch(() => {});
  const trouble = await recover(scene);
  unmet ??= trouble;
  const { target = null, at: faultAt = null } = made ?? {};
  const run: Run =
    unmet === null
      ? { ...worstOf(shown.map(each => seen(scene, cell, kind, each))), target, faultAt }
      : { ...nothing, target, faultAt, verdict: 'inconclusive', reason: unmet };
  const counted = witness !== null && cell.workload === 'update';
  return { run, healed: trouble === null, tokens: counted ? shown.map(({ attempt }) => attempt.token) : [] };
}
