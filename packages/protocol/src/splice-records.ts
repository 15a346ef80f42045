// Who sets a connection up, and what came of it.

import {
  type ConnectionId,
  type Entry,
  putConnection,
  putEntry,
  takeConnection,
  takeEntry,
} from './connection.ts';
import type { Cursor } from './cursor.ts';
import { RecordType } from './record-type.ts';

export type SpliceRecord =
  /** "Do you know this connection?" With `claim`: "if nobody does, I set it up". `isn` counts only with `claim`. */
  | { type: 'ask'; id: number; claim: boolean; connection: ConnectionId }
  /** "Keep this splice." Answered by an answer with the same id: 'entry' with the very splice means kept. */
  | { type: 'publish'; id: number; entry: Entry }
  /** The set-up came to nothing: the gate is free. */
  | { type: 'release'; connection: ConnectionId }
  /** The client has closed its half: the connection no longer counts as load. */
  | { type: 'closing'; connection: ConnectionId }
  /** Closed and long silent: forget it. */
  | { type: 'forget'; connection: ConnectionId };

/** The types of those that hold nothing but a connection. */
const BARE = {
  release: RecordType.RELEASE,
  closing: RecordType.CLOSING,
  forget: RecordType.FORGET,
} as const;

export function putSpliceRecord(to: Cursor, record: SpliceRecord): void {
  switch (record.type) {
    case 'ask':
      to.putU8(RecordType.ASK);
      to.putU32(record.id);
      to.putFlag(record.claim);
      putConnection(to, record.connection);
      break;
    case 'publish':
      to.putU8(RecordType.PUBLISH);
      to.putU32(record.id);
      putEntry(to, record.entry);
      break;
    case 'release':
    case 'closing':
    case 'forget':
      to.putU8(BARE[record.type]);
      putConnection(to, record.connection);
      break;
  }
}

/** @returns undefined: that type is of no record here */
export function takeSpliceRecord(type: number, from: Cursor): SpliceRecord | undefined {
  switch (type) {
    case RecordType.ASK:
      return {
        type: 'ask',
        id: from.takeU32(),
        claim: from.takeFlag(),
        connection: takeConnection(from),
      };
    case RecordType.PUBLISH:
      return { type: 'publish', id: from.takeU32(), entry: takeEntry(from) };
    case RecordType.RELEASE:
      return { type: 'release', connection: takeConnection(from) };
    case RecordType.CLOSING:
      return { type: 'closing', connection: takeConnection(from) };
    case RecordType.FORGET:
      return { type: 'forget', connection: takeConnection(from) };
    default:
      return undefined;
  }
}
