// Which proxies go on, and whether they know all (ARCHITECTURE §5).

import type { Cursor } from './cursor.ts';
import { RecordType } from './record-type.ts';

export type MembershipRecord =
  /** "Tell me what I have missed." Answered at once; the telling ends with `synced`, which bears the same generation. */
  | { type: 'catchUp'; id: number; generation: number }
  /** That was all that the receiver can have missed. Answered, so that it is not lost. */
  | { type: 'synced'; id: number; generation: number }
  /**
   * "I set nothing up for now: what I was at is yours." Answered, so that it is not lost; each time has a higher number, so that a
   * repetition that comes late says nothing.
   */
  | { type: 'leave'; id: number; generation: number }
  /** To the logger: "let nothing more through from that proxy; I go on without it". */
  | { type: 'fence'; id: number; proxy: number; epoch: number }
  /** To the logger: "how do I stand?" */
  | { type: 'standing'; id: number }
  /** To the logger: "these proxies have told me what I missed since that fence: let me in". At most 255. */
  | { type: 'join'; id: number; generation: number; told: readonly number[] };

const TYPES = {
  catchUp: RecordType.CATCH_UP,
  synced: RecordType.SYNCED,
  leave: RecordType.LEAVE,
  fence: RecordType.FENCE,
  standing: RecordType.STANDING,
  join: RecordType.JOIN,
} as const;

export function putMembershipRecord(to: Cursor, record: MembershipRecord): void {
  to.putU8(TYPES[record.type]);
  to.putU32(record.id);
  switch (record.type) {
    case 'catchUp':
    case 'synced':
    case 'leave':
      to.putU32(record.generation);
      break;
    case 'fence':
      to.putU16(record.proxy);
      to.putU32(record.epoch);
      break;
    case 'standing':
      break;
    case 'join':
      to.putU32(record.generation);
      to.putU8(record.told.length);
      for (const proxy of record.told) to.putU16(proxy);
  }
}

/** @returns undefined: that type is of no record here */
export function takeMembershipRecord(type: number, from: Cursor): MembershipRecord | undefined {
  switch (type) {
    case RecordType.CATCH_UP:
      return { type: 'catchUp', id: from.takeU32(), generation: from.takeU32() };
    case RecordType.SYNCED:
      return { type: 'synced', id: from.takeU32(), generation: from.takeU32() };
    case RecordType.LEAVE:
      return { type: 'leave', id: from.takeU32(), generation: from.takeU32() };
    case RecordType.FENCE:
      return { type: 'fence', id: from.takeU32(), proxy: from.takeU16(), epoch: from.takeU32() };
    case RecordType.STANDING:
      return { type: 'standing', id: from.takeU32() };
    case RecordType.JOIN:
      return {
        type: 'join',
        id: from.takeU32(),
        generation: from.takeU32(),
        told: Array.from({ length: from.takeU8() }, () => from.takeU16()),
      };
    default:
      return undefined;
  }
}
