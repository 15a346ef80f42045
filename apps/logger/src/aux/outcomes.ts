// What was answered, by transaction and step: kept in the log, found by an index in memory.

import { z } from 'zod';
import { DiskLog, type DiskLogOptions, type Place } from './disk-log.ts';
import type { Frame } from './frame.ts';
import type { AuxiliaryTally } from './tally.ts';

/** Which dialogue: one connection's place in a transaction. */
export interface DialogueKey {
  readonly service: string;
  readonly transaction: string;
  readonly step: number;
}

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
  /** It came to nothing. */
  z.object({ kind: z.literal('void'), ...dialogueKey }),
  z.object({ kind: z.literal('attempt'), transaction: z.string(), attempt: z.int() }),
  z.object({ kind: z.literal('epoch'), backend: z.string(), epoch: z.int() }),
]);

export type MailRecord = z.infer<typeof mailRecord>;
export type ResponseRecord = z.infer<typeof responseRecord>;
export type AuxiliaryRecord = z.infer<typeof record>;

/** What the claims are told at start. */
export type ClaimRecord = Extract<AuxiliaryRecord, { kind: 'attempt' | 'epoch' }>;

export interface OutcomesOptions extends Omit<DiskLogOptions, 'onFound' | 'onForgotten'> {
  readonly tally: AuxiliaryTally;
  onClaim(record: ClaimRecord): void;
}

/** Older ones are forgotten: nobody asks any more. */
const MAX_DOUBTS = 100_000;

const nameOf = ({ service, transaction, step }: DialogueKey): string => `${service} ${transaction} ${step}`;

export class Outcomes {
  #log!: DiskLog;
  readonly #tally: AuxiliaryTally;
  readonly #places = new Map<string, Place[]>();
  /** Names by segment, to forget them with it. */
  readonly #segments = new Map<number, string[]>();
  /** Intents without an outcome. */
  readonly #doubts = new Set<string>();

  private constructor(tally: AuxiliaryTally) {
    this.#tally = tally;
  }

  /** @throws when the directory cannot be used */
  static async open(options: OutcomesOptions): Promise<Outcomes> {
    const outcomes = new Outcomes(options.tally);
    outcomes.#log = await DiskLog.open({
      ...options,
      onFound: (frame, place) => outcomes.#found(frame, place, options),
      onForgotten: segment => outcomes.#forget(segment),
    });
    options.tally.inDoubt = outcomes.#doubts.size;
    return outcomes;
  }

  get log(): DiskLog {
    return this.#log;
  }

  /** Dialogues of which an outcome is known. */
  get size(): number {
    return this.#places.size;
  }

  /**
   * An answer that is about to be given. Resolves when it may be.
   * @param durable whether it changed anything: then it waits for the disk
   * @throws LogWriteError
   */
  async keep(outcome: MailRecord | ResponseRecord, durable: boolean, body?: Uint8Array): Promise<void> {
    const place = await this.#log.append(outcome, durable, body);
    this.#index(nameOf(outcome), place);
    this.#doubts.delete(nameOf(outcome));
  }

  /**
   * A request's end is about to go out. Resolves when we, but not the host, may die and still know of it.
   * @returns undoes it, once it is certain that the server has done nothing
   * @throws LogWriteError: then it must not go out
   */
  async intend({ service, transaction, step }: DialogueKey): Promise<() => void> {
    const key = { service, transaction, step };
    const wasDoubtful = this.isDoubtful(key);
    if (wasDoubtful) this.#tally.inDoubtRepeated++;
    await this.#log.append({ kind: 'intent', ...key }, false);
    this.#doubts.add(nameOf(key));
    const [oldest] = this.#doubts;
    if (this.#doubts.size > MAX_DOUBTS && oldest !== undefined) this.#doubts.delete(oldest);
    return () => {
      if (wasDoubtful) return;
      this.#doubts.delete(nameOf(key));
      // If it is lost, a daemon after us has a doubt too many.
      this.#log.append({ kind: 'void', ...key }, false).catch(() => {});
    };
  }

  /** The server may have done what was asked, and we do not know: nothing must be said that means that it has not. */
  isDoubtful(key: DialogueKey): boolean {
    return this.#doubts.has(nameOf(key));
  }

  /** A claim that must be known after a restart, too. @throws LogWriteError */
  async claim(claim: ClaimRecord): Promise<void> {
    await this.#log.append(claim, false);
  }

  /** The messages of a dialogue that were answered, in order. */
  async mails(key: DialogueKey): Promise<MailRecord[]> {
    const mails: MailRecord[] = [];
    for (const place of this.#places.get(nameOf(key)) ?? []) {
      const known = await this.#read(place);
      if (known?.head.kind === 'mail') mails[known.head.index] = known.head;
    }
    return mails;
  }

  async response(key: DialogueKey): Promise<{ head: ResponseRecord; body: Buffer } | undefined> {
    const place = this.#places.get(nameOf(key))?.at(-1);
    if (place === undefined) return undefined;
    const known = await this.#read(place);
    if (known?.head.kind !== 'response') return undefined;
    return { head: known.head, body: known.body };
  }

  /** Undefined: forgotten meanwhile, or the disk does not give it back. Then it is asked for again, as if it had never been. */
  async #read(place: Place): Promise<{ head: AuxiliaryRecord; body: Buffer } | undefined> {
    try {
      const { head, body } = await this.#log.read(place);
      return { head: record.parse(head), body };
    } catch {
      this.#tally.unreadable++;
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
    if (data.kind === 'attempt' || data.kind === 'epoch') {
      onClaim(data);
      return;
    }
    const name = nameOf(data);
    if (data.kind === 'intent') this.#doubts.add(name);
    else this.#doubts.delete(name);
    if (data.kind === 'mail' || data.kind === 'response') this.#index(name, place);
  }

  #index(name: string, place: Place): void {
    const places = this.#places.get(name);
    if (places === undefined) this.#places.set(name, [place]);
    else places.push(place);
    const names = this.#segments.get(place.segment);
    if (names === undefined) this.#segments.set(place.segment, [name]);
    else names.push(name);
  }

  #forget(segment: number): void {
    for (const name of this.#segments.get(segment) ?? []) {
      const left = (this.#places.get(name) ?? []).filter(place => place.segment !== segment);
      if (left.length > 0) this.#places.set(name, left);
      else this.#places.delete(name);
    }
    this.#segments.delete(segment);
  }
}
