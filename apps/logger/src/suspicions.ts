import type { Backend } from '@resplice/splice';
import type { Conversation } from './conversation.ts';
import type { LoggerTally } from './tally.ts';
import type { Timeline } from './timeline.ts';
import type { Transaction } from './transaction.ts';
import { monotonicMs } from './watchman.ts';

export interface SuspicionsDeps {
  backends: { readonly all: readonly Backend[] };
  timeline: Pick<Timeline, 'note'>;
  tally: Pick<LoggerTally, 'reprieved'>;
  /** Whether the application answers anybody. */
  ask(backend: Backend): Promise<boolean>;
  /** That back end is too late with what the connection waits for: another one is to take it. */
  fail(conversation: Conversation): void;
}

/** What follows from silence that lasts longer than such requests take (P10): a suspicion may be wrong, and some cost more than others. */
export class Suspicions {
  readonly #deps: SuspicionsDeps;
  readonly #doubted = new WeakSet<Transaction>();

  constructor(deps: SuspicionsDeps) {
    this.#deps = deps;
  }

  /** @param backend of which the transaction waits for something */
  suspect(conversation: Conversation, transaction: Transaction, backend: Backend): void {
    // Nobody else could do better: the last one is never given up for being slow.
    if (!this.#deps.backends.all.some(each => each.up && each !== backend))
      transaction.watch?.reprieve(monotonicMs());
    // Another one runs it again, and the client does not hear of it.
    else if (transaction.isRepeatable) this.#deps.fail(conversation);
    // The client would hear 502 of an update that may well be done: only a server that answers nobody is worth that.
    else void this.#doubt(conversation, transaction, backend);
  }

  async #doubt(conversation: Conversation, transaction: Transaction, backend: Backend): Promise<void> {
    if (this.#doubted.has(transaction)) return;
    this.#doubted.add(transaction);
    const alive = await this.#deps.ask(backend);
    this.#doubted.delete(transaction);
    const { watch } = transaction;
    if (conversation.open !== transaction || !watch?.isSuspect(monotonicMs())) return;
    if (alive && watch.reprieve(monotonicMs())) {
      this.#deps.tally.reprieved++;
      this.#deps.timeline.note(conversation, `${backend.name} is slow, but answers others`);
      return;
    }
    this.#deps.fail(conversation);
  }
}
