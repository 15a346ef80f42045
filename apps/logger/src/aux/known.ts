// Of which dialogues something is known, and in which segments of the log it lies: it goes with them, or when nobody will ask for it.

import type { Place } from './disk-log.ts';

/** Which dialogue: one connection's place in a transaction. */
export interface DialogueKey {
  readonly service: string;
  readonly transaction: string;
  readonly step: number;
}

/** Which intent: where its record lies, the same for a daemon that reads the log. */
export type Intent = Pick<Place, 'segment' | 'at'>;

interface Dialogue {
  readonly key: DialogueKey;
  readonly places: Place[];
  /** The latest intent, without an outcome. */
  doubt: Intent | undefined;
}

const nameOf = ({ service, step }: DialogueKey): string => `${service} ${step}`;

export class Known {
  /** By transaction, then by service and step. */
  readonly #transactions = new Map<string, Map<string, Dialogue>>();
  readonly #segments = new Map<number, Set<Dialogue>>();
  /** Segments that are of use for another reason. */
  readonly #held = new Set<number>();
  /** Dialogues of which an outcome is known. */
  size = 0;
  /** Those with an intent and no outcome. */
  doubts = 0;

  has(transaction: string): boolean {
    return this.#transactions.has(transaction);
  }

  places(key: DialogueKey): readonly Place[] {
    return this.#get(key)?.places ?? [];
  }

  isDoubtful(key: DialogueKey): boolean {
    return this.#get(key)?.doubt !== undefined;
  }

  /** An outcome is in the log: there is no doubt any more. */
  add(key: DialogueKey, place: Place): void {
    const dialogue = this.#made(key);
    if (dialogue.places.length === 0) this.size++;
    dialogue.places.push(place);
    this.#segment(place.segment).add(dialogue);
    this.settle(key);
  }

  doubt(key: DialogueKey, { segment, at }: Intent): void {
    this.settle(key);
    const dialogue = this.#made(key);
    dialogue.doubt = { segment, at };
    this.#segment(segment).add(dialogue);
    this.doubts++;
  }

  /**
   * There is no doubt any more.
   * @param intent only if this is what it is about: a later one knows nothing of how this one ended
   * @returns whether there was
   */
  settle(key: DialogueKey, intent?: Intent): boolean {
    const dialogue = this.#get(key);
    if (dialogue?.doubt === undefined) return false;
    const { segment, at } = dialogue.doubt;
    if (intent !== undefined && (intent.segment !== segment || intent.at !== at)) return false;
    dialogue.doubt = undefined;
    this.doubts--;
    if (!dialogue.places.some(place => place.segment === segment))
      this.#segments.get(segment)?.delete(dialogue);
    this.#tidy(dialogue);
    return true;
  }

  /** Keeps a segment of use, whatever becomes of the dialogues in it. */
  hold(segment: number): void {
    this.#held.add(segment);
  }

  /** Nothing in it will be asked for. */
  isOfNoUse(segment: number): boolean {
    return (this.#segments.get(segment)?.size ?? 0) === 0 && !this.#held.has(segment);
  }

  /** Nobody comes back to this transaction. */
  drop(transaction: string): void {
    for (const dialogue of this.#transactions.get(transaction)?.values() ?? []) {
      for (const { segment } of dialogue.places) this.#segments.get(segment)?.delete(dialogue);
      if (dialogue.doubt !== undefined) {
        this.#segments.get(dialogue.doubt.segment)?.delete(dialogue);
        this.doubts--;
      }
      if (dialogue.places.length > 0) this.size--;
    }
    this.#transactions.delete(transaction);
  }

  /** Everything in that segment is gone. */
  forget(segment: number): void {
    for (const dialogue of this.#segments.get(segment) ?? []) {
      const { places } = dialogue;
      const left = places.filter(place => place.segment !== segment);
      if (places.length > 0 && left.length === 0) this.size--;
      places.splice(0, places.length, ...left);
      if (dialogue.doubt?.segment === segment) {
        dialogue.doubt = undefined;
        this.doubts--;
      }
      this.#tidy(dialogue);
    }
    this.#segments.delete(segment);
    this.#held.delete(segment);
  }

  #get(key: DialogueKey): Dialogue | undefined {
    return this.#transactions.get(key.transaction)?.get(nameOf(key));
  }

  #made(key: DialogueKey): Dialogue {
    const known = this.#get(key);
    if (known !== undefined) return known;
    const { service, transaction, step } = key;
    const dialogue = { key: { service, transaction, step }, places: [], doubt: undefined };
    const dialogues = this.#transactions.get(transaction) ?? new Map<string, Dialogue>();
    this.#transactions.set(transaction, dialogues.set(nameOf(key), dialogue));
    return dialogue;
  }

  #segment(segment: number): Set<Dialogue> {
    const known = this.#segments.get(segment) ?? new Set();
    this.#segments.set(segment, known);
    return known;
  }

  #tidy({ key, places, doubt }: Dialogue): void {
    if (places.length > 0 || doubt !== undefined) return;
    const dialogues = this.#transactions.get(key.transaction);
    dialogues?.delete(nameOf(key));
    if (dialogues?.size === 0) this.#transactions.delete(key.transaction);
  }
}
