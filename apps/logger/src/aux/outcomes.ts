// What was answered, by transaction and step: kept in the log, found by an index in memory, and forgotten when clients have
// acknowledged the responses that it led to (P11.5), or when it is old.

import { z } from 'zod';
import { DiskLog, type DiskLogOptions, type Place } from './disk-log.ts';
import type { Frame } from './frame.ts';
import { type DialogueKey, Known } from './known.ts';
import type { AuxiliaryTally } from './tally.ts';

export type { DialogueKey } from './known.ts';

const dialogueKey = { service: z.string(), transaction: z.string(), step: z.int() };
const reply = z.object({ code: z.int(), text: z.string() });

/** A message whose final dot was answered. No credentials, and nothing of the content. */
const mailRecord = z.object({
  kind: z.literal('mail'),
  ...dialogueKey,
  /** The dialogue's how manieth message, from 0. */
  index: z.int(),
  greeting: reply,
  hello: z.object({ verb: z.string(), reply }).nullable(),
  auth: reply.nullable(),
  /** Commands by their keys, in the order in which they were given. */
  steps: z.array(z.object({ key: z.string(), line: z.string(), reply })),
  final: reply,
});

const responseRecord = z.object({
  kind: z.literal('response'),
  ...dialogueKey,
  method: z.string(),
  path: z.string(),
  /** SHA-256 of the request's body, hex. */
  digest: z.string(),
  status: z.int(),
  reason: z.string(),
  /** Names and values in turn. */
  headers: z.array(z.string()),
});

const record = z.discriminatedUnion('kind', [
  mailRecord,
  responseRecord,
  /** The final byte of a request is about to go to the auxiliary server. */
  z.object({ kind: z.literal('intent'), ...dialogueKey }),
  /** It came to nothing. Older versions do not say which intent did. */
  z.object({
    kind: z.literal('void'),
    ...dialogueKey,
    intent: z.object({ segment: z.int(), at: z.int() }).optional(),
  }),
  /** Nobody runs these again. */
  z.object({ kind: z.literal('commit'), transactions: z.array(z.string()) }),
  z.object({ kind: z.literal('attempt'), transaction: z.string(), attempt: z.int() }),
  z.object({ kind: z.literal('epoch'), backend: z.string(), epoch: z.int() }),
]);

export type MailRecord = z.infer<typeof mailRecord>;
export type ResponseRecord = z.infer<typeof responseRecord>;
export type AuxiliaryRecord = z.infer<typeof record>;

/** What the claims are told at start. */
export type ClaimRecord = Extract<AuxiliaryRecord, { kind: 'attempt' | 'epoch' }>;

export interface OutcomesOptions extends Omit<DiskLogOptions, 'onFound' | 'onForgotten' | 'isOfNoUse'> {
  readonly tally: AuxiliaryTally;
  onClaim(record: ClaimRecord): void;
}

export class Outcomes {
  #log!: DiskLog;
  readonly #tally: AuxiliaryTally;
  readonly #known = new Known();

  private constructor(tally: AuxiliaryTally) {
    this.#tally = tally;
  }

