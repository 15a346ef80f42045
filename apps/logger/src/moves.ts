import type { Entry } from '@resplice/protocol';
import type { Log } from '@resplice/service-kit';
import type { Backend } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import { decide } from './decision.ts';
import { closeTheWay, Move, type RecoveryDeps } from './recovery.ts';
import { viewOf } from './view.ts';

/** So many idle connections leave a dead back end at each look. */
const IDLE_AT_ONCE = 50;

export interface MovesDeps extends Omit<RecoveryDeps, 'onMoved'> {
  /** A connection has another back end: the proxies are to know. */
  onMoved(entry: Omit<Entry, 'owner'>): void;
  /** It leaves its back end. */
  onLeave(conversation: Conversation): void;
  isOver(conversation: Conversation): boolean;
  /** Whether nothing is under way for it, and nobody waits for anything. */
  isIdle(conversation: Conversation): boolean;
  log: Log;
}

/** Connections that are on their way to another back end, each by its own move. */
export class Moves {
  readonly #deps: MovesDeps;
  readonly #recovery: RecoveryDeps;
  readonly #moves = new Map<Conversation, Move>();
  /** Those that move since their rules say so, and not for a failure. */
  readonly #routine = new Set<Conversation>();
  /**
   * Those that have lost their back end while nobody waited for anything, and what the timeline says of it. Nothing passes; the rest has
   * time until the client speaks, and must not hold up those who wait: thousands may be idle at a back end that dies.
   */
  readonly #idle = new Map<Conversation, string>();

  constructor(deps: MovesDeps) {
    this.#deps = deps;
    this.#recovery = {
      ...deps,
      onMoved: (conversation, backend, delta) => this.#moved(conversation, backend, delta),
    };
  }

  get size(): number {
    return this.#moves.size + this.#idle.size;
  }

  has(conversation: Conversation): boolean {
    return this.#moves.has(conversation) || this.#idle.has(conversation);
  }

  /** One that has had time until now begins. */
  get(conversation: Conversation): Move | undefined {
    const why = this.#idle.get(conversation);
    if (why !== undefined) this.begin(conversation, why);
    return this.#moves.get(conversation);
  }

  /** Whether it has lost its back end, and its move has time. */
  hasTime(conversation: Conversation): boolean {
    return this.#idle.has(conversation);
  }

  /** It is over. */
  forget(conversation: Conversation): void {
    this.#idle.delete(conversation);
    this.#moves.get(conversation)?.close();
  }

  /** It has lost its back end, or is about to: at once if anybody waits for anything, else soon. */
  leave(conversation: Conversation, why: string): void {
    if (this.#idle.has(conversation) || this.#deps.isOver(conversation)) return;
    if (!this.#deps.isIdle(conversation)) {
      this.begin(conversation, why);
      return;
    }
    closeTheWay(this.#deps.tracks, conversation.slot);
    this.#idle.set(conversation, why);
  }

  /**
   * @param why what the timeline says of it
   * @param isRoutine nothing has failed and nobody is drained: the timeline says nothing
   */
  begin(conversation: Conversation, why: string, isRoutine = false): void {
    this.#idle.delete(conversation);
    if (this.#deps.isOver(conversation)) return;
    this.#deps.onLeave(conversation);
    if (isRoutine) this.#routine.add(conversation);
    else this.#deps.timeline.begin(conversation, why);
    const former = conversation.backend;
    if (former) former.active--;
    const mayRest = former !== undefined;
    conversation.guard?.rest();
    const onEnd = () => {
      this.#moves.delete(conversation);
      this.#routine.delete(conversation);
      // When its end is known to everybody.
      queueMicrotask(() => conversation.guard?.look());
    };
    const move = new Move(conversation, this.#recovery, onEnd, mayRest);
    if (!move.isEnded) this.#moves.set(conversation, move);
  }

  /** It can neither go on nor be let go. */
  abandon(conversation: Conversation): void {
    if (!this.get(conversation)) this.begin(conversation, `unprotected: ${conversation.unprotected}`);
    this.#moves.get(conversation)?.abandon();
  }

  /** @param conversation whose back end, or the one that is to be its next, is too late */
  timedOut(conversation: Conversation): void {
    const move = this.get(conversation);
    this.#deps.tally.failedByTimeout++;
    const why = `suspected: ${(move ?? conversation).backend?.name} is silent for too long`;
    if (move) {
      this.#deps.timeline.note(conversation, why);
      move.again();
    } else this.begin(conversation, why);
  }

  /**
   * A back end is gone that has the connection, or was to be its next.
   * @param isCertain otherwise what would be lost stays where it is
   */
  backendDied(conversation: Conversation, backend: Backend, isCertain: boolean): void {
    const { timeline, tally, isOver } = this.#deps;
    const move = this.#moves.get(conversation);
    const why = `suspected: ${backend.name} is silent`;
    if (move) {
      if (move.backend !== backend) return;
      timeline.note(conversation, why);
      move.again();
    } else if (conversation.backend === backend && !this.has(conversation) && !isOver(conversation)) {
      conversation.commit();
      if (!isCertain && decide(conversation, conversation.heard, true).kind === 'reset') return;
      if (conversation.transactions.length > 0) tally.failedByLiveness++;
      this.leave(conversation, why);
    }
  }

  /** To be called now and then: acknowledgements are not told. */
  look(): void {
    let count = 0;
    for (const [conversation, why] of this.#idle) {
      if (++count > IDLE_AT_ONCE) break;
      this.begin(conversation, why);
    }
    for (const move of this.#moves.values()) move.look();
  }

  close(): void {
    this.#idle.clear();
    for (const move of [...this.#moves.values()]) move.close();
  }

  #moved(conversation: Conversation, backend: Backend, delta: number): void {
    const { id, p0 } = conversation;
    this.#deps.onMoved({ ...id, p0, delta, backend: backend.id, createdMs: Date.now() });
    backend.active++;
    if (this.#routine.has(conversation)) {
      this.#deps.tally.poolsChanged++;
      return;
    }
    conversation.failovers++;
    this.#deps.log.info({ ...viewOf(conversation, false) }, 'connection moved');
  }
}
