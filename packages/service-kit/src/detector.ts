// Who is alive, decided from rounds of probes and their answers (ARCHITECTURE section 5). Pure: time comes in as an
// argument (monotonic ms), what was decided goes out through a callback.
//
// A round of a target ends when its next probe is due. A round without any answer is a miss; `misses` of them in a row
// mean dead, one good answer means live. Two suspicions against oneself come first:
// - A round that ended late (over two intervals after its start) is no evidence: the answers wait unread.
// - When all live targets have gone silent at once, it is more likely us. They get one more full round; whoever stays
//   silent then is dead, and if one of them answers meanwhile, the others are judged at their next round's end.

export interface Target {
  name: string;
  id: number;
  address: string;
  port: number;
  intervalMs: number;
  /** Silent rounds in a row until dead, at least 1. */
  misses: number;
}

/** What others react to. */
export interface TargetState {
  live: boolean;
  /** Of its newest answer; meaningless unless live. */
  ready: boolean;
  /** u32 seconds, of its newest answer; 0 before the first. */
  epoch: number;
  /** u32 of its newest answer. */
  status: number;
}

export interface Heard {
  epoch: number;
  ready: boolean;
  status: number;
}

class Watched {
  target: Target;
  state: TargetState = { live: false, ready: false, epoch: 0, status: 0 };
  /** Silent rounds in a row. */
  silent = 0;
  heardThisRound = false;
  lastHeard = Number.NEGATIVE_INFINITY;
  /** A first answer or a first verdict is in. */
  known = false;

  constructor(target: Target) {
    this.target = target;
  }
}

export interface DetectorEvents {
  changed(target: Target, state: TargetState): void;
  /** All live targets have gone silent together. */
  suspectSelf(): void;
  /** Every target was heard, or had the time to be. Called once, and again after setTargets with new ones. */
  settled(): void;
}

function sameTarget(a: Target, b: Target): boolean {
  return (Object.keys(a) as (keyof Target)[]).every(field => a[field] === b[field]);
}

export class Detector {
  readonly #events: DetectorEvents;
  #watched = new Map<number, Watched>();
  #settled = false;
  /** Verdicts wait until then; undefined = no suspicion against ourselves. */
  #graceUntil: number | undefined;
  /** The grace was used up; only an answer opens the way to another. */
  #graceSpent = false;

  constructor(events: DetectorEvents) {
    this.#events = events;
  }

  /** Replaces the targets; those that stay the same keep their state, those that go are not reported. */
  setTargets(targets: readonly Target[]): void {
    const before = this.#watched;
    this.#watched = new Map();
    for (const target of targets) {
      const old = before.get(target.id);
      this.#watched.set(target.id, old && sameTarget(old.target, target) ? old : new Watched(target));
    }
    this.#settled = false;
    this.#checkSettled();
  }

  targets(): Target[] {
    return [...this.#watched.values()].map(({ target }) => target);
  }

  target(id: number): Target | undefined {
    return this.#watched.get(id)?.target;
  }

  /** An authentic answer of that target. */
  heard(id: number, now: number, { epoch, ready, status }: Heard): void {
    const watched = this.#watched.get(id);
    if (!watched) return;
    watched.lastHeard = now;
    watched.heardThisRound = true;
    watched.silent = 0;
    watched.known = true;
    this.#graceUntil = undefined;
    this.#graceSpent = false;
    const { state } = watched;
    const next = { live: true, ready, epoch, status };
    if (!state.live || state.ready !== ready || state.epoch !== epoch || state.status !== status) {
      watched.state = next;
      this.#events.changed(watched.target, next);
    }
    this.#checkSettled();
  }

  /**
   * Ends a round of the targets with this interval.
   * @param late our own tick came so late that silence is no evidence
   * @returns the targets to probe now
   */
  endRound(intervalMs: number, now: number, late: boolean): Target[] {
    const due = [...this.#watched.values()].filter(({ target }) => target.intervalMs === intervalMs);
    for (const watched of due) {
      if (!watched.heardThisRound && !late) watched.silent++;
      watched.heardThisRound = false;
    }
    // Only when all of them are counted: the first one's verdict looks at the others.
    for (const watched of due) this.#judge(watched, now);
    this.#checkSettled();
    return due.map(({ target }) => target);
  }

  #judge(watched: Watched, now: number): void {
    const { target, state } = watched;
    // The first round only begins with the first probe: its end says nothing.
    const limit = watched.known ? target.misses : target.misses + 1;
    if (watched.silent < limit) return;
    watched.known = true;
    if (!state.live || this.#isGranted(watched, now)) return;
    watched.state = { ...state, live: false };
    this.#events.changed(target, watched.state);
  }

  /** Whether a verdict of death must wait, since it may be ourselves. */
  #isGranted({ target, lastHeard }: Watched, now: number): boolean {
    if (this.#graceUntil !== undefined) {
      if (now < this.#graceUntil) return true;
      this.#graceUntil = undefined;
      this.#graceSpent = true;
    }
    if (this.#graceSpent) return false;
    const live = [...this.#watched.values()].filter(({ state }) => state.live);
    // Somebody was heard after this one had stopped: then it is not us. Times, not rounds: others' may be longer.
    const stopped = lastHeard + target.intervalMs;
    if (live.length < 2 || live.some(other => other.lastHeard > stopped)) return false;
    this.#graceUntil = now + target.intervalMs * target.misses;
    this.#events.suspectSelf();
    return true;
  }

  #checkSettled(): void {
    if (this.#settled) return;
    for (const { known } of this.#watched.values()) if (!known) return;
    this.#settled = true;
    this.#events.settled();
  }
}
