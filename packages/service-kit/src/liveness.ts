// Liveness: who answers, and who of those is ready. One mechanism for everything: balancer and logger probe the proxies,
// proxies each other and the back ends' agents. Every daemon answers on its probe port.

import { Worker } from 'node:worker_threads';
import type { Target, TargetState } from './detector.ts';
import { LIVENESS_COUNTERS, type LivenessCounter, LivenessMemory, TargetMemory } from './liveness-memory.ts';
import type { Metrics } from './metrics.ts';

export type { Target, TargetState } from './detector.ts';
export type { LivenessCounter } from './liveness-memory.ts';

/** Default time without a turn of the main event loop after which a daemon stops answering, in ms. */
export const STALL_MS = 2000;

export interface LivenessTarget {
  target: Target;
  /** Names this target in reports: an id may have come to another address since. */
  token: number;
  memory: SharedArrayBuffer;
}

export interface LivenessInit {
  port: number;
  key: Uint8Array;
  self: { id: number; epoch: number };
  stallMs: number;
  lapseMs: number;
  shared: SharedArrayBuffer;
  targets: readonly LivenessTarget[];
}

export type LivenessRequest =
  | { kind: 'targets'; targets: readonly LivenessTarget[] }
  | { kind: 'settled' }
  | { kind: 'close' };

export type WorkerReport =
  | { kind: 'listening'; port: number }
  | { kind: 'changed'; token: number; state: TargetState }
  | { kind: 'suspectSelf' }
  | { kind: 'lapsed' }
  | { kind: 'settled' };

export interface LivenessOptions {
  /** UDP port on all addresses; 0 takes a free one (see Liveness.port). */
  port: number;
  /** Cluster key, 32 bytes. */
  key: Uint8Array;
  self: { id: number; epoch: number };
  targets?: readonly Target[];
  /** Answers stop when the main event loop has not turned for this long, in ms. */
  stallMs?: number;
  /**
   * After this long without a turn of the worker, in ms, others may have taken this process for dead: it says that it is not
   * ready until `onLapse` has been dealt with. Infinity if absent. Less than what others' verdicts take, more than a probe's interval.
   */
  lapseMs?: number;
  /** Called after such a lapse, or one of the main thread's (`stallMs`); ready again when it resolves. */
  onLapse?: () => Promise<void>;
  /** Gets what ends the worker unasked; by default it is thrown, and so ends the process. */
  onError?: (error: Error) => void;
}

export interface TargetView extends TargetState {
  /** Live and ready. */
  up: boolean;
  /** Round trip of the newest answer, µs; 0 before the first. */
  rttUs: number;
  /** Ms since the newest answer; Infinity before the first. */
  sinceHeardMs: number;
}

interface Watched {
  target: Target;
  token: number;
  memory: TargetMemory;
  state: TargetState;
}

type ChangeListener = (target: Target, state: TargetState) => void;

const UNKNOWN: TargetState = { live: false, ready: false, epoch: 0, status: 0 };

function checkTargets(targets: readonly Target[]): void {
  const names = new Set(targets.map(({ name }) => name));
  const ids = new Set(targets.map(({ id }) => id));
  if (names.size !== targets.length || ids.size !== targets.length) {
    throw new Error('liveness targets must have names and ids of their own');
  }
}

export class Liveness {
  /** The UDP port that is bound. */
  readonly port: number;
  /** Resolves when every first target was heard or had the time to be; what is not live by then is dead. */
  readonly settled: Promise<void>;
  readonly #worker: Worker;
  readonly #memory: LivenessMemory;
  readonly #beat: NodeJS.Timeout;
  readonly #exited: Promise<void>;
  #watched: Map<number, Watched>;
  readonly #changeListeners = new Set<ChangeListener>();
  readonly #suspicionListeners = new Set<() => void>();

