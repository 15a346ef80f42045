import type { Conversation } from './conversation.ts';
import type { Journals } from './kits.ts';
import type { LoggerTally } from './tally.ts';
import type { Transaction } from './transaction.ts';

/** Between two looks at what clients have acknowledged, ms: bare ACKs are not told. */
const LOOK_MS = 50;

/** Tells back ends which journals may be forgotten (P11.5), and back-end loggers which of them, since clients have the responses. */
export class Commits {
  readonly #kits: Pick<Journals, 'idOf' | 'commit' | 'abandon'>;
  readonly #tally: LoggerTally;
  /** Those with whole responses that their clients have not acknowledged. */
  readonly #awaiting = new Set<Conversation>();
  #committed: string[] = [];
  #abandoned: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(kits: Pick<Journals, 'idOf' | 'commit' | 'abandon'>, tally: LoggerTally) {
    this.#kits = kits;
    this.#tally = tally;
  }

  /** A response is whole: its client will have it soon. */
  await(conversation: Conversation): void {
    this.#awaiting.add(conversation);
    this.#timer ??= setTimeout(() => this.#look(), LOOK_MS);
  }

  /** Its client has all of it. */
  add(conversation: Conversation, transaction: Transaction): void {
    this.#note(this.#committed, conversation, transaction);
  }

  /** Nobody can bring it to its client any more. */
  abandon(conversation: Conversation, transaction: Transaction): void {
    this.#note(this.#abandoned, conversation, transaction);
  }

  #note(ids: string[], conversation: Conversation, transaction: Transaction): void {
    const id = this.#kits.idOf(conversation, transaction);
    if (id === undefined) return;
    ids.push(id);
    this.#timer ??= setTimeout(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    this.#timer = undefined;
    for (const conversation of this.#awaiting) {
      if (conversation.transactions.some(isWhole)) conversation.commit();
      if (!conversation.transactions.some(isWhole)) this.#awaiting.delete(conversation);
    }
    this.#flush();
    if (this.#awaiting.size > 0) this.#timer ??= setTimeout(() => this.#look(), LOOK_MS);
  }

  #flush(): void {
    const [committed, abandoned] = [this.#committed.splice(0), this.#abandoned.splice(0)];
    this.#tally.committed += committed.length + abandoned.length;
    if (committed.length > 0) this.#kits.commit(committed);
    if (abandoned.length > 0) this.#kits.abandon(abandoned);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#flush();
  }
}

function isWhole({ treatment, responseEnd }: Transaction): boolean {
  return treatment.journal !== 'none' && responseEnd !== undefined;
}