  /** @throws when the directory cannot be used */
  static async open(options: OutcomesOptions): Promise<Outcomes> {
    const outcomes = new Outcomes(options.tally);
    outcomes.#log = await DiskLog.open({
      ...options,
      onFound: (frame, place) => outcomes.#found(frame, place, options),
      onForgotten: segment => outcomes.#known.forget(segment),
      isOfNoUse: segment => outcomes.#known.isOfNoUse(segment),
    });
    options.tally.inDoubt = outcomes.#known.doubts;
    return outcomes;
  }

  get log(): DiskLog {
    return this.#log;
  }

  /** Dialogues of which an outcome is known. */
  get size(): number {
    return this.#known.size;
  }

  /**
   * An answer that is about to be given. Resolves when it may be.
   * @param durable whether it changed anything: then it waits for the disk
   * @throws LogWriteError
   */
  async keep(outcome: MailRecord | ResponseRecord, durable: boolean, body?: Uint8Array): Promise<void> {
    const place = await this.#log.append(outcome, durable, body);
    this.#known.add(outcome, place);
  }

  /**
   * A request's end is about to go out. Resolves when we, but not the host, may die and still know of it.
   * @returns undoes it, once it is certain that the server has done nothing
   * @throws LogWriteError: then it must not go out
   */
  async intend({ service, transaction, step }: DialogueKey): Promise<() => void> {
    const key = { service, transaction, step };
    const { segment, at } = await this.#log.append({ kind: 'intent', ...key }, false);
    const wasDoubtful = this.isDoubtful(key);
    if (wasDoubtful) this.#tally.inDoubtRepeated++;
    const intent = { segment, at };
    this.#known.doubt(key, intent);
    return () => {
      // What was in doubt before remains so; and somebody else may have begun meanwhile.
      if (wasDoubtful || !this.#known.settle(key, intent)) return;
      // If it is lost, a daemon after us has a doubt too many.
      this.#log.append({ kind: 'void', ...key, intent }, false).catch(() => {});
    };
  }

  /** The server may have done what was asked, and we do not know: nothing must be said that means that it has not. */
  isDoubtful(key: DialogueKey): boolean {
    return this.#known.isDoubtful(key);
  }

  /** A claim that must be known after a restart, too. @throws LogWriteError */
  async claim(claim: ClaimRecord): Promise<void> {
    const { segment } = await this.#log.append(claim, false);
    // As long as somebody may be frozen.
    this.#known.hold(segment);
  }

  /** Clients have acknowledged the responses of these transactions: nobody comes back to their dialogues. */
  commit(transactions: readonly string[]): void {
    const known = transactions.filter(each => this.#known.has(each));
    if (known.length === 0) return;
    for (const each of known) this.#known.drop(each);
    this.#tally.committed += known.length;
    // If it is lost, a daemon after us knows them until they are old.
    this.#log.append({ kind: 'commit', transactions: known }, false).catch(() => {});
  }

  /** The messages of a dialogue that were answered, in order. */
  async mails(key: DialogueKey): Promise<MailRecord[]> {
    const mails: MailRecord[] = [];
    for (const place of this.#known.places(key)) {
      const known = await this.#read(key, place);
      if (known?.head.kind === 'mail') mails[known.head.index] = known.head;
    }
    return mails;
  }

  async response(key: DialogueKey): Promise<{ head: ResponseRecord; body: Buffer } | undefined> {
    const place = this.#known.places(key).at(-1);
    if (place === undefined) return undefined;
    const known = await this.#read(key, place);
    if (known?.head.kind !== 'response') return undefined;
    return { head: known.head, body: known.body };
  }

  /**
   * Undefined: forgotten meanwhile, and then it is as if it had never been; or the disk does not give it back. Then there was an answer,
   * and it is in doubt which.
   */
  async #read(key: DialogueKey, place: Place): Promise<{ head: AuxiliaryRecord; body: Buffer } | undefined> {
    try {
      const { head, body } = await this.#log.read(place);
      return { head: record.parse(head), body };
    } catch {
      this.#tally.unreadable++;
      if (this.#known.places(key).includes(place)) this.#known.doubt(key, place);
      return undefined;
    }
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #found({ head }: Frame, place: Place, { onClaim }: OutcomesOptions): void {
    const { success, data } = record.safeParse(head);
    // Another version's: of no use, and no harm.
    if (!success) return;
    switch (data.kind) {
      case 'attempt':
      case 'epoch':
        this.#known.hold(place.segment);
        onClaim(data);
        break;
      case 'commit':
        for (const each of data.transactions) this.#known.drop(each);
        break;
      case 'intent':
        this.#known.doubt(data, place);
        break;
      case 'void':
        this.#known.settle(data, data.intent);
        break;
      default:
        this.#known.add(data, place);
    }
  }
}