  /** Use startLiveness(). */
  constructor(
    worker: Worker,
    memory: LivenessMemory,
    watched: Map<number, Watched>,
    port: number,
    stallMs: number,
    onLapse: (() => Promise<void>) | undefined,
  ) {
    this.port = port;
    this.#worker = worker;
    this.#memory = memory;
    this.#watched = watched;
    // Unreferenced: liveness alone keeps no process running.
    this.#beat = setInterval(() => memory.beat(), Math.max(5, Math.min(100, stallMs / 4))).unref();
    this.#exited = new Promise(resolve => {
      worker.once('exit', () => resolve());
    });
    this.settled = new Promise(resolve => {
      worker.on('message', (report: WorkerReport) => {
        if (report.kind === 'changed') this.#changed(report.token, report.state);
        else if (report.kind === 'suspectSelf') for (const listener of this.#suspicionListeners) listener();
        else if (report.kind === 'lapsed') void this.#lapsed(onLapse);
        else if (report.kind === 'settled') resolve();
      });
    });
  }

  /** What is known of a target; of an unknown name: not live. */
  state(name: string): TargetView {
    const watched = [...this.#watched.values()].find(({ target }) => target.name === name);
    if (!watched) return { ...UNKNOWN, up: false, rttUs: 0, sinceHeardMs: Number.POSITIVE_INFINITY };
    const { state, memory } = watched;
    return {
      ...state,
      up: state.live && state.ready,
      rttUs: memory.rttUs,
      sinceHeardMs: memory.sinceHeardMs,
    };
  }

  isUp(name: string): boolean {
    return this.state(name).up;
  }

  /** Names of the targets that are live and ready, in the order in which they were given. */
  up(): string[] {
    return [...this.#watched.values()]
      .filter(({ state }) => state.live && state.ready)
      .map(({ target }) => target.name);
  }

  /** Calls back on every change of a target's live, ready, epoch or status. Returns what ends that. */
  onChange(listener: ChangeListener): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  /** Calls back when all live targets (at least two) have gone silent at once. Returns what ends that. */
  onSuspectSelf(listener: () => void): () => void {
    this.#suspicionListeners.add(listener);
    return () => this.#suspicionListeners.delete(listener);
  }

  /** Part of every answer from now on; false at first. */
  setReady(ready: boolean): void {
    this.#memory.ready = ready;
  }

  /** A u32 in every answer from now on, with a meaning of the daemon's own; 0 at first. */
  setStatus(status: number): void {
    this.#memory.status = status;
  }

  /** Replaces the targets. Those that are in both lists, unchanged, keep their state. */
  setTargets(targets: readonly Target[]): void {
    checkTargets(targets);
    const before = this.#watched;
    this.#watched = watch(targets, before);
    this.#worker.postMessage({
      kind: 'targets',
      targets: forWorker(this.#watched),
    } satisfies LivenessRequest);
  }

  counter(name: LivenessCounter): number {
    return this.#memory.read(name);
  }

  /** Publishes the counters and who is up. */
  publish(metrics: Metrics): void {
    metrics.totals('liveness_events_total', 'Liveness datagrams and rounds by kind.', ['kind'], () =>
      LIVENESS_COUNTERS.map(kind => [{ kind }, this.counter(kind)]),
    );
    metrics.gauge('liveness_targets_up', 'Probed targets that are live and ready.', () => this.up().length);
  }

  async close(): Promise<void> {
    clearInterval(this.#beat);
    this.#changeListeners.clear();
    this.#suspicionListeners.clear();
    this.#worker.postMessage({ kind: 'close' } satisfies LivenessRequest);
    await this.#exited;
  }

  async #lapsed(onLapse: (() => Promise<void>) | undefined): Promise<void> {
    const lapses = this.#memory.lapses;
    await onLapse?.();
    this.#memory.settle(lapses);
    this.#worker.postMessage({ kind: 'settled' } satisfies LivenessRequest);
  }

  #changed(token: number, state: TargetState): void {
    const watched = [...this.#watched.values()].find(candidate => candidate.token === token);
    // Reported before setTargets() took it away.
    if (!watched) return;
    watched.state = state;
    for (const listener of this.#changeListeners) listener(watched.target, state);
  }
}

let lastToken = 0;

function watch(targets: readonly Target[], before: ReadonlyMap<number, Watched>): Map<number, Watched> {
  const watched = new Map<number, Watched>();
  for (const target of targets) {
    const old = before.get(target.id);
    const same = old && JSON.stringify(old.target) === JSON.stringify(target);
    watched.set(
      target.id,
      same ? old : { target, token: ++lastToken, memory: new TargetMemory(), state: UNKNOWN },
    );
  }
  return watched;
}

function forWorker(watched: ReadonlyMap<number, Watched>): LivenessTarget[] {
  return [...watched.values()].map(({ target, token, memory }) => ({ target, token, memory: memory.buffer }));
}

/** Resolves once the port is bound; rejects when it cannot be. */
export async function startLiveness(options: LivenessOptions): Promise<Liveness> {
  const { port, key, self, targets = [], stallMs = STALL_MS, lapseMs = Number.POSITIVE_INFINITY } = options;
  checkTargets(targets);
  const memory = new LivenessMemory();
  memory.beat();
  const watched = watch(targets, new Map());
  const init: LivenessInit = {
    port,
    key,
    self,
    stallMs,
    lapseMs,
    shared: memory.buffer,
    targets: forWorker(watched),
  };
  const worker = new Worker(new URL('./liveness-worker.ts', import.meta.url), { workerData: init });
  const fail = (error: Error) => {
    if (!options.onError) throw error;
    options.onError(error);
  };
  return await new Promise<Liveness>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (report: WorkerReport) => {
      if (report.kind !== 'listening') return reject(new Error(`liveness worker began with ${report.kind}`));
      worker.off('error', reject);
      worker.on('error', cause => fail(new Error('the liveness worker has failed', { cause })));
      resolve(new Liveness(worker, memory, watched, report.port, stallMs, options.onLapse));
    });
  });
}
