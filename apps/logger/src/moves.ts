import type { Entry } from '@resplice/protocol';
import type { Log } from '@resplice/service-kit';
import type { Backend } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import { Move, type RecoveryDeps } from './recovery.ts';
import { viewOf } from './view.ts';

export interface MovesDeps extends Omit<RecoveryDeps, 'onMoved'> {
  /** A connection has another back end: the proxies are to know. */
  onMoved(entry: Omit<Entry, 'owner'>): void;
  /** It leaves its back end. */
  onLeave(conversation: Conversation): void;
  isOver(conversation: Conversation): boolean;
  log: Log;
}

/** Connections that are on their way to another back end, each by its own move. */
export class Moves {
  readonly #deps: MovesDeps;
  readonly #recovery: RecoveryDeps;
  readonly #moves = new Map<Conversation, Move>();
  /** Those that move since their rules say so, and not for a failure. */
  readonly #routine = new Set<Conversation>();

  constructor(deps: MovesDeps) {
    this.#deps = deps;
    this.#recovery = {
      ...deps,
      onMoved: (conversation, backend, delta) => this.#moved(conversation, backend, delta),
    };
  }

  get size(): number {
    return this.#moves.size;
  }

  has(conversation: Conversation): boolean {
    return this.#moves.has(conversation);
  }

  get(conversation: Conversation): Move | undefined {
    return this.#moves.get(conversation);
  }

  /**
   * @param why what the timeline says of it
   * @param isRoutine nothing has failed and nobody is drained: the timeline says nothing
   */
  begin(conversation: Conversation, why: string, isRoutine = false): void {
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
    if (!this.#moves.has(conversation)) this.begin(conversation, `unprotected: ${conversation.unprotected}`);
    this.#moves.get(conversation)?.abandon();
  }

  /** @param conversation whose back end, or the one that is to be its next, is too late */
  timedOut(conversation: Conversation): void {
    const move = this.#moves.get(conversation);
    this.#deps.tally.failedByTimeout++;
    const why = `suspected: ${(move ?? conversation).backend?.name} is silent for too long`;
    if (move) {
      this.#deps.timeline.note(conversation, why);
      move.again();
    } else this.begin(conversation, why);
  }

  /** A back end is gone that has the connection, or was to be its next. */
  backendDied(conversation: Conversation, backend: Backend): void {
    const { timeline, tally, isOver } = this.#deps;
    const move = this.#moves.get(conversation);
    const why = `suspected: ${backend.name} is silent`;
    if (move) {
      if (move.backend !== backend) return;
      timeline.note(conversation, why);
      move.again();
    } else if (conversation.backend === backend && !isOver(conversation)) {
      if (conversation.transactions.length > 0) tally.failedByLiveness++;
      this.begin(conversation, why);
    }
  }

  /** To be called now and then: acknowledgements are not told. */
  look(): void {
    for (const move of this.#moves.values()) move.look();
  }

  close(): void {
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
