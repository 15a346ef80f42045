import { type Entry, putEntry, takeEntry } from './connection.ts';
import type { Cursor } from './cursor.ts';
import { RecordType } from './record-type.ts';

/** What is answered: what a peer knows of a connection, or how the asker stands. */
export type Knowledge =
  /** Nothing; if the question was a claim, the asker now holds the gate here. */
  | { kind: 'none' }
  /** A splice: whoever set it up, it is to be used. */
  | { kind: 'entry'; entry: Entry }
  /** Another proxy is setting it up. */
  | { kind: 'held'; holder: number }
  /** From the logger: whether the asker is fenced, or may not come in yet. `generation` counts its fences. */
  | { kind: 'standing'; fenced: boolean; generation: number };

/** To the question with the same id. */
export interface AnswerRecord {
  type: 'answer';
  id: number;
  knowledge: Knowledge;
}

const TYPES = {
  none: RecordType.ANSWER_NONE,
  entry: RecordType.ANSWER_ENTRY,
  held: RecordType.ANSWER_HELD,
  standing: RecordType.ANSWER_STANDING,
} as const;

export function putAnswerRecord(to: Cursor, { id, knowledge }: AnswerRecord): void {
  to.putU8(TYPES[knowledge.kind]);
  to.putU32(id);
  switch (knowledge.kind) {
    case 'none':
      break;
    case 'entry':
      putEntry(to, knowledge.entry);
      break;
    case 'held':
      to.putU16(knowledge.holder);
      break;
    case 'standing':
      to.putFlag(knowledge.fenced);
      to.putU32(knowledge.generation);
      break;
  }
}

/** @returns undefined: that type is of no record here */
export function takeAnswerRecord(type: number, from: Cursor): AnswerRecord | undefined {
  switch (type) {
    case RecordType.ANSWER_NONE:
      return { type: 'answer', id: from.takeU32(), knowledge: { kind: 'none' } };
    case RecordType.ANSWER_ENTRY:
      return { type: 'answer', id: from.takeU32(), knowledge: { kind: 'entry', entry: takeEntry(from) } };
    case RecordType.ANSWER_HELD:
      return { type: 'answer', id: from.takeU32(), knowledge: { kind: 'held', holder: from.takeU16() } };
    case RecordType.ANSWER_STANDING:
      return {
        type: 'answer',
        id: from.takeU32(),
        knowledge: { kind: 'standing', fenced: from.takeFlag(), generation: from.takeU32() },
      };
    default:
      return undefined;
  }
}
