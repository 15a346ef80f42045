import type { ControlRecord, Knowledge } from '@resplice/protocol';

/** How a proxy is kept from the back ends. */
export interface FenceStore {
  /** What is in force, by the proxy's id. */
  readonly all: ReadonlyMap<number, FenceState>;
  /** In force when it returns: of what the proxy sends afterwards, nothing reaches a back end. */
  raise(proxy: number, fence: FenceState): void;
  lift(proxy: number): void;
}

export interface FenceState {
  /** Of the process that is fenced: a later one of the same proxy knows nothing of the former's set-ups. */
  readonly epoch: number;
  /** Grows with every fence: who was told what it missed before the newest one was not told enough. */
  readonly generation: number;
}

/** What the logger hears of the proxies itself. */
export interface ProxyLife {
  isLive(proxy: number): boolean;
  /** 0: never heard. */
  epochOf(proxy: number): number;
}

type Standing = Extract<Knowledge, { kind: 'standing' }>;

/**
 * Decides who goes on when proxies no longer hear each other (P3.1, ARCHITECTURE §5). Each side takes the other for dead; were
 * both to go on alone, one request could be delivered twice. So each must have the other fenced before, and whoever asks second
 * finds itself fenced. Hence the last one is never fenced: it is the one that asked.
 */
export class Arbiter {
  readonly #proxies: readonly number[];
  readonly #life: ProxyLife;
  readonly #fences: FenceStore;
  /** The newest request of each proxy for the fence of each other: its repetition must not count as another. */
  readonly #asked = new Map<string, { id: number; epoch: number; answer: Standing }>();
  #generation: number;

  constructor(proxies: readonly number[], life: ProxyLife, fences: FenceStore) {
    this.#proxies = proxies;
    this.#life = life;
    this.#fences = fences;
    this.#generation = Math.max(0, ...[...fences.all.values()].map(({ generation }) => generation));
  }

  /** Grows with every fence that is raised or lifted, so that proxies know when to ask how they stand. */
  get changes(): number {
    return this.#changes;
  }
  #changes = 0;

  /** @param epoch of the process that asks. Undefined: no question to a logger */
  answer(from: number, epoch: number, record: ControlRecord): Standing | undefined {
    if (record.type === 'standing') return this.#standing(from, epoch);
    if (record.type === 'fence') return this.#fence(from, epoch, record);
    if (record.type === 'join') return this.#join(from, epoch, record.generation, record.told);
    return undefined;
  }

  #standing(proxy: number, epoch: number): Standing {
    const fence = this.#fences.all.get(proxy);
    const fenced = fence !== undefined && fence.epoch >= epoch;
    return { kind: 'standing', fenced, generation: fence?.generation ?? 0 };
  }

  #fence(
    from: number,
    epoch: number,
    { id, proxy, epoch: target }: Extract<ControlRecord, { type: 'fence' }>,
  ): Standing {
    const own = this.#standing(from, epoch);
    if (own.fenced) return own;
    const pair = `${from}>${proxy}`;
    const asked = this.#asked.get(pair);
    if (asked?.id === id && asked.epoch === epoch) return asked.answer;
    // Started anew meanwhile: what is to be fenced is gone.
    const gone = this.#life.epochOf(proxy) > target;
    if (!gone && this.#proxies.includes(proxy) && proxy !== from) this.#raise(proxy, target);
    this.#asked.set(pair, { id, epoch, answer: own });
    return own;
  }

  /** @param epoch 0: never heard, so it has never sent anything */
  #raise(proxy: number, epoch: number): void {
    const known = this.#fences.all.get(proxy);
    if (epoch === 0 || (known && known.epoch > epoch)) return;
    this.#generation++;
    this.#changes++;
    this.#fences.raise(proxy, { epoch, generation: this.#generation });
  }

  #join(from: number, epoch: number, generation: number, told: readonly number[]): Standing {
    const fence = this.#fences.all.get(from);
    // Its peers may have gone on without it again after they had told it everything.
    const old = fence !== undefined && fence.epoch >= epoch && fence.generation !== generation;
    const untold = this.#proxies.some(
      proxy => proxy !== from && this.#goesOn(proxy) && !told.includes(proxy),
    );
    if (old || untold) return { kind: 'standing', fenced: true, generation: fence?.generation ?? 0 };
    // Whoever comes in goes on without the dead: one of them may be frozen in the middle of a set-up.
    for (const proxy of this.#proxies)
      if (proxy !== from && !this.#goesOn(proxy)) this.#raise(proxy, this.#life.epochOf(proxy));
    if (fence) {
      this.#changes++;
      this.#fences.lift(from);
    }
    return { kind: 'standing', fenced: false, generation: 0 };
  }

  /** Whether what this proxy knows must be known to whoever comes in. */
  #goesOn(proxy: number): boolean {
    const fence = this.#fences.all.get(proxy);
    return this.#life.isLive(proxy) && !(fence && fence.epoch >= this.#life.epochOf(proxy));
  }
}
