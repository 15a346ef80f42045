import type { Conversation } from './conversation.ts';
import type { Journals } from './kits.ts';
import type { LoggerTally } from './tally.ts';
import type { Transaction } from './transaction.ts';

/** Between two looks at what clients have acknowledged, ms: bare ACKs are not told. */
const LOOK_MS = 50;

/** Tells the back ends which journals may be forgotten, since clients have the responses (P11.5). */
export class Commits {
  readonly #kits: Pick<Journals, 'idOf' | 'commit'>;
  readonly #tally: LoggerTally;
  /** Those with whole responses that their clients have not acknowledged. */
  readonly #awaiting = new Set<Conversation>();
  #ids: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(kits: Pick<Journals, 'idOf' | 'commit'>, tally: LoggerTally) {
    this.#kits = kits;
    this.#tally = tally;
  }

  /** A response is whole: its client will have it soon. */
  await(conversation: Conversation): void {
    this.#awaiting.add(conversation);
    this.#timer ??= setTimeout(() => this.#look(), LOOK_MS);
  }

  /** Its client has all of it, or nobody can bring it to him any more. */
  add(conversation: Conversation, transaction: Transaction): void {
    const id = this.#kits.idOf(conversation, transaction);
    if (id === undefined) return;
    this.#ids.push(id);
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
    const ids = this.#ids;
    if (ids.length === 0) return;
    this.#ids = [];
    this.#tally.committed += ids.length;
    this.#kits.commit(ids);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#flush();
  }
}

function isWhole({ treatment, responseEnd }: Transaction): boolean {
  return treatment.journal !== 'none' && responseEnd !== undefined;
}
