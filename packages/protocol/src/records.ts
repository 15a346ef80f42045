// What proxies tell each other about connections, and ask the logger about each other. Many records share one sealed datagram:
// a datagram's cost is in its seal and its system call, not in its bytes. All numbers big-endian; every record begins with its
// type, and is written and read field by field.

import { type AnswerRecord, putAnswerRecord, takeAnswerRecord } from './answer-records.ts';
import { Cursor } from './cursor.ts';
import { type HeadRecord, MAX_HEAD_RECORD_BYTES, putHeadRecord, takeHeadRecord } from './head-records.ts';
import { type MembershipRecord, putMembershipRecord, takeMembershipRecord } from './membership-records.ts';
import { putSpliceRecord, type SpliceRecord, takeSpliceRecord } from './splice-records.ts';

export type ControlRecord = SpliceRecord | AnswerRecord | HeadRecord | MembershipRecord;

/** The longest record in bytes. */
export const MAX_RECORD_BYTES = MAX_HEAD_RECORD_BYTES;

/** A record that cannot be: from another version, or made by a bug. The datagram was authentic, so this deserves a log line. */
export class RecordError extends Error {}

/** Writes one record at `offset` and returns the offset behind it. The buffer must have MAX_RECORD_BYTES left. */
export function writeRecord(view: DataView, offset: number, record: ControlRecord): number {
  const to = new Cursor(view, offset);
  switch (record.type) {
    case 'answer':
      putAnswerRecord(to, record);
      break;
    case 'segment':
    case 'store':
    case 'drop':
      putHeadRecord(to, record);
      break;
    case 'catchUp':
    case 'synced':
    case 'leave':
    case 'fence':
    case 'standing':
    case 'join':
      putMembershipRecord(to, record);
      break;
    default:
      putSpliceRecord(to, record);
  }
  return to.at;
}

/**
 * Reads all records of a datagram.
 *
 * @throws RecordError on an unknown type or a record that is cut short; nothing of the datagram is to be used then
 */
export function readRecords(payload: Uint8Array): ControlRecord[] {
  const from = new Cursor(new DataView(payload.buffer, payload.byteOffset, payload.byteLength));
  const records: ControlRecord[] = [];
  while (!from.isAtEnd) {
    const { at } = from;
    const record = readRecord(from, at);
    if (!record) throw new RecordError(`record of unknown type ${payload[at]} at byte ${at}`);
    records.push(record);
  }
  return records;
}

function readRecord(from: Cursor, at: number): ControlRecord | undefined {
  try {
    const type = from.takeU8();
    return (
      takeSpliceRecord(type, from) ??
      takeAnswerRecord(type, from) ??
      takeHeadRecord(type, from) ??
      takeMembershipRecord(type, from)
    );
  } catch (cause) {
    throw new RecordError(`record cut short at byte ${at}`, { cause });
  }
}
