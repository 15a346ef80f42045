import type { Backend } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { Transaction } from './transaction.ts';
import { monotonicMs } from './watchman.ts';

/** Between two looks, ms. */
const EVERY_MS = 250;

export interface StalledUploadsDeps {
  backends: { readonly all: readonly Backend[] };
  /** Who has it, or is to have it next. */
  holderOf(conversation: Conversation): Backend | undefined;
  /** Whether the application answers anybody. */
  ask(backend: Backend): Promise<boolean>;
  /** That back end takes no more of what the connection sends: another one is to. */
  fail(conversation: Conversation): void;
}

/** How far a request was when something last moved, and when that was. */
interface Progress {
  readonly transaction: Transaction;
  at: number;
  sinceMs: number;
}

/**
 * Requests that stand still before they are complete. Their clients may pause, and that may last; but where an application has frozen, its
 * kernel's buffers are full and its client waits, for ever. Nothing in the connection tells one from the other, so the application is asked.
 */
export class StalledUploads {
  readonly #deps: StalledUploadsDeps;
  /** Of each connection whose last request has content that has not come. */
  readonly #incomplete = new Map<Conversation, Progress>();
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor(deps: StalledUploadsDeps) {
    this.#deps = deps;
  }

  /** Its content is to follow. */
  begin(conversation: Conversation, transaction: Transaction): void {
    this.#incomplete.set(conversation, { transaction, at: -1, sinceMs: 0 });
  }

  /** It is complete, or nobody waits for it any more. */
  end(conversation: Conversation): void {
    if (this.#incomplete.size > 0) this.#incomplete.delete(conversation);
  }

  /**
   * To be called now and then.
   *
   * @param nowMs CLOCK_MONOTONIC
   */
  look(nowMs = monotonicMs()): void {
    if (nowMs - this.#lookedMs < EVERY_MS) return;
    this.#lookedMs = nowMs;
    for (const [conversation, progress] of this.#incomplete) {
      const { transaction } = progress;
      const at = placeOf(conversation);
      // What is before it has a time-out of its own; and a server that has answered need not read the rest.
      const isDue = conversation.open === transaction && !transaction.answered;
      if (!isDue || at !== progress.at) {
        progress.at = at;
        progress.sinceMs = nowMs;
      } else if (nowMs - progress.sinceMs >= transaction.treatment.timeouts.first.start) {
        // Asked again after as long.
        progress.sinceMs = nowMs;
        void this.#doubt(conversation, progress);
      }
    }
  }

  async #doubt(conversation: Conversation, progress: Progress): Promise<void> {
    const { backends, holderOf, ask, fail } = this.#deps;
    const backend = holderOf(conversation);
    if (!backend || !backends.all.some(each => each.up && each !== backend)) return;
    const alive = await ask(backend);
    const isSame = this.#incomplete.get(conversation) === progress && holderOf(conversation) === backend;
    if (!alive && isSame && placeOf(conversation) === progress.at) fail(conversation);
  }
}

/** Grows when the client sends, and when the back end acknowledges. */
function placeOf({ incoming, delivered }: Conversation): number {
  return incoming.end + delivered;
}
